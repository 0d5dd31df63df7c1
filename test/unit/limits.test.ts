import { describe, expect, test } from "vitest";
import { previous } from "../../src/cgroups/apply.ts";
import { asksForLimits } from "../../src/cgroups/limits/asked.ts";
import { weightOfShares } from "../../src/cgroups/limits/cpu.ts";
import { decimal } from "../../src/cgroups/limits/decimal.ts";
import { hintFor } from "../../src/cgroups/limits/hint.ts";
import { ioWeight } from "../../src/cgroups/limits/io.ts";
import { swapLimit } from "../../src/cgroups/limits/memory.ts";
import { limitsOf } from "../../src/cgroups/limits/v2.ts";
import {
  EACCES,
  EBUSY,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
  ERANGE,
  EROFS,
} from "../../src/linux/errno.ts";
import type { Resources } from "../../src/spec/resources.ts";

/** 'memory.max=1' for each write, in their order. */
const written = (resources: Resources) =>
  limitsOf(resources).writes.map(({ file, value }) => `${file}=${value}`);

describe("linux.resources as writes", () => {
  test.each<[Resources, string[]]>([
    [{}, []],
    [{ devices: [{ allow: false, access: "rwm" }] }, []],
    [
      { memory: {}, cpu: {}, pids: {}, blockIO: {}, hugepageLimits: [], network: {}, rdma: {}, unified: {} },
      [],
    ],
    // What Docker writes for a container without limits.
    [{ memory: { limit: 0, swap: 0 }, cpu: { shares: 0, cpus: "", mems: "" }, blockIO: { weight: 0 } }, []],

    [{ memory: { limit: 4096 } }, ["memory.max=4096"]],
    [{ memory: { limit: -1 } }, ["memory.swap.max=max", "memory.max=max"]],
    [{ memory: { limit: 2 ** 63 - 4096 } }, ["memory.max=9223372036854771712"]],
    [{ memory: { limit: 2 ** 63 } }, ["memory.max=9223372036854775807"]],
    [{ memory: { reservation: 4096 } }, ["memory.low=4096"]],
    [{ memory: { reservation: -1 } }, ["memory.low=max"]],
    [{ memory: { limit: 4096, swap: 12288 } }, ["memory.swap.max=8192", "memory.max=4096"]],
    [{ memory: { limit: 4096, swap: 4096 } }, ["memory.swap.max=0", "memory.max=4096"]],
    [{ memory: { limit: 4096, swap: -1 } }, ["memory.swap.max=max", "memory.max=4096"]],
    [{ memory: { swap: -1 } }, ["memory.swap.max=max"]],
    [{ memory: { limit: -1, swap: 4096 } }, ["memory.swap.max=4096", "memory.max=max"]],

    [{ pids: { limit: 7 } }, ["pids.max=7"]],
    [{ pids: { limit: 0 } }, ["pids.max=1"]],
    [{ pids: { limit: -1 } }, ["pids.max=max"]],

    [{ cpu: { shares: 1024 } }, ["cpu.weight=100"]],
    [{ cpu: { idle: 1 } }, ["cpu.idle=1"]],
    [{ cpu: { idle: 0, shares: 2 } }, ["cpu.idle=0", "cpu.weight=1"]],
    [{ cpu: { idle: 1, shares: 1024 } }, ["cpu.idle=1"]],
    [{ cpu: { quota: 5000 } }, ["cpu.max=5000 100000"]],
    [{ cpu: { quota: -1 } }, ["cpu.max=max 100000"]],
    [{ cpu: { period: 5000 } }, ["cpu.max=max 5000"]],
    [{ cpu: { quota: 2000, period: 5000 } }, ["cpu.max=2000 5000"]],
    [{ cpu: { burst: 5000 } }, ["cpu.max.burst=5000"]],
    [
      { cpu: { quota: 2000, burst: 1000 } },
      ["cpu.max.burst=1000", "cpu.max=2000 100000", "cpu.max.burst=1000"],
    ],
    [{ cpu: { cpus: "0-1", mems: "0" } }, ["cpuset.cpus=0-1", "cpuset.mems=0"]],
    [{ cpu: { realtimePeriod: 5, realtimeRuntime: 5 } }, []],

    [{ blockIO: { weight: 10 } }, ["io.bfq.weight=10"]],
    [{ blockIO: { weightDevice: [{ major: 8, minor: 16, weight: 20 }] } }, ["io.bfq.weight=8:16 20"]],
    [{ blockIO: { weightDevice: [{ major: 8, minor: 16, leafWeight: 20 }] } }, []],
    [{ blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }] } }, ["io.max=8:0 rbps=1"]],
    [{ blockIO: { throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 1 }] } }, ["io.max=8:0 wbps=1"]],
    [{ blockIO: { throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 1 }] } }, ["io.max=8:0 riops=1"]],
    [{ blockIO: { throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 1 }] } }, ["io.max=8:0 wiops=1"]],
    [{ blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 0 }] } }, ["io.max=8:0 rbps=max"]],

    [
      { hugepageLimits: [{ pageSize: "2MB", limit: 2 ** 64 }] },
      ["hugetlb.2MB.max=18446744073709551615", "hugetlb.2MB.rsvd.max=18446744073709551615"],
    ],
    [{ rdma: { mlx5: { hcaHandles: 3, hcaObjects: 4 } } }, ["rdma.max=mlx5 hca_handle=3 hca_object=4"]],
    [{ rdma: { mlx5: { hcaObjects: 2 ** 32 - 1 }, mlx6: {} } }, ["rdma.max=mlx5 hca_object=max"]],
    [{ network: { classID: 1 } }, []],
    [
      { unified: { "memory.high": "1", "io.max": "8:0 rbps=1\n8:1 rbps=2\n" } },
      ["memory.high=1", "io.max=8:0 rbps=1", "io.max=8:1 rbps=2"],
    ],
    [{ unified: { "cpuset.cpus": "" } }, ["cpuset.cpus="]],
  ])("%j", (resources, writes) => {
    expect(written(resources)).toEqual(writes);
  });

  test("come in an order, unified last", () => {
    const files = limitsOf({
      unified: { "pids.max": "1" },
      rdma: { a: { hcaHandles: 1 } },
      hugepageLimits: [{ pageSize: "2MB", limit: 1 }],
      cpu: { shares: 2, cpus: "0" },
      blockIO: { weight: 10 },
      memory: { limit: 1 },
      pids: { limit: 1 },
    }).writes.map(({ file }) => file);
    expect(files).toEqual([
      "pids.max",
      "memory.max",
      "io.bfq.weight",
      "cpu.weight",
      "cpuset.cpus",
      "hugetlb.2MB.max",
      "hugetlb.2MB.rsvd.max",
      "rdma.max",
      "pids.max",
    ]);
  });

  test("name the field and the controller of each", () => {
    const { writes } = limitsOf({
      memory: { limit: 2, swap: 3 },
      blockIO: { throttleWriteIOPSDevice: [{ major: 1, minor: 2, rate: 3 }] },
      unified: { "misc.max": "sev 1" },
    });
    expect(writes.map(({ controller, path, key }) => [controller, path, key])).toEqual([
      ["memory", "linux.resources.memory.swap", undefined],
      ["memory", "linux.resources.memory.limit", undefined],
      ["io", "linux.resources.blockIO.throttleWriteIOPSDevice[0].rate", "1:2"],
      ["misc", 'linux.resources.unified["misc.max"]', "sev"],
    ]);
  });

  test("have an alternative for a kernel without bfq", () => {
    const [weight, device] = limitsOf({
      blockIO: { weight: 500, weightDevice: [{ major: 8, minor: 0, weight: 1000 }] },
    }).writes;
    expect(weight?.otherwise).toEqual({ file: "io.weight", value: "4950" });
    expect(device?.otherwise).toEqual({ file: "io.weight", value: "8:0 10000" });
  });

  test("are optional where they change nothing in a new cgroup", () => {
    const { writes } = limitsOf({
      memory: { limit: -1 },
      pids: { limit: -1 },
      cpu: { quota: -1, idle: 0, burst: 0 },
    });
    expect(writes.filter(({ optional, retried }) => !optional && !retried)).toEqual([]);
  });

  test("v1's own fields come to nothing, by name", () => {
    const { ignored, writes } = limitsOf({
      memory: { kernel: 1, kernelTCP: 1, swappiness: 0, disableOOMKiller: true, useHierarchy: true },
      cpu: { realtimePeriod: 1, realtimeRuntime: 1 },
      blockIO: { leafWeight: 10, weightDevice: [{ major: 8, minor: 0, leafWeight: 10 }] },
      network: { classID: 1, priorities: [{ name: "lo", priority: 1 }] },
    });
    expect(writes).toEqual([]);
    expect(
      ignored.map(({ path, controller }) => `${controller} ${path.slice("linux.resources.".length)}`),
    ).toEqual([
      "memory memory.kernel",
      "memory memory.kernelTCP",
      "memory memory.swappiness",
      "memory memory.disableOOMKiller",
      "cpu cpu.realtimeRuntime",
      "cpu cpu.realtimePeriod",
      "blkio blockIO.leafWeight",
      "blkio blockIO.weightDevice[0].leafWeight",
      "net_cls network.classID",
      "net_prio network.priorities",
    ]);
  });

  test("checkBeforeUpdate names what to compare", () => {
    expect(limitsOf({ memory: { limit: 1, swap: 2 } }).ceilings).toEqual([]);
    expect(limitsOf({ memory: { limit: -1, swap: -1, checkBeforeUpdate: true } }).ceilings).toEqual([]);
    expect(limitsOf({ memory: { limit: 1, swap: 2, checkBeforeUpdate: true } }).ceilings).toEqual([
      { path: "linux.resources.memory.swap", limit: 2 },
      { path: "linux.resources.memory.limit", limit: 1 },
    ]);
  });
});

