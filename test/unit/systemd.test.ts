import { describe, expect, test } from "vitest";
import { devicePolicy } from "../../src/cgroups/device-rules.ts";
import type { Resources } from "../../src/spec/resources.ts";
import { hostUser } from "../../src/systemd/account.ts";
import { annotationProperties } from "../../src/systemd/annotations.ts";
import { socketOf } from "../../src/systemd/connection.ts";
import { deviceProperties } from "../../src/systemd/devices.ts";
import { resourceProperties } from "../../src/systemd/limits.ts";
import { marshal, typeEnd, unmarshal, type Value } from "../../src/systemd/marshal.ts";
import { decodeMessage, encodeMessage, METHOD_CALL, SIGNAL } from "../../src/systemd/message.ts";
import { explained, INFINITY, mergeProperties, type Property } from "../../src/systemd/property.ts";
import { cpuQuota, setOf } from "../../src/systemd/scale.ts";
import { unitOf } from "../../src/systemd/unit.ts";
import { parseVariant } from "../../src/systemd/variant-text.ts";

const NEWEST = Number.POSITIVE_INFINITY;

describe("names of units", () => {
  test.each([
    ["", "berth-box.scope", "system.slice", "/system.slice/berth-box.scope"],
    [undefined, "berth-box.scope", "system.slice", "/system.slice/berth-box.scope"],
    ["::abc", "abc.scope", "system.slice", "/system.slice/abc.scope"],
    ["machine.slice:libpod:abc", "libpod-abc.scope", "machine.slice", "/machine.slice/libpod-abc.scope"],
    ["a-b-c.slice:x:y", "x-y.scope", "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice/x-y.scope"],
    ["-.slice:x:y", "x-y.scope", "-.slice", "/x-y.scope"],
    [":a b:ü", "a\\x20b-\\xc3\\xbc.scope", "system.slice", "/system.slice/a\\x20b-\\xc3\\xbc.scope"],
    ["::cpu", "cpu.scope", "system.slice", "/system.slice/_cpu.scope"],
    [":_x:y", "_x-y.scope", "system.slice", "/system.slice/__x-y.scope"],
    ["::kube-pod.slice", "kube-pod.slice", "kube.slice", "/kube.slice/kube-pod.slice"],
    ["kube.slice::kube-pod.slice", "kube-pod.slice", "kube.slice", "/kube.slice/kube-pod.slice"],
    ["::kube.slice", "kube.slice", "-.slice", "/kube.slice"],
    [":crio:pod.slice", "pod.slice", "-.slice", "/pod.slice"],
  ])("%s is %s in %s, with the cgroup %s", (cgroupsPath, name, slice, path) => {
    expect(unitOf(cgroupsPath, "box", "system")).toMatchObject({ name, slice, path });
  });

  test("a user's containers are in user.slice of the user's systemd", () => {
    expect(unitOf(undefined, "box", "user").path).toBe("/user.slice/berth-box.scope");
  });

  test.each([
    ["/a/b", "of format"],
    ["a:b", "of format"],
    ["a:b:c:d", "of format"],
    ["a.slice:b:", "is empty"],
    [".slice:b:c", "no name of a slice"],
    ["a-.slice:b:c", "no name of a slice"],
    ["a b.slice:b:c", "no name of a slice"],
    ["a.slice:b/c:d", 'without "/"'],
    [":memory.x:y", "another cgroup"],
    ["memory.x.slice:x:y", "another cgroup"],
  ])("%s is refused: %s", (cgroupsPath, message) => {
    expect(() => unitOf(cgroupsPath, "box", "system")).toThrow(message);
    expect(() => unitOf(cgroupsPath, "box", "system")).toThrow("linux.cgroupsPath");
  });
});

