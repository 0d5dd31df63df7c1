/** The systemd driver where it cannot work, and what `explain` says of it; test/vm/systemd has what it does where it can. */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { berth, type Config, leftovers, makeBundle, newId } from "../bundle.ts";
import { refuse, succeed } from "../container.ts";

const scope = (config: Config) => {
  config.linux.cgroupsPath = "machine-x.slice:libpod:abc";
  config.linux.resources = {
    devices: [{ allow: false, access: "rwm" }],
    pids: { limit: 7 },
    cpu: { quota: 33_333 },
  };
};

describe.skipIf(existsSync("/run/systemd/system"))("where systemd does not run", () => {
  test.each([
    ["create", "--systemd-cgroup"],
    ["run", "--systemd-cgroup"],
    ["create", "--cgroup-manager", "systemd"],
  ])("%s %s is refused before anything is made", (verb, ...flags) => {
    const { path } = makeBundle(scope);
    expect(refuse([...flags, verb, "--bundle", path, newId()])).toMatch(
      /^berth: systemd not running on this host, cannot use systemd cgroups manager\nhint: .*--cgroup-manager cgroupfs/,
    );
    expect(leftovers()).toEqual([]);
  });
});

// What is wrong with config.json is said first, so that these need no systemd.
test.each([
  ["/berth/x", 'of format "slice:prefix:name" for systemd cgroups'],
  ["a.slice:b", 'of format "slice:prefix:name"'],
  ["a.slice:b:", "the name is empty"],
  ["a:b:c", '"a" is no name of a slice'],
  ["a--b.slice:b:c", '"a--b.slice" is no name of a slice'],
  ["-a.slice:b:c", '"-a.slice" is no name of a slice'],
  ["a/x.slice:b:c", 'without "/"'],
  ["a.slice:b:../../c", 'without ".."'],
  [`a.slice:b:${"x".repeat(260)}`, "255 is the most"],
  ["a.slice:b:-.slice", "the root slice"],
  ["a.slice:b:c-d.slice", '"c-d.slice" lies in "c.slice" by its name'],
])("cgroupsPath %s is refused", (cgroupsPath, message) => {
  const { path } = makeBundle((config) => {
    config.linux.cgroupsPath = cgroupsPath;
  });
  const error = refuse(["--systemd-cgroup", "create", "--bundle", path, newId()]);
  expect(error).toContain("linux.cgroupsPath");
  expect(error).toContain(message);
});

test.each([
  ["Description", "x", '"x" is no value'],
  ["Slice", "'a.slice'", "berth sets this property itself"],
  ["a b", "1", "it names no property of systemd"],
  ["TimeoutStopSec", "'soon'", "'soon' is no number of seconds"],
])("annotation org.systemd.property.%s of %s is refused", (name, value, message) => {
  const { path } = makeBundle((config) => {
    scope(config);
    config.annotations = { [`org.systemd.property.${name}`]: value };
  });
  const error = refuse(["--systemd-cgroup", "create", "--bundle", path, newId()]);
  expect(error).toContain(`annotations["org.systemd.property.${name}"]: `);
  expect(error).toContain(message);
});

test("an id that is none is refused as ever", () => {
  const { path } = makeBundle(scope);
  expect(refuse(["--systemd-cgroup", "create", "--bundle", path, "a/b"])).toContain("invalid container ID");
});

test("without the flag, annotations for systemd mean nothing", () => {
  const { path } = makeBundle((config) => {
    config.annotations = { "org.systemd.property.Description": "no value" };
  });
  expect(berth(["run", "--bundle", path, newId()])).toMatchObject({ status: 0, stderr: "" });
});

test("explain shows the unit, with its properties and what they stand for", () => {
  const { path } = makeBundle((config) => {
    scope(config);
    config.annotations = { "org.systemd.property.TimeoutStopSec": "5" };
  });
  const text = succeed(["--systemd-cgroup", "explain", path]);
  expect(text).toContain("linux.cgroupsPath libpod-abc.scope\n");
  for (const line of [
    "have the system's systemd start it, with init in it",
    "Slice=machine-x.slice",
    "Delegate=true",
    "TasksMax=7",
    "CPUQuotaPerSecUSec=340000",
    "DevicePolicy=strict",
    "TimeoutStopUSec=5000000",
    'write "33333 100000"',
  ]) {
    expect(text).toContain(`    ${line}\n`);
  }
  expect(text).not.toContain("CLONE_INTO_CGROUP");
  // Before init gets its Plan, and after it was started.
  expect(text.indexOf("start init")).toBeLessThan(text.indexOf("libpod-abc.scope"));
  expect(text.indexOf("TasksMax=7")).toBeLessThan(text.indexOf("pivot_root"));
});