test.each([
  [1, 1],
  [2, 1],
  [3, 2],
  [10, 4],
  [100, 17],
  [512, 59],
  [1024, 100],
  [2048, 174],
  [102_400, 4429],
  [262_143, 10_000],
  [262_144, 10_000],
  [2 ** 64, 10_000],
])("%d shares are a weight of %d", (shares, weight) => {
  expect(weightOfShares(shares)).toBe(weight);
});

test.each([
  [10, 1],
  [500, 4950],
  [1000, 10_000],
])("blockIO.weight %d is io.weight %d", (weight, io) => {
  expect(ioWeight(weight)).toBe(io);
});

test.each([
  [{}, undefined],
  [{ limit: 5 }, undefined],
  [{ limit: -1 }, -1],
  [{ limit: 5, swap: -1 }, -1],
  [{ limit: -1, swap: 5 }, 5],
  [{ limit: 5, swap: 5 }, 0],
  [{ limit: 5, swap: 7 }, 2],
])("the swap of %j is %s", (memory, swap) => {
  expect(swapLimit(memory)).toBe(swap);
});

test.each([
  [0, "0"],
  [2 ** 53, "9007199254740992"],
  [2 ** 62, "4611686018427387904"],
  [2 ** 63, "9223372036854775807"],
  [2 ** 64, "18446744073709551615"],
])("%d is written without invented digits", (value, text) => {
  expect(decimal(value)).toBe(text);
});

