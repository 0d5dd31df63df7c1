import { describe, expect, test } from "vitest";
import { byteSize, duration, wholeNumber } from "../../src/cli/quantities.ts";
import { hasCode } from "../../src/errors.ts";
import { mergeResources } from "../../src/spec/merge-resources.ts";
import type { Resources } from "../../src/spec/resources.ts";

describe("quantities", () => {
  test.each([
    ["0", 0],
    ["-1", -1],
    ["1024", 1024],
    ["64k", 65536],
    ["64K", 65536],
    ["64kb", 65536],
    ["64KiB", 65536],
    ["1.5g", 1.5 * 2 ** 30],
    ["2m", 2 << 20],
    ["1 t", 2 ** 40],
  ])("%s bytes are %d", (text, bytes) => {
    expect(byteSize(text, "memory")).toBe(bytes);
  });

  test.each([
    ["5s", 5000],
    ["1m30s", 90_000],
    ["250ms", 250],
    ["1.5h", 5_400_000],
  ])("%s is %d ms", (text, milliseconds) => {
    expect(duration(text, "interval")).toBe(milliseconds);
  });

  test.each([
    [byteSize, "1x"],
    [byteSize, "-2"],
    [byteSize, ""],
    [byteSize, "k"],
    [wholeNumber, "1.5"],
    [wholeNumber, "ten"],
    [duration, "5"],
    [duration, "5s later"],
    [duration, ""],
  ])("%o refuses %j", (parse, text) => {
    let code: unknown;
    try {
      parse(text, "option");
    } catch (error) {
      code = hasCode(error, "invalid-option") ? "invalid-option" : error;
    }
    expect(code).toBe("invalid-option");
  });
});

describe("resources after an update", () => {
  const before: Resources = {
    devices: [{ allow: false }],
    memory: { limit: 100, swap: 200, reservation: 50 },
    cpu: { shares: 5, quota: 1000, period: 2000 },
    pids: { limit: 1 },
    blockIO: { weight: 10, throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }] },
    hugepageLimits: [{ pageSize: "2MB", limit: 1 }],
    unified: { "memory.high": "1" },
  };

  test.each<[string, Resources, Partial<Resources>]>([
    ["nothing named", {}, {}],
    ["a limit alone", { memory: { limit: 150 } }, { memory: { limit: 150, swap: 200, reservation: 50 } }],
    [
      "no limit on memory, nor on swap",
      { memory: { limit: -1 } },
      { memory: { limit: -1, reservation: 50 } },
    ],
    [
      "a limit above that on both",
      { memory: { limit: 300 } },
      { memory: { limit: 300, swap: 400, reservation: 50 } },
    ],
    [
      "a limit above that on both, with its own",
      { memory: { limit: 300, swap: 301 } },
      { memory: { limit: 300, swap: 301, reservation: 50 } },
    ],
    [
      "what engines fill in for nothing",
      {
        memory: { limit: 0, reservation: 0, swap: 0, kernel: 0 },
        cpu: { shares: 7, quota: 0, period: 0, realtimePeriod: 0, cpus: "", mems: "" },
        blockIO: { weight: 0 },
      },
      { cpu: { shares: 7, quota: 1000, period: 2000 } },
    ],
    [
      "a 0 that says something",
      { memory: { swappiness: 0 }, cpu: { burst: 0, idle: 0 }, pids: { limit: 0 } },
      {
        memory: { limit: 100, swap: 200, reservation: 50, swappiness: 0 },
        cpu: { quota: 1000, period: 2000, burst: 0, idle: 0 },
        pids: { limit: 0 },
      },
    ],
    ["a quota alone", { cpu: { quota: 3000 } }, { cpu: { shares: 5, quota: 3000, period: 2000 } }],
    ["idle", { cpu: { idle: 1 } }, { cpu: { idle: 1, quota: 1000, period: 2000 } }],
    [
      "devices of block I/O by their number",
      {
        blockIO: {
          throttleReadBpsDevice: [
            { major: 8, minor: 0, rate: 9 },
            { major: 8, minor: 16, rate: 2 },
          ],
        },
      },
      {
        blockIO: {
          weight: 10,
          throttleReadBpsDevice: [
            { major: 8, minor: 0, rate: 9 },
            { major: 8, minor: 16, rate: 2 },
          ],
        },
      },
    ],
    [
      "page sizes",
      { hugepageLimits: [{ pageSize: "1GB", limit: 2 }] },
      {
        hugepageLimits: [
          { pageSize: "2MB", limit: 1 },
          { pageSize: "1GB", limit: 2 },
        ],
      },
    ],
    ["files by name", { unified: { "cpu.max": "2" } }, { unified: { "memory.high": "1", "cpu.max": "2" } }],
    ["device rules, which stay", { devices: [{ allow: true }] }, {}],
  ])("%s", (_, change, changed) => {
    expect(mergeResources(before, change)).toEqual({ ...before, ...changed });
  });
});
