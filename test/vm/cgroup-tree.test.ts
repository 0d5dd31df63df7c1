import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyLimits } from "../../src/cgroups/apply.ts";
import { createCgroup, undoCgroup } from "../../src/cgroups/create.ts";
import { limitsOf } from "../../src/cgroups/limits/v2.ts";
import { close } from "../../src/linux/file.ts";
import type { Resources } from "../../src/spec/resources.ts";
import { type Config, waitUntil } from "../bundle.ts";
import { createContainer, forever, script, startContainer, succeed } from "../container.ts";
import { limits, makeCgroup, mount, read, refusal, top, write } from "./limits.ts";

// How limits and the cgroups around the container's go together.

const at = (path: string) => (config: Config) => {
  config.linux.cgroupsPath = path;
};
const PARENT = `${top}/parent`;
const LIMITED: Resources = { memory: { limit: 2 ** 25 } };

beforeEach(() => {
  mkdirSync(mount + PARENT, { recursive: true });
});

afterEach(() => {
  for (const name of readdirSync(mount + PARENT, { withFileTypes: true })) {
    if (name.isDirectory()) rmdirSync(`${mount}${PARENT}/${name.name}`);
  }
  rmdirSync(mount + PARENT);
});

describe("below a cgroup with processes", () => {
  let child: Bun.Subprocess;
  beforeEach(() => {
    child = Bun.spawn(["sh", "-c", `echo $$ > ${mount}${PARENT}/cgroup.procs; exec sleep 1000`]);
    waitUntil(() => read(PARENT, "cgroup.procs") !== "", "the process is in the cgroup");
  });
  afterEach(async () => {
    child.kill();
    await child.exited;
    waitUntil(() => read(PARENT, "cgroup.procs") === "", "the process is gone");
  });

  test("a limit is refused, with the name of that cgroup", () => {
    const message = refusal(LIMITED, at(`${PARENT}/container`));
    expect(message).toContain(
      `linux.resources.memory.limit: write "33554432" to "${mount}${PARENT}/container/memory.max"`,
    );
    expect(message).toContain(
      `cgroup "${PARENT}" does not enable the controller "memory" for those below it: it has processes`,
    );
    expect(existsSync(`${mount}${PARENT}/container`)).toBe(false);
  });

  test("a container without limits runs, and the cgroup did not become threaded", () => {
    const { id } = createContainer(forever, at(`${PARENT}/container`));
    expect(read(PARENT, "cgroup.type")).toBe("domain");
    expect(read(`${PARENT}/container`, "cgroup.controllers")).toBe("");
    succeed(["delete", "--force", id]);
  });
});

test("below a threaded cgroup, a container is refused", () => {
  mkdirSync(`${mount}${PARENT}/threads`);
  write(`${PARENT}/threads`, "cgroup.type", "threaded");
  const message = refusal(LIMITED, at(`${PARENT}/container`));
  expect(message).toContain(
    `linux.cgroupsPath "${PARENT}/container": the cgroup is of type "domain invalid"`,
  );
  expect(existsSync(`${mount}${PARENT}/container`)).toBe(false);
  expect(refusal({}, at(`${PARENT}/threads`))).toContain('the cgroup is of type "threaded"');
});

test("a cgroup that gives controllers to those below it is refused", () => {
  makeCgroup(`${PARENT}/below`);
  const message = refusal(LIMITED, at(PARENT));
  expect(message).toContain(`linux.cgroupsPath "${PARENT}": the cgroup gives controllers to those below it`);
});

test("a cgroup that was there keeps its limits when one cannot be set", () => {
  makeCgroup(`${PARENT}/container`);
  const path = `${PARENT}/container`;
  const before = {
    "memory.max": "67108864",
    "cpu.max": "5000 20000",
    "cpu.weight": "50",
    "cpuset.cpus": "1",
    "pids.max": "7",
  };
  for (const [file, value] of Object.entries(before)) write(path, file, value);
  const changes: Resources = {
    memory: { limit: 2 ** 25 },
    cpu: { quota: 7000, shares: 1024, cpus: "0" },
    pids: { limit: 9 },
    unified: { "memory.high": "much" },
  };
  expect(refusal(changes, at(path))).toContain('linux.resources.unified["memory.high"]');
  expect(Object.fromEntries(Object.keys(before).map((file) => [file, read(path, file)]))).toEqual(before);
});

test("a burst is lowered before the quota, and raised after it", () => {
  const cgroup = createCgroup({ mount, path: `${PARENT}/container` });
  const apply = (cpu: Resources["cpu"]) => applyLimits(cgroup, cgroup.directory, limitsOf({ cpu }), true);
  const found = () => ["cpu.max", "cpu.max.burst"].map((file) => read(cgroup.path, file));
  try {
    apply({ quota: 20_000, burst: 20_000 });
    expect(found()).toEqual(["20000 100000", "20000"]);
    apply({ quota: 5000, burst: 5000 });
    expect(found()).toEqual(["5000 100000", "5000"]);
    apply({ quota: 50_000, burst: 40_000 });
    expect(found()).toEqual(["50000 100000", "40000"]);
    apply({ idle: 1 });
    expect(() => apply({ shares: 100 })).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("is idle") }),
    );
    apply({ idle: 0, shares: 100 });
    expect(read(cgroup.path, "cpu.weight")).toBe("17");
  } finally {
    undoCgroup(cgroup);
  }
});