describe("whether limits are asked for", () => {
  test.each<[Resources | undefined, boolean]>([
    [undefined, false],
    [{}, false],
    [{ devices: [{ allow: false, access: "rwm" }] }, false],
    [{ memory: { limit: 0, disableOOMKiller: false }, cpu: { shares: 0, cpus: "" }, unified: {} }, false],
    [
      { blockIO: { weight: 0, weightDevice: [] }, hugepageLimits: [], network: { priorities: [] }, rdma: {} },
      false,
    ],
    [{ pids: {} }, false],
    [{ pids: { limit: 0 } }, true],
    [{ memory: { swappiness: 0 } }, true],
    [{ memory: { limit: -1 } }, true],
    [{ cpu: { idle: 0 } }, true],
    [{ cpu: { cpus: "0" } }, true],
    [{ hugepageLimits: [{ pageSize: "2MB", limit: 0 }] }, true],
    [{ rdma: { a: { hcaHandles: 0 } } }, true],
    [{ unified: { "cpuset.cpus": "" } }, true],
  ])("%j: %s", (resources, asks) => {
    expect(asksForLimits(resources)).toBe(asks);
  });
});

describe("hints", () => {
  const hint = (file: string, errno: number, key?: string) =>
    hintFor(
      { controller: "x", file, value: "1", path: "x", ...(key === undefined ? {} : { key }) },
      errno,
      (path) => (path.includes("cpu") ? "0-3\n" : undefined),
    );

  test.each([
    ["memory.max", EBUSY, "cannot give back enough"],
    ["memory.max", EINVAL, "a number of bytes"],
    ["memory.current", EINVAL, "this file can only be read"],
    ["pids.max", EINVAL, "0 to 4194304"],
    ["cpu.weight", EINVAL, "is idle"],
    ["cpu.weight", ERANGE, "1 to 10000"],
    ["cpu.max", EINVAL, "a quota of 1000 or more"],
    ["cpu.max.burst", EINVAL, "as large as the quota"],
    ["cpuset.cpus", ERANGE, "the host has the CPUs 0-3; write a list"],
    ["cpuset.mems", EINVAL, 'write a list such as "0-3,7"'],
    ["cpuset.cpus", ENOSPC, "left without a CPU"],
    ["io.max", ENODEV, "no whole block device 8:0"],
    ["io.max", EOPNOTSUPP, "does not throttle"],
    ["io.weight", EOPNOTSUPP, "neither the bfq scheduler"],
    ["io.bfq.weight", EOPNOTSUPP, "neither the bfq scheduler"],
    ["rdma.max", EINVAL, "/sys/class/infiniband"],
    ["hugetlb.3MB.max", ENOENT, "no huge pages of this size"],
    ["memory.nonsense", ENOENT, "this kernel has no such file"],
    ["memory.max", EACCES, "it takes root"],
    ["memory.max", EROFS, "mounted read-only"],
  ])("%s, errno %d: %s", (file, errno, part) => {
    expect(hint(file, errno, "8:0")).toContain(part);
  });

  test("there is none for what means nothing in particular", () => {
    expect(hint("memory.max", EIO)).toBeUndefined();
  });
});

