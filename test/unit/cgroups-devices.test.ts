import { describe, expect, test } from "vitest";
import { compileDevices, INSTRUCTION_SIZE } from "../../src/cgroups/device-program.ts";
import { describePolicy, devicePolicy } from "../../src/cgroups/device-rules.ts";
import type { DeviceRule } from "../../src/spec/resources.ts";

interface Request {
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
  /** Some of "rwm". */
  readonly access: string;
}

// From <linux/bpf.h>, and not from the code under test.
const BITS: Record<string, number> = { m: 1, r: 2, w: 4 };
const TYPES = { b: 1, c: 2 };

/** What the kernel would answer: runs the program over a struct bpf_cgroup_dev_ctx. */
function interpret(code: Uint8Array, { type, major, minor, access }: Request): boolean {
  const bits = [...access].reduce((sum, letter) => sum | (BITS[letter] ?? 0), 0);
  const context = new DataView(new ArrayBuffer(12));
  context.setUint32(0, (bits << 16) | TYPES[type], true);
  context.setUint32(4, major, true);
  context.setUint32(8, minor, true);
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  const r = new Array<number>(11).fill(Number.NaN);
  r[1] = 0;
  for (let at = 0; ; at += INSTRUCTION_SIZE) {
    const opcode = view.getUint8(at);
    const to = view.getUint8(at + 1) & 15;
    const from = view.getUint8(at + 1) >> 4;
    const offset = view.getInt16(at + 2, true);
    const value = view.getUint32(at + 4, true);
    const left = r[to] ?? Number.NaN;
    const right = (opcode & 8) !== 0 ? (r[from] ?? Number.NaN) : value;
    const jump = (condition: boolean) => {
      if (offset < 0) throw new Error(`jump back at instruction ${at / INSTRUCTION_SIZE}`);
      if (condition) at += offset * INSTRUCTION_SIZE;
    };
    // Class and operation; the source bit is in `right`.
    switch (opcode === 0x61 || opcode === 0x95 || opcode === 0x05 ? opcode : opcode & ~8) {
      case 0x61:
        r[to] = context.getUint32((r[from] ?? Number.NaN) + offset, true);
        break;
      case 0x44:
        r[to] = (left | right) >>> 0;
        break;
      case 0x54:
        r[to] = (left & right) >>> 0;
        break;
      case 0x64:
        r[to] = (left << right) >>> 0;
        break;
      case 0x74:
        r[to] = left >>> right;
        break;
      case 0xb4:
        r[to] = right;
        break;
      case 0x05:
        jump(true);
        break;
      case 0x16:
        jump(left === right);
        break;
      case 0x46:
        jump((left & right) !== 0);
        break;
      case 0x56:
        jump(left !== right);
        break;
      case 0x95:
        if (r[0] !== 0 && r[0] !== 1) throw new Error(`result ${r[0]}`);
        return r[0] === 1;
      default:
        throw new Error(`unknown opcode 0x${opcode.toString(16)} at instruction ${at / INSTRUCTION_SIZE}`);
    }
  }
}

/** The rules that runtimes add: "c *:* m", as the v1 controller writes them. */
const DEFAULTS = [
  ...["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm"],
  ...["c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm"],
];

/** "allow c 1:3 rw" as a rule of config.json. */
function rule(text: string): DeviceRule {
  const [verb, type, numbers, access] = text.split(" ");
  const [major, minor] = (numbers ?? "").split(":").map((number) => (number === "*" ? -1 : Number(number)));
  return {
    allow: verb === "allow",
    ...(type === "a" || type === "b" || type === "c" ? { type } : {}),
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
    ...(access === undefined ? {} : { access }),
  };
}

/** What the rules mean, said as plainly as can be: each access is decided by the last rule that covers it. */
function model(rules: readonly DeviceRule[], { type, major, minor, access }: Request): boolean {
  const all = rules.concat(DEFAULTS.map((text) => rule(`allow ${text}`)));
  const wild = (number: number | undefined) => number === undefined || number === -1;
  return [...access].every((letter) => {
    const last = all.findLast(
      (rule) =>
        (rule.type === undefined || rule.type === "a" || rule.type === type) &&
        (wild(rule.major) || rule.major === major) &&
        (wild(rule.minor) || rule.minor === minor) &&
        (rule.access ?? "").includes(letter),
    );
    return last?.allow ?? false;
  });
}

function allowed(rules: readonly DeviceRule[], request: Request): boolean {
  const code = compileDevices(devicePolicy(rules));
  return code === undefined || interpret(code, request);
}

function request(text: string): Request {
  const { type, major = 0, minor = 0, access = "" } = rule(`? ${text}`);
  return { type: type === "b" ? "b" : "c", major, minor, access };
}

const ACCESSES = ["", "r", "w", "m", "rw", "rm", "wm", "rwm"];