test("what a device had before is written back when a later limit fails", () => {
  if (!existsSync("/dev/loop-control")) Bun.spawnSync(["busybox", "modprobe", "loop"]);
  const file = `/tmp/berth-test-disk-${process.pid}`;
  Bun.spawnSync(["truncate", "-s", "1M", file]);
  const name = Bun.spawnSync(["losetup", "--find", "--show", file]).stdout.toString().trim();
  const device = Bun.spawnSync(["stat", "-c", "%Hr:%Lr", name]).stdout.toString().trim();
  const [major = -1, minor = -1] = device.split(":").map(Number);
  const throttle = (rate: number, unified: Resources["unified"]): Resources => ({
    blockIO: { throttleReadBpsDevice: [{ major, minor, rate }] },
    unified: unified ?? {},
  });
  const cgroup = createCgroup({ mount, path: `${PARENT}/container` });
  const apply = (resources: Resources) => applyLimits(cgroup, cgroup.directory, limitsOf(resources), true);
  try {
    expect(() => apply(throttle(1000, { "memory.high": "much" }))).toThrow("memory.high");
    expect(read(cgroup.path, "io.max")).toBe("");
    apply(throttle(1000, {}));
    expect(() => apply(throttle(2000, { "memory.high": "much" }))).toThrow("memory.high");
    expect(read(cgroup.path, "io.max")).toBe(`${device} rbps=1000 wbps=max riops=max wiops=max`);
  } finally {
    undoCgroup(cgroup);
    Bun.spawnSync(["losetup", "--detach", name]);
    Bun.spawnSync(["rm", file]);
  }
});

describe("delegation", () => {
  const CHILD = `${PARENT}/container`;
  const writable = (config: Config) => {
    config.mounts = config.mounts.map((each) =>
      each.destination === "/sys/fs/cgroup" ? { ...each, options: ["rw"] } : each,
    );
  };
  const user = (config: Config) => {
    config.linux.namespaces.push({ type: "user" });
    config.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 2000 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 2000 }];
  };
  const as = (uid: number) => (config: Config) => {
    config.process.user = { uid, gid: uid };
  };
  const withoutCgroupNamespace = (config: Config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
  };
  const owner = (file: string) => statSync(`${mount}${CHILD}/${file}`).uid;

  test.each<[name: string, patches: ((config: Config) => void)[], uid: number]>([
    ["to the container's root on the host", [writable, user], 100_000],
    ["to the container's user on the host", [writable, user, as(1000)], 101_000],
    ["to a user without a user namespace", [writable, as(1000)], 1000],
    ["not with a read-only mount", [user], 0],
    ["not without a cgroup namespace of its own", [writable, user, withoutCgroupNamespace], 0],
  ])("%s", (_, patches, uid) => {
    const { id } = createContainer(forever, limits(LIMITED), at(CHILD), ...patches);
    expect(["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"].map(owner)).toEqual([
      uid,
      uid,
      uid,
      uid,
    ]);
    // The limits themselves are nobody's but berth's.
    expect(["memory.max", "cpu.max", "cgroup.freeze"].map(owner)).toEqual([0, 0, 0]);
    succeed(["delete", "--force", id]);
  });

  test("lets the container make cgroups of its own, and not change its limits", () => {
    const text = [
      "cd /sys/fs/cgroup && mkdir a && echo 1 > a/cgroup.procs && echo moved",
      "echo +memory > cgroup.subtree_control && echo enabled",
      "echo 1000000 > a/memory.max && echo limited",
      "echo max > memory.max || echo denied",
    ].join("\n");
    const { id, output } = startContainer(
      script(`(${text}) 2> /dev/null; sleep 1000`),
      limits(LIMITED),
      at(CHILD),
      writable,
      user,
    );
    waitUntil(() => output().includes("denied"), "the container has tried");
    expect(output()).toBe("moved\ndenied\n");
    expect(read(CHILD, "memory.max")).toBe("33554432");
    succeed(["delete", "--force", id]);
    expect(existsSync(mount + CHILD)).toBe(false);
  });
});

test("a cgroup's descriptor is closed after a limit failed", () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const place = { mount, path: `${PARENT}/container` };
  const cgroup = createCgroup(place);
  const before = open();
  expect(() =>
    applyLimits(cgroup, cgroup.directory, limitsOf({ unified: { "memory.max": "x" } }), true),
  ).toThrow("memory.max");
  expect(open()).toBe(before);
  close(cgroup.directory);
});
