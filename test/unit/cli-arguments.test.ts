import { describe, expect, test } from "vitest";
import { type Options, parseArguments } from "../../src/cli/arguments.ts";
import { CREATION_OPTIONS } from "../../src/cli/creation.ts";
import { defaultRoot, GLOBAL_OPTIONS } from "../../src/cli/globals.ts";
import { BerthError } from "../../src/errors.ts";

const OPTIONS = {
  bundle: { kind: "text", short: "b", default: ".", help: "" },
  "pid-file": { kind: "text", help: "" },
  format: { kind: "text", short: "f", default: "table", choices: ["table", "json"], help: "" },
  detach: { kind: "flag", short: "d", help: "" },
  "preserve-fds": { kind: "count", default: 0, help: "" },
} as const satisfies Options;

const DEFAULTS = { bundle: ".", "pid-file": undefined, format: "table", detach: false, "preserve-fds": 0 };

function parse(line: string, stopAtPositional = false) {
  return parseArguments(OPTIONS, line === "" ? [] : line.split(" "), stopAtPositional);
}

function failureOf(act: () => unknown): BerthError {
  try {
    act();
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
  throw new Error("did not fail");
}

describe("values", () => {
  test.each<[string, Partial<Record<keyof typeof OPTIONS, unknown>>, string[]]>([
    ["", {}, []],
    ["id", {}, ["id"]],
    ["--bundle /b id", { bundle: "/b" }, ["id"]],
    ["--bundle=/b id", { bundle: "/b" }, ["id"]],
    ["-bundle /b id", { bundle: "/b" }, ["id"]],
    ["-bundle=/b id", { bundle: "/b" }, ["id"]],
    ["-b /b id", { bundle: "/b" }, ["id"]],
    ["--b /b id", { bundle: "/b" }, ["id"]],
    ["-b=/b=c id", { bundle: "/b=c" }, ["id"]],
    ["id -b /b --detach", { bundle: "/b", detach: true }, ["id"]],
    ["--detach id", { detach: true }, ["id"]],
    ["-d id", { detach: true }, ["id"]],
    ["--detach=false id", { detach: false }, ["id"]],
    ["--detach=T id", { detach: true }, ["id"]],
    ["--detach=0 --detach=1 id", { detach: true }, ["id"]],
    ["--detach false", { detach: true }, ["false"]],
    ["--bundle --detach", { bundle: "--detach" }, []],
    ["--bundle -- id", { bundle: "--" }, ["id"]],
    ["--bundle= --pid-file= id", {}, ["id"]],
    ["--preserve-fds 3", { "preserve-fds": 3 }, []],
    ["-f json", { format: "json" }, []],
    ["--format=", {}, []],
    ["-- -d id", {}, ["-d", "id"]],
    ["-d -- -d", { detach: true }, ["-d"]],
    ["- id", {}, ["-", "id"]],
    ["-b one -b two", { bundle: "two" }, []],
  ])("%j", (line, values, positionals) => {
    const parsed = parse(line);
    expect(parsed.values).toEqual({ ...DEFAULTS, ...values });
    expect(parsed.positionals).toEqual(positionals);
    expect(parsed.help).toBe(false);
  });

  test("a value may hold line breaks and equals signs", () => {
    const { values } = parseArguments(OPTIONS, ["--pid-file=a=b\nc", "--bundle", "x\n=y"], false);
    expect(values).toMatchObject({ "pid-file": "a=b\nc", bundle: "x\n=y" });
  });

  test("what is left to someone else begins with the first argument that is no option", () => {
    const { values, positionals } = parse("-f json id -d --unknown -- x", true);
    expect(values).toMatchObject({ format: "json", detach: false });
    expect(positionals).toEqual(["id", "-d", "--unknown", "--", "x"]);
  });

  test.each(["--help", "-h", "--h", "-help", "--help=true", "id -h"])("%s asks for help", (line) => {
    expect(parse(line).help).toBe(true);
  });

  test("an option may take the short form of help", () => {
    const options = { host: { kind: "text", short: "h", help: "" } } as const satisfies Options;
    expect(parseArguments(options, ["-h", "x"], false)).toMatchObject({ values: { host: "x" }, help: false });
  });
});

describe("mistakes, in Go's words", () => {
  test.each([
    ["--nope", "usage", "flag provided but not defined: -nope"],
    ["-nope=3", "usage", "flag provided but not defined: -nope"],
    ["-db", "usage", "flag provided but not defined: -db"],
    ["--__proto__ x", "usage", "flag provided but not defined: -__proto__"],
    ["--constructor", "usage", "flag provided but not defined: -constructor"],
    ["--bundle", "usage", "flag needs an argument: -bundle"],
    ["-b", "usage", "flag needs an argument: -b"],
    ["--detach=maybe", "usage", 'invalid boolean value "maybe" for -detach: parse error'],
    ["--detach=", "usage", 'invalid boolean value "" for -detach: parse error'],
    ["--preserve-fds x", "usage", 'invalid value "x" for flag -preserve-fds: parse error'],
    ["--preserve-fds -1", "usage", 'invalid value "-1" for flag -preserve-fds: parse error'],
    ["--preserve-fds=1e3", "usage", 'invalid value "1e3" for flag -preserve-fds: parse error'],
    ["--format xml", "invalid-option", "invalid format: xml"],
  ])("%s", (line, code, message) => {
    const error = failureOf(() => parse(line));
    expect(error.code).toBe(code);
    expect(error.message).toBe(message);
  });

  test.each([
    ["--no-pviot", "did you mean --no-pivot?"],
    ["--bundel", "did you mean --bundle?"],
    ["--PID-FILE", "did you mean --pid-file?"],
    ["--quite-another", undefined],
  ])("%s: %s", (word, hint) => {
    expect(failureOf(() => parseArguments(CREATION_OPTIONS, [word], false)).hint).toBe(hint);
  });

  test("a log format that is none, as engines look for it", () => {
    expect(failureOf(() => parseArguments(GLOBAL_OPTIONS, ["--log-format", "xml"], true)).message).toBe(
      "invalid log-format: xml",
    );
  });
});

describe("the default root", () => {
  test.each<[string | undefined, boolean, string]>([
    [undefined, false, "/run/berth"],
    ["", false, "/run/berth"],
    ["", true, "/run/berth"],
    ["/run/user/1000", true, "/run/berth"],
    ["/run/user/1000", false, "/run/user/1000/berth"],
    ["/run/user/1000/", false, "/run/user/1000/berth"],
  ])("XDG_RUNTIME_DIR %j, root of the host: %j", (runtime, isRoot, expected) => {
    expect(defaultRoot(runtime, () => isRoot)).toBe(expected);
  });
});