describe("D-Bus in bytes", () => {
  // Written by hand from the specification's rules on alignment.
  test.each<[string, Value[], string]>([
    ["y", [7], "07"],
    ["b", [true], "01000000"],
    ["yq", [1, 0xabcd], "0100cdab"],
    ["yu", [1, 2], "0100000002000000"],
    ["i", [-2], "feffffff"],
    ["t", [INFINITY], "ffffffffffffffff"],
    ["x", [-1n], "ffffffffffffffff"],
    ["d", [1], "000000000000f03f"],
    ["s", ["abc"], "0300000061626300"],
    ["g", ["as"], "02617300"],
    ["as", [["a", "b"]], "0e0000000100000061000000" + "010000006200"],
    ["at", [[1]], "0800000000000000" + "0100000000000000"],
    ["at", [[]], "0000000000000000"],
    ["v", [{ type: "u", value: 5 }], "0175000005000000"],
    ["(yt)", [[1, 2]], "0100000000000000" + "0200000000000000"],
    ["a(ss)", [[["a", ""]]], "0d00000000000000" + "0100000061000000" + "0000000000"],
  ])("%s %o", (signature, values, hex) => {
    const bytes = Uint8Array.from(marshal(signature, values));
    expect(bytes.toHex()).toBe(hex);
    const back = unmarshal(signature, bytes);
    expect(Uint8Array.from(marshal(signature, back)).toHex()).toBe(hex);
  });

  test("a message there and back", () => {
    const properties: Value = [
      ["MemoryMax", { type: "t", value: 5n }],
      ["DeviceAllow", { type: "a(ss)", value: [["/dev/null", "rw"]] }],
      ["PIDs", { type: "au", value: [12] }],
    ];
    const fields = { path: "/o", interface: "i.j", member: "M", destination: "d.e", signature: "ssa(sv)" };
    const bytes = encodeMessage(METHOD_CALL, 3, fields, ["x.scope", "replace", properties]);
    const whole = Uint8Array.from([...bytes, ...encodeMessage(SIGNAL, 4, { path: "/p", member: "N" }, [])]);
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeMessage(whole.subarray(0, length))).toBeUndefined();
    }
    const first = decodeMessage(whole);
    expect(first).toEqual({
      length: bytes.length,
      message: { kind: METHOD_CALL, fields, body: ["x.scope", "replace", properties] },
    });
    const second = decodeMessage(whole.subarray(bytes.length));
    expect(second?.message).toEqual({ kind: SIGNAL, fields: { path: "/p", member: "N" }, body: [] });
  });

  test("what is no message is refused", () => {
    expect(() => decodeMessage(new Uint8Array(16))).toThrow(RangeError);
    const bytes = encodeMessage(METHOD_CALL, 1, { path: "/" }, []);
    new DataView(bytes.buffer).setUint32(4, 0xffff_ffff, true);
    expect(() => decodeMessage(bytes)).toThrow("a D-Bus message of");
  });

  test.each(["a", "(s", "", "z", "a{s"])("%s is no type", (signature) => {
    expect(() => typeEnd(signature, 0)).toThrow(RangeError);
  });

  test("the socket in an address", () => {
    expect(socketOf(undefined)).toBeUndefined();
    expect(socketOf("unix:path=/run/user/1000/bus")).toBe("/run/user/1000/bus");
    expect(socketOf("tcp:host=x;unix:guid=1,path=/a%20b,x=y")).toBe("/a b");
    expect(socketOf("unix:abstract=/tmp/x")).toBeUndefined();
  });
});

