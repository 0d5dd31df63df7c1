import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import type { Resources } from "../../src/spec/resources.ts";
import { MB, mount, read, refusal, runLimited, top, withLimits } from "./limits.ts";

// Each field, read back from the files of the container's cgroup.

/** Name, linux.resources, and what the files must say. */
const ROWS: readonly [name: string, resources: Resources, files: Readonly<Record<string, string>>][] = [
  [
    "nothing: all controllers are there, and nothing is limited",
    {},
    {
      "memory.max": "max",
      "memory.swap.max": "max",
      "pids.max": "max",
      "cpu.max": "max 100000",
      "cpu.weight": "100",
    },
  ],
  ["memory.limit", { memory: { limit: 64 * MB } }, { "memory.max": "67108864", "memory.swap.max": "max" }],
  ["memory.limit -1", { memory: { limit: -1 } }, { "memory.max": "max", "memory.swap.max": "max" }],
  ["memory.limit near 2^63", { memory: { limit: 2 ** 63 - 4096 } }, { "memory.max": "max" }],
  ["memory.reservation", { memory: { reservation: 32 * MB } }, { "memory.low": "33554432" }],
  [
    "memory.swap",
    { memory: { limit: 64 * MB, swap: 96 * MB } },
    { "memory.max": "67108864", "memory.swap.max": "33554432" },
  ],
  ["memory.swap as limit", { memory: { limit: 64 * MB, swap: 64 * MB } }, { "memory.swap.max": "0" }],
  [
    "memory.swap -1",
    { memory: { limit: 64 * MB, swap: -1 } },
    { "memory.max": "67108864", "memory.swap.max": "max" },
  ],
  [
    "memory.swap with limit -1",
    { memory: { limit: -1, swap: 32 * MB } },
    { "memory.max": "max", "memory.swap.max": "33554432" },
  ],
  ["memory.swap 0", { memory: { limit: 64 * MB, swap: 0 } }, { "memory.swap.max": "max" }],
  [
    "memory.checkBeforeUpdate",
    { memory: { limit: 64 * MB, checkBeforeUpdate: true } },
    { "memory.max": "67108864" },
  ],
  ["cpu.shares", { cpu: { shares: 512 } }, { "cpu.weight": "59" }],
  ["cpu.quota and period", { cpu: { quota: 5000, period: 20_000 } }, { "cpu.max": "5000 20000" }],
  ["cpu.quota", { cpu: { quota: 5000 } }, { "cpu.max": "5000 100000" }],
  ["cpu.period", { cpu: { period: 20_000 } }, { "cpu.max": "max 20000" }],
  ["cpu.quota -1", { cpu: { quota: -1 } }, { "cpu.max": "max 100000" }],
  ["cpu.burst", { cpu: { quota: 5000, burst: 4000 } }, { "cpu.max": "5000 100000", "cpu.max.burst": "4000" }],
  ["cpu.idle", { cpu: { idle: 1, shares: 1024 } }, { "cpu.idle": "1", "cpu.weight": "0" }],
  ["cpu.cpus and mems", { cpu: { cpus: "1", mems: "0" } }, { "cpuset.cpus": "1", "cpuset.mems": "0" }],
  ["cpu.cpus in ranges", { cpu: { cpus: "0-0, 1" } }, { "cpuset.cpus": "0-1" }],
  ["pids.limit", { pids: { limit: 20 } }, { "pids.max": "20" }],
  ["pids.limit 0", { pids: { limit: 0 } }, { "pids.max": "1" }],
  ["pids.limit -1", { pids: { limit: -1 } }, { "pids.max": "max" }],
  [
    "hugepageLimits",
    {
      hugepageLimits: [
        { pageSize: "2MB", limit: 4 * MB },
        { pageSize: "1GB", limit: 0 },
      ],
    },
    {
      "hugetlb.2MB.max": "4194304",
      "hugetlb.2MB.rsvd.max": "4194304",
      "hugetlb.1GB.max": "0",
      "hugetlb.1GB.rsvd.max": "0",
    },
  ],
  [
    "hugepageLimits without a limit",
    { hugepageLimits: [{ pageSize: "2MB", limit: 2 ** 64 }] },
    { "hugetlb.2MB.max": "max" },
  ],
  [
    "unified",
    { unified: { "memory.high": "10M", "cgroup.max.descendants": "3" } },
    { "memory.high": "10485760", "cgroup.max.descendants": "3" },
  ],
  [
    "unified, over other fields",
    {
      memory: { limit: 64 * MB },
      pids: { limit: 5 },
      unified: { "memory.max": "33554432", "pids.max": "9" },
    },
    { "memory.max": "33554432", "pids.max": "9" },
  ],
];