describe("what a file said before, as it is to be written back", () => {
  test.each([
    ["67108864\n", "memory.max", undefined, "67108864"],
    ["max 100000\n", "cpu.max", undefined, "max 100000"],
    ["\n", "cpuset.cpus", undefined, ""],
    ["default 100\n8:0 50\n", "io.weight", undefined, "default 100"],
    ["default 100\n8:0 50\n", "io.weight", "8:0", "8:0 50"],
    ["default 100\n8:0 50\n", "io.weight", "8:1", "8:1 default"],
    ["8:0 rbps=1 wbps=max riops=max wiops=max\n", "io.max", "8:0", "8:0 rbps=1 wbps=max riops=max wiops=max"],
    ["", "io.max", "8:0", "8:0 rbps=max wbps=max riops=max wiops=max"],
    ["mlx5 hca_handle=max hca_object=4\n", "rdma.max", "mlx5", "mlx5 hca_handle=max hca_object=4"],
    ["", "rdma.max", "mlx6", undefined],
    ["oom_kill_disable 1\nunder_oom 0\noom_kill 0\n", "memory.oom_control", undefined, "1"],
    ["8:0 100\n", "blkio.throttle.read_bps_device", "8:0", "8:0 100"],
    ["8:0 100\n", "blkio.throttle.read_bps_device", "8:16", "8:16 0"],
    ["100\n", "blkio.bfq.weight_device", "8:0", "8:0 default"],
  ])("%j of %s, %s", (content, file, key, value) => {
    expect(previous(content, file, key)).toBe(value);
  });
});
