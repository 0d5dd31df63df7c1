import { describe, expect, test } from "vitest";
import { BerthError } from "../../src/errors.ts";
import { parseConfig } from "../../src/spec/parse.ts";
import { configWith, INVALID_VALUES, type Json, wrongTypes } from "../invalid-values.ts";
import { WHOLE_CONFIG } from "../whole-config.ts";

async function messageFor(text: string): Promise<string> {
  const error: unknown = await parseConfig(text, "config.json").catch((caught: unknown) => caught);
  if (!(error instanceof BerthError)) throw new Error(`no BerthError for ${text}`);
  expect(error.code).toBe("invalid-config");
  return error.message;
}

const huge = "x".repeat(100);

describe("an invalid value is reported with its path, what was found and what is allowed", () => {
  test.each(INVALID_VALUES)("%j", async (changes, line) => {
    expect(await messageFor(configWith(changes))).toBe(`config.json: ${line}`);
  });
});

describe("every property that there is", () => {
  test("is valid in the config that has them all", async () => {
    const { spec } = await parseConfig(JSON.stringify(WHOLE_CONFIG), "config.json");
    expect(spec).toEqual(WHOLE_CONFIG);
  });

  test.each(wrongTypes())("$path of a wrong type", async ({ text, line }) => {
    expect(await messageFor(text)).toBe(`config.json: ${line}`);
  });
});

describe("sysctl: only what belongs to a namespace of the container", () => {
  const bare: Json = [{ type: "mount" }];
  const whole = "only settings of a container's namespaces: this one is the whole host's";
  const names = "only with names joined by dots, or by slashes";
  test.each([
    ["kernel.sem", bare, "only with an ipc namespace in linux.namespaces"],
    ["fs.mqueue.msg_max", bare, "only with an ipc namespace in linux.namespaces"],
    ["net.ipv4.ip_forward", bare, "only with a network namespace in linux.namespaces"],
    ["net/ipv4/ip_forward", bare, "only with a network namespace in linux.namespaces"],
    ["kernel.domainname", bare, "only with a uts namespace in linux.namespaces"],
    ["user.max_user_namespaces", bare, "only with a user namespace in linux.namespaces"],
    ["kernel.hostname", bare, 'only as the property "hostname"'],
    ["kernel.core_pattern", bare, whole],
    ["kernel.shmall.x", bare, whole],
    ["vm.swappiness", bare, whole],
    ["net/../kernel/core_pattern", bare, names],
    ["net..core", bare, names],
    ["", bare, names],
  ])("%s", async (key, namespaces, allowed) => {
    const text = configWith({ hostname: null, "linux.namespaces": namespaces, "linux.sysctl": { key: "1" } });
    const message = await messageFor(text.replace('{"key":"1"}', JSON.stringify({ [key]: "1" })));
    expect(message).toBe(`config.json: linux.sysctl[${JSON.stringify(key)}]: found "1"; allowed: ${allowed}`);
  });
});

describe("several problems", () => {
  test("come in one error, those of shape beside those of meaning", async () => {
    const text = configWith({ "process.rlimits[0].type": 3, "process.cwd": "tmp", "linux.devices": [1] });
    const lines = (await messageFor(text)).split("\n");
    expect(lines[0]).toBe("config.json has 3 problems:");
    expect(lines.slice(1).map((line) => line.trim().split(":")[0])).toEqual([
      "process.rlimits[0].type",
      "linux.devices[0]",
      "process.cwd",
    ]);
  });

  test("a check whose own part is misshapen is left out, and does not fail", async () => {
    const message = await messageFor(configWith({ mounts: "none", "linux.namespaces": 1, process: 7 }));
    expect(message.split("\n")).toHaveLength(4);
  });

  test("long values are cut", async () => {
    expect(await messageFor(configWith({ "process.cwd": huge }))).toBe(
      `config.json: process.cwd: found "${"x".repeat(56)}...; allowed: an absolute path`,
    );
  });

  test.each(["[]", "null", "7", '"x"'])("not an object: %s", async (text) => {
    expect(await messageFor(text)).toBe(`config.json: the whole file: found ${text}; allowed: an object`);
  });

  test("a NUL is found in property names too, and only where there is one", async () => {
    const text = configWith({ annotations: { "a\0b": "x", c: "\\u0000" } });
    expect(await messageFor(text)).toBe(
      'config.json: annotations["a\\u0000b"]: found "a\\u0000b"; allowed: a property name without a NUL character',
    );
    const { spec } = await parseConfig(configWith({ annotations: { c: "\\u0000" } }), "config.json");
    expect(spec.annotations).toEqual({ c: "\\u0000" });
  });
});

describe("text that is not JSON is located", () => {
  test.each([
    ["", "the file is empty"],
    [" \n", "the file is empty"],
    ["{", "line 1, column 2: found the end of the file, expected a property name in double quotes"],
    ['{"a":1,}', 'line 1, column 8: found "}", expected a property name in double quotes'],
    ["{'a':1}", 'line 1, column 2: found "\'", expected a property name in double quotes'],
    ['{"a": tru}', 'line 1, column 7: found "tru", expected a value'],
    ['{"a": 01}', 'line 1, column 7: found "01", expected a value'],
    [
      '{"a": "x\ny"}',
      "line 1, column 9: found the end of the line, expected the rest of the string and a double quote",
    ],
    [
      '{"a": "x',
      "line 1, column 9: found the end of the file, expected the rest of the string and a double quote",
    ],
    ['{"a": "\\x"}', 'line 1, column 8: found "\\\\", expected an escape that JSON knows'],
    ['{"a" 1}', 'line 1, column 6: found "1", expected ":"'],
    ["[1 2]", 'line 1, column 4: found "2", expected "," or "]"'],
    ['{\n  "a": 1 // one\n}', 'line 2, column 10: found "//", expected "," or "}"'],
    ["{\n}\n}", 'line 3, column 1: found "}", expected the end of the file'],
    ["\ufeff{}", "line 1, column 1: found a byte order mark, expected a value"],
  ])("%j", async (text, where) => {
    expect(await messageFor(text)).toBe(`config.json: not JSON: ${where}`);
  });
});