describe("values of annotations", () => {
  test.each<[string, string, Value]>([
    ["'a b'", "s", "a b"],
    ['"it\'s \\"x\\"\\n\\u00fc"', "s", 'it\'s "x"\nü'],
    ["true", "b", true],
    ["5", "i", 5],
    ["-0x10", "i", -16],
    ["010", "i", 8],
    ["1.5", "d", 1.5],
    ["uint64 18446744073709551615", "t", INFINITY],
    ["@t 5", "t", 5n],
    ["byte 7", "y", 7],
    ["['a', 'b']", "as", ["a", "b"]],
    ["@as []", "as", []],
    [
      "[('/dev/null', uint64 1), ('/dev/zero', 2)]",
      "a(st)",
      [
        ["/dev/null", 1n],
        ["/dev/zero", 2n],
      ],
    ],
    ["(1,)", "(i)", [1]],
    ["<'x'>", "v", { type: "s", value: "x" }],
  ])("%s", (text, type, value) => {
    expect(parseVariant(text)).toEqual({ type, value });
  });

  test.each([
    "",
    "abc",
    "[]",
    "'a",
    "1 2",
    "byte 256",
    "@t -1",
    "[1, 'a']",
    "(1",
    "@as ['a', 1]",
    "5x",
    "uint32 1.5",
    "@a{sv} {}",
  ])("%s is none", (text) => {
    expect(() => parseVariant(text)).toThrow(SyntaxError);
  });

  test.each<[string, string, string, Value]>([
    ["TimeoutStopSec", "5", "TimeoutStopUSec", 5_000_000n],
    ["TimeoutStopSec", "1.5", "TimeoutStopUSec", 1_500_000n],
    ["TimeoutStopSec", "uint64 2", "TimeoutStopUSec", 2_000_000n],
    ["TimeoutStopSec", "'infinity'", "TimeoutStopUSec", INFINITY],
    ["TimeoutStopUSec", "uint64 5", "TimeoutStopUSec", 5n],
  ])("%s=%s sets %s", (name, text, property, value) => {
    const configPath = `annotations["org.systemd.property.${name}"]`;
    expect(annotationProperties({ [`org.systemd.property.${name}`]: text, other: "x" })).toEqual([
      { name: property, type: "t", value, configPath },
    ]);
  });
});

describe("resources as properties", () => {
  const of = (resources: Resources, version = NEWEST) =>
    Object.fromEntries(resourceProperties(resources, version).map(({ name, value }) => [name, value]));

  test.each<[string, Resources, Record<string, Value>]>([
    ["nothing", {}, {}],
    ["zeros", { memory: { limit: 0, swap: 0 }, cpu: { shares: 0, quota: 0, cpus: "" } }, {}],
    [
      "memory",
      { memory: { limit: 100, swap: 150, reservation: 50 } },
      { MemoryMax: 100n, MemorySwapMax: 50n, MemoryLow: 50n },
    ],
    ["no limit", { memory: { limit: -1 } }, { MemoryMax: INFINITY, MemorySwapMax: INFINITY }],
    ["shares", { cpu: { shares: 1024 } }, { CPUWeight: 100 }],
    ["idle counts more than shares", { cpu: { shares: 1024, idle: 1 } }, { CPUWeight: 0 }],
    ["no longer idle", { cpu: { idle: 0 } }, { CPUWeight: INFINITY }],
    ["quota", { cpu: { quota: 50_000 } }, { CPUQuotaPerSecUSec: 500_000n }],
    [
      "no quota",
      { cpu: { quota: -1, period: 50_000 } },
      { CPUQuotaPerSecUSec: INFINITY, CPUQuotaPeriodUSec: 50_000 },
    ],
    ["cpus", { cpu: { cpus: "0-2,9", mems: "0" } }, { AllowedCPUs: [7, 2], AllowedMemoryNodes: [1] }],
    ["cpus as only the kernel has them", { cpu: { cpus: "0-7:1/2" } }, {}],
    ["pids", { pids: { limit: 0 } }, { TasksMax: 1n }],
    ["all pids", { pids: { limit: -1 } }, { TasksMax: INFINITY }],
    [
      "weights",
      { blockIO: { weight: 1000, weightDevice: [{ major: 8, minor: 0, weight: 10 }] } },
      { IOWeight: 10_000, IODeviceWeight: [["/dev/block/8:0", 1]] },
    ],
    [
      "throttles",
      {
        blockIO: {
          throttleReadBpsDevice: [
            { major: 8, minor: 0, rate: 5 },
            { major: 8, minor: 1, rate: 0 },
          ],
        },
      },
      {
        IOReadBandwidthMax: [
          ["/dev/block/8:0", 5n],
          ["/dev/block/8:1", INFINITY],
        ],
      },
    ],
    [
      "unified counts more",
      { memory: { limit: 100 }, unified: { "memory.max": "1M" } },
      { MemoryMax: 1048576n },
    ],
    [
      "unified without properties",
      { unified: { "hugetlb.2MB.max": "0", "io.weight": "8:0 5", "memory.max": "much", toString: "1" } },
      {},
    ],
    [
      "unified",
      { unified: { "cpu.max": "max 50000", "cpu.idle": "1", "io.weight": "default 50", "pids.max": "0" } },
      { CPUQuotaPerSecUSec: INFINITY, CPUQuotaPeriodUSec: 50_000, CPUWeight: 0, IOWeight: 50, TasksMax: 1n },
    ],
  ])("%s", (_, resources, expected) => {
    expect(of(resources)).toEqual(expected);
  });

  test("a systemd gets the properties that it knows", () => {
    const resources: Resources = {
      memory: { limit: 100, reservation: 50 },
      cpu: { quota: 1000, period: 10_000, cpus: "0", idle: 1 },
      pids: { limit: 5 },
      unified: { "memory.high": "90" },
    };
    expect(Object.keys(of(resources, 219))).toEqual(["CPUQuotaPerSecUSec"]);
    expect(Object.keys(of(resources, 239))).toEqual([
      "MemoryMax",
      "CPUQuotaPerSecUSec",
      "TasksMax",
      "MemoryHigh",
    ]);
    expect(Object.keys(of(resources, 244))).toEqual(expect.arrayContaining(["AllowedCPUs", "MemoryLow"]));
    expect(of(resources, 251)).not.toHaveProperty("CPUWeight");
    expect(of(resources, 252)).toMatchObject({ CPUWeight: 0 });
  });

  test.each([
    [10_000, 100_000, 100_000n],
    [10_001, 100_000, 110_000n],
    [1000, 1_000_000, 10_000n],
    [250_000, undefined, 2_500_000n],
    [0, 100_000, INFINITY],
  ])("a quota of %s per %s is rounded up to what systemd can have", (quota, period, expected) => {
    expect(cpuQuota(quota, period)).toBe(expected);
  });

  test("sets of numbers", () => {
    expect(setOf("8191")).toHaveLength(1024);
    for (const text of ["", "8192", "3-1", "all", "1;2"]) expect(setOf(text)).toBeUndefined();
  });

  test("each property names its part of config.json, for systemd's complaints", () => {
    const properties = resourceProperties({ memory: { limit: 5 }, unified: { "pids.max": "3" } }, NEWEST);
    expect(explained("Value specified in MemoryMax is out of range", properties)).toBe(
      "linux.resources.memory.limit",
    );
    expect(explained("Cannot set property TasksMax", properties)).toBe('linux.resources.unified["pids.max"]');
    expect(explained("MemoryMaximum", properties)).toBeUndefined();
  });

  test("of two properties with one name the later one counts", () => {
    const one = (name: string, value: Value): Property => ({ name, type: "s", value, configPath: "" });
    expect(
      mergeProperties([one("A", 1), one("B", 2)], [one("A", 3)]).map(({ name, value }) => [name, value]),
    ).toEqual([
      ["A", 3],
      ["B", 2],
    ]);
  });
});

