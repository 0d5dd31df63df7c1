import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { directory } from "../bundle.ts";

/** A program for the engine in berth's place: it shows what native/engine.c gives, and how it takes what goes wrong. */
const PROGRAM = `
const [what, text] = native.arguments;
const bytes = new Uint8Array(1 << 20);
const at = native.address(bytes);
const [READ, WRITE] = native.machine === "x86_64" ? [0, 1] : [63, 64];
const print = (value) => {
  const length = native.place(JSON.stringify(value), at, bytes.length);
  native.syscall(WRITE, 1, at, length, 0, 0, 0);
};
const input = () => {
  let end = 0;
  for (let count = 1; count > 0; end += count) count = native.syscall(READ, 0, at + end, bytes.length - end, 0, 0, 0);
  return end;
};
const deeper = (depth) => deeper(depth + 1) + 1;
switch (what) {
  case "arguments":
    print([native.arguments, native.environment]);
    break;
  case "texts": {
    const view = new DataView(bytes.buffer);
    const texts = [];
    for (let end = input(), from = 0; from < end; from += 4 + view.getUint32(from, true))
      texts.push(native.text(at + from + 4, view.getUint32(from, true)));
    print(texts);
    break;
  }
  case "place": {
    const length = native.place(JSON.parse(text), at, 100);
    print([length, [...bytes.subarray(0, length)], native.place("abcd", at + 500, 3), bytes[500]]);
    break;
  }
  case "address":
    native.address(text);
    break;
  case "throw":
    throw new TypeError("thrown here");
  case "reject":
    await Promise.reject("a text");
  case "eval":
    new Function("return 1")();
  case "wait":
    await new Promise(() => {});
  case "import":
    await import("./absent.js");
  case "nested":
    JSON.parse("[".repeat(100000) + "]".repeat(100000));
  case "recursion":
    deeper(0);
}
`;

const made = join(directory, "engine");
const program = join(made, "out", "libexec", "berth");

beforeAll(() => {
  mkdirSync(join(made, "modules"), { recursive: true });
  writeFileSync(join(made, "modules", "main.js"), PROGRAM);
  const embed = join(import.meta.dirname, "../../scripts/embed.mjs");
  const { exitCode, stderr } = Bun.spawnSync(["node", embed, join(made, "modules"), join(made, "out")]);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
});

/** Runs the program by a shell's command line, in which it is "$@". */
function call(
  args: readonly string[],
  input: Uint8Array<ArrayBuffer> = new Uint8Array(0),
  line = 'exec "$@"',
) {
  const options = { stdin: input, env: { PATH: process.env.PATH ?? "" } };
  const child = Bun.spawnSync(["bash", "-c", line, "bash", program, ...args], options);
  return { status: child.exitCode, stdout: child.stdout.toString(), stderr: child.stderr.toString() };
}

const printed = (args: readonly string[], input?: Uint8Array<ArrayBuffer>, line?: string): unknown => {
  const { status, stdout, stderr } = call(args, input, line);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout);
};

describe("a text", () => {
  /** Some of them at the end of eight bytes of ASCII, which are looked at together. */
  function samples(): Uint8Array[] {
    const edges = [0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf];
    edges.push(0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff);
    const found: Uint8Array[] = [new Uint8Array(0), new TextEncoder().encode("\ufeffa, ü, €, 𝄞 and ASCII")];
    for (const a of edges) {
      for (const b of edges) {
        found.push(Uint8Array.of(a, b), Uint8Array.of(...Buffer.from("12345678"), a, b, 0x20));
        for (const c of [0x20, 0x80, 0xbf, 0xc2]) {
          found.push(Uint8Array.of(a, b, c, 0x80, 0x22));
          found.push(Uint8Array.of(...Buffer.from("1234567"), a, b, c));
        }
      }
    }
    return found;
  }

  test("of bytes that are not all UTF-8 has U+FFFD for each mistake, and what follows is as it is", () => {
    const texts = samples();
    const input = Buffer.concat(
      texts.flatMap((text) => [new Uint8Array(Uint32Array.of(text.length).buffer), text]),
    );
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    expect(printed(["texts"], input)).toEqual(texts.map((text) => decoder.decode(text)));
  });

  test("with half a pair of surrogates has U+FFFD there as UTF-8", () => {
    const text = "a\ud800b\udfff\ud834\udd1e\ud7ff\ue000";
    const bytes = [...new TextEncoder().encode(text)];
    expect(printed(["place", JSON.stringify(text)])).toEqual([bytes.length, bytes, 4, 0]);
  });

  test("of the command line or the environment need not be UTF-8", () => {
    const line = `exec env -i A=$'\\xa0 b' =c D= "$1" arguments $'\\x80"'`;
    expect(printed([], undefined, line)).toEqual([
      ["arguments", '\ufffd"'],
      { A: "\ufffd b", "": "c", D: "" },
    ]);
  });
});

describe("what goes wrong in it", () => {
  test.each([
    [["throw"], "TypeError: thrown here\n    at <anonymous> (main.js:"],
    [["reject"], "a text\n"],
    [["eval"], "TypeError: "],
    [["import"], 'ReferenceError: no module "absent.js" in this program\n'],
    [["wait"], "InternalError: it waits for what nothing will bring\n"],
    [["address"], "TypeError: "],
    [["recursion"], "InternalError: stack overflow\n"],
    [["nested"], "SyntaxError: stack overflow\n"],
  ])("is told: %j", (args, told) => {
    const { status, stdout, stderr } = call(args);
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: "",
      stderr: expect.stringContaining(`berth: internal error: ${told}`),
    });
  });

  test.each([64, 256, 1024, "unlimited"])("is no crash with a stack of %s KiB", (size) => {
    for (const what of ["nested", "recursion"]) {
      const { status, stderr } = call([what], undefined, `ulimit -Ss ${size} && exec "$@"`);
      expect({ status, stderr }).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("stack overflow"),
      });
    }
  });
});

test("closed stdio is /dev/null", () => {
  expect(call(["throw"], undefined, 'exec "$@" 0>&- 1>&- 2>&-')).toEqual({
    status: 1,
    stdout: "",
    stderr: "",
  });
  expect(printed(["texts"], undefined, 'exec "$@" 0<&-')).toEqual([]);
});