describe("device rules", () => {
  test.each([
    [
      "nothing is allowed but the defaults",
      [],
      ["c 1:3 rwm", "c 136:7 rw", "b 8:0 m"],
      ["b 8:0 r", "c 1:11 r"],
    ],
    ["the default spec", ["deny a *:* rwm"], ["c 1:9 rw", "c 5:2 rw", "c 10:200 rw"], ["c 10:229 rw"]],
    [
      "the user cannot take the defaults away",
      ["deny c 1:3 rwm", "deny c *:* m"],
      ["c 1:3 rwm", "c 9:9 m"],
      [],
    ],
    ["the last rule wins", ["allow b 8:0 rw", "deny b 8:* w"], ["b 8:0 r"], ["b 8:0 w", "b 8:0 rw"]],
    ["denied and allowed again", ["deny b 8:* rw", "allow b 8:1 rw"], ["b 8:1 rw"], ["b 8:2 r"]],
    ["accesses may come from two rules", ["allow c 4:1 r", "allow c 4:* w"], ["c 4:1 rw"], ["c 4:2 rw"]],
    [
      "one denied access denies all",
      ["allow a *:* rwm", "deny b 8:0 w"],
      ["b 8:0 rm"],
      ["b 8:0 rw", "b 8:0 rwm"],
    ],
    ["a type of both kinds keeps its numbers", ["allow a 8:1 rw"], ["b 8:1 rw", "c 8:1 rw"], ["c 8:2 r"]],
    ["a minor alone", ["allow b *:7 r"], ["b 8:7 r", "b 9:7 r"], ["b 8:8 r", "c 8:7 r"]],
    [
      "the largest numbers",
      ["allow b 4095:1048575 r"],
      ["b 4095:1048575 r"],
      ["b 4095:0 r", "b 0:1048575 r"],
    ],
    ["asking for nothing", ["deny a *:* rwm"], [{ type: "b", major: 8, minor: 0, access: "" } as const], []],
  ])("%s", (_, rules, allow, deny) => {
    const parsed = rules.map(rule);
    const ask = (what: string | Request) => allowed(parsed, typeof what === "string" ? request(what) : what);
    expect(allow.filter((what) => !ask(what))).toEqual([]);
    expect(deny.filter((what) => ask(what))).toEqual([]);
  });

  test("agree with the model on random rules and requests", () => {
    // A fixed seed: a failure can be looked at again. Knuth's linear congruential generator.
    let seed = 20;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const pick = <T>(from: readonly T[]) => from[random(from.length)] as T;
    for (let round = 0; round < 3000; round++) {
      const rules = Array.from({ length: random(9) }, () => {
        const numbers = `${pick(["*", 1, 8, 136])}:${pick(["*", 0, 3, 11])}`;
        return rule(
          `${pick(["allow", "deny"])} ${pick(["a", "b", "c"])} ${numbers} ${pick(ACCESSES.slice(1))}`,
        );
      });
      for (const type of ["b", "c"] as const) {
        for (const major of [1, 8, 9, 136]) {
          for (const minor of [0, 3, 11]) {
            const asked = { type, major, minor, access: pick(ACCESSES) };
            const got = allowed(rules, asked);
            if (got !== model(rules, asked)) expect({ rules, asked, got }).toBe("as the model");
          }
        }
      }
    }
  });
});

describe("the device program", () => {
  test.each([
    ["allow everything", ["allow a *:* rwm"]],
    ["deny, then allow everything", ["deny a *:* rwm", "allow a *:* rwm"]],
    ["allow everything, access by access", ["allow a *:* r", "allow a *:* wm"]],
  ])("is not needed: %s", (_, rules) => {
    expect(compileDevices(devicePolicy(rules.map(rule)))).toBeUndefined();
  });

  test("is short for the default rules", () => {
    const code = compileDevices(devicePolicy([{ allow: false, access: "rwm" }]));
    expect((code?.length ?? 0) / INSTRUCTION_SIZE).toBeLessThanOrEqual(30);
  });

  test("drops what later rules decide", () => {
    const plain = compileDevices(devicePolicy(["deny a *:* rwm"].map(rule)));
    const again = compileDevices(
      devicePolicy(["allow b 8:0 rwm", "deny a *:* rwm", "allow c 1:3 rwm", "allow c 1:5 rw"].map(rule)),
    );
    expect(again).toEqual(plain);
  });

  test("is refused when a jump would be too long", () => {
    const rules = Array.from({ length: 40_000 }, (_, i) => rule(`allow b ${i >> 8}:${i & 255} rwm`));
    expect(() => compileDevices(devicePolicy(rules))).toThrow(/linux\.resources\.devices: too many rules/);
  });

  test("is shown in the words of the v1 controller", () => {
    const shown = describePolicy(devicePolicy(["deny a *:* rwm", "allow b 8:* rw"].map(rule)));
    expect(shown).toMatch(/^allow c 10:200 rwm, allow c 136:\* rwm, /);
    expect(shown).toMatch(/, allow a \*:\* m, allow b 8:\* rw, otherwise deny$/);
  });
});

describe("invalid device rules", () => {
  test.each([
    [{ allow: true }, "linux.resources.devices[1].access: it is empty"],
    [{ allow: true, access: "" }, "linux.resources.devices[1].access: it is empty"],
    [{ allow: true, access: "rx" }, 'linux.resources.devices[1].access "rx": "x" is no access'],
    [{ allow: true, access: "r", major: -2 }, "linux.resources.devices[1].major: -2 is no device number"],
    [{ allow: true, access: "r", major: 4096 }, "linux.resources.devices[1].major: 4096 is no device number"],
    [
      { allow: true, access: "r", minor: 2 ** 20 },
      "linux.resources.devices[1].minor: 1048576 is no device number",
    ],
  ])("%j", (bad, message) => {
    expect(() => devicePolicy([{ allow: false, access: "rwm" }, bad])).toThrow(message);
  });
});