test.each(ROWS)("%s", (_, resources, files) => {
  const found = withLimits(resources, (path) =>
    Object.fromEntries(Object.keys(files).map((file) => [file, read(path, file)])),
  );
  expect(found).toEqual(files);
});

test("blockIO.weight", () => {
  withLimits({ blockIO: { weight: 500 } }, (path) => {
    const bfq = readdirSync(mount + path).includes("io.bfq.weight");
    expect(read(path, bfq ? "io.bfq.weight" : "io.weight")).toBe(bfq ? "default 500" : "default 4950");
  });
});

test("controllers are enabled for every cgroup on the way, and not for the container's own children", () => {
  withLimits({}, (path) => {
    const all = read("", "cgroup.controllers");
    expect(all.split(" ")).toContain("memory");
    expect(read(top, "cgroup.subtree_control")).toBe(all);
    expect(read(path, "cgroup.controllers")).toBe(all);
    expect(read(path, "cgroup.subtree_control")).toBe("");
  });
});

/** linux.resources, and parts of the message. */
const REFUSED: readonly [resources: Resources, ...parts: string[]][] = [
  [
    { cpu: { cpus: "77" } },
    'linux.resources.cpu.cpus: write "77" to "',
    'cpuset.cpus": numerical result out of range',
    "the host has the CPUs 0-1",
  ],
  [{ cpu: { mems: "5" } }, 'linux.resources.cpu.mems: write "5" to', "the host has the memory nodes 0"],
  [
    { blockIO: { throttleReadBpsDevice: [{ major: 4000, minor: 7, rate: 1 }] } },
    "linux.resources.blockIO.throttleReadBpsDevice[0].rate",
    "no such device",
    "there is no whole block device 4000:7",
  ],
  [
    { blockIO: { weightDevice: [{ major: 4000, minor: 7, weight: 100 }] } },
    "linux.resources.blockIO.weightDevice[0].weight",
    "there is no whole block device 4000:7",
  ],
  [
    { hugepageLimits: [{ pageSize: "3MB", limit: 0 }] },
    "linux.resources.hugepageLimits[0]",
    "no huge pages of this size",
  ],
  [{ rdma: { mlx9: { hcaHandles: 1 } } }, 'linux.resources.rdma["mlx9"]', "/sys/class/infiniband"],
  [
    { unified: { "nonsense.max": "1" } },
    'linux.resources.unified["nonsense.max"]: the controller "nonsense" is not available',
    "the host has cpuset, cpu, io, memory",
  ],
  [
    { unified: { "memory.nonsense": "1" } },
    'linux.resources.unified["memory.nonsense"]',
    "no such file or directory",
    "this kernel has no such file",
  ],
  [{ unified: { "memory.max": "much" } }, 'write "much" to', "invalid argument", "a number of bytes"],
  [
    { unified: { "memory.current": "1" } },
    'linux.resources.unified["memory.current"]',
    "this file can only be read",
  ],
];

test.each(REFUSED)("%j is refused, and leaves nothing", (resources, ...parts) => {
  const message = refusal(resources);
  for (const part of parts) expect(message).toContain(part);
});

test("v1's own fields are ignored, with a warning", () => {
  const resources: Resources = {
    memory: { limit: 64 * MB, swappiness: 10, kernel: 1, disableOOMKiller: true, useHierarchy: true },
    cpu: { realtimeRuntime: 1000, realtimePeriod: 10_000 },
    blockIO: { leafWeight: 10 },
    network: { classID: 1, priorities: [{ name: "lo", priority: 1 }] },
  };
  const { status, stderr } = runLimited(resources, "true");
  expect(status).toBe(0);
  const named = stderr.split("\n").filter((line) => line.includes("cgroup v2 has nothing like it"));
  expect(named.map((line) => /linux\.resources\.([\w.]+)/.exec(line)?.[1])).toEqual([
    "memory.kernel",
    "memory.swappiness",
    "memory.disableOOMKiller",
    "cpu.realtimeRuntime",
    "cpu.realtimePeriod",
    "blockIO.leafWeight",
    "network.classID",
    "network.priorities",
  ]);
});