describe("device rules as properties", () => {
  test("what is allowed is listed, and what nothing denies needs no list", () => {
    const policy = devicePolicy([
      { allow: false, access: "rwm" },
      { allow: true, type: "b", major: 8, access: "r" },
      { allow: true, type: "a", minor: 5, access: "w" },
      { allow: false, type: "b", major: 8, minor: 1, access: "r" },
    ]);
    const [strict, list] = deviceProperties(policy);
    expect(strict).toMatchObject({ name: "DevicePolicy", value: "strict" });
    expect(list?.value).toEqual(
      expect.arrayContaining([
        ["block-8", "r"],
        ["block-*", "w"],
        ["char-*", "w"],
        ["/dev/char/1:3", "rwm"],
        ["char-136", "rwm"],
      ]),
    );
    expect(deviceProperties(devicePolicy([{ allow: true, access: "rwm" }]))).toEqual([]);
  });
});

test("the user outside of a user namespace", () => {
  expect(hostUser(0, "         0          0 4294967295\n")).toBe(0);
  expect(hostUser(0, "         0       1000          1\n         1     100000      65536\n")).toBe(1000);
  expect(hostUser(5, "         0       1000          1\n         1     100000      65536\n")).toBe(100_004);
  expect(hostUser(70_000, "0 1000 1\n")).toBe(70_000);
});
