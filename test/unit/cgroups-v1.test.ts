import { describe, expect, test } from "vitest";
import { limitsWithout } from "../../src/cgroups/limits/load.ts";
import { limitsOf } from "../../src/cgroups/limits/v2.ts";
import { hierarchiesIn } from "../../src/cgroups/v1/hierarchies.ts";
import { v1Writes } from "../../src/cgroups/v1/limits.ts";
import { placeIn } from "../../src/cgroups/v1/place.ts";
import type { Resources } from "../../src/spec/resources.ts";

describe("the hierarchies of a host", () => {
  const mountinfo = [
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755",
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct",
    "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd",
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
  ].join("\n");
  const own = "12:pids:/\n5:cpu,cpuacct:/user\n4:memory:/docker/abc/d\n1:name=systemd:/\n0::/own\n";

  test("are those of v1 that are mounted, with where the caller is in them", () => {
    expect(hierarchiesIn(own, mountinfo)).toEqual([
      { controllers: ["cpu", "cpuacct"], mount: "/sys/fs/cgroup/cpu,cpuacct", own: "/user" },
      { controllers: ["memory"], mount: "/sys/fs/cgroup/memory", own: "/d" },
      { controllers: [], mount: "/sys/fs/cgroup/systemd", own: "" },
    ]);
  });

  test("are where mountinfo says in its escapes", () => {
    const escaped = "33 31 0:30 /a\\040b /mnt/my\\040groups rw - cgroup cgroup rw,pids";
    expect(hierarchiesIn("3:pids:/a b/c (deleted)\n", escaped)).toEqual([
      { controllers: ["pids"], mount: "/mnt/my groups", own: "/c" },
    ]);
  });

  test("are not where another mount hides them", () => {
    const twice = [
      "33 31 0:30 / /hidden rw - cgroup cgroup rw,pids",
      "34 31 0:30 / /seen rw - cgroup cgroup rw,pids",
    ].join("\n");
    const found = hierarchiesIn("3:pids:/\n", twice, (point) => point !== "/hidden");
    expect(found).toEqual([{ controllers: ["pids"], mount: "/seen", own: "" }]);
  });

  test("are none on a host with v2 alone", () => {
    expect(hierarchiesIn("0::/own\n", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")).toEqual([]);
  });

  test.each([
    [undefined, "/ID"],
    ["", "/ID"],
    ["/a/b", "/a/b"],
    ["a/b", "/user/a/b"],
  ])("cgroupsPath %j leads to %s", (cgroupsPath, path) => {
    const hierarchy = { controllers: ["cpu"], mount: "/m", own: "/user" };
    expect(placeIn(hierarchy, cgroupsPath, "ID")).toEqual({ controllers: ["cpu"], mount: "/m", path });
  });
});

/** "controller file value" of each write, with a mark for what may fail. */
const writes = (resources: Resources) =>
  v1Writes(resources).map(
    ({ controller, file, value, otherwise, optional, retried }) =>
      `${controller} ${file} ${value}${otherwise === undefined ? "" : ` else ${otherwise.file}`}${optional ? " optional" : ""}${retried ? " retried" : ""}`,
  );

describe("limits on v1", () => {
  test.each<[string, Resources, string[]]>([
    ["nothing", {}, []],
    ["pids", { pids: { limit: 5 } }, ["pids pids.max 5"]],
    ["pids without limit", { pids: { limit: -1 } }, ["pids pids.max max"]],
    ["memory", { memory: { limit: 4096 } }, ["memory memory.limit_in_bytes 4096"]],
    [
      "memory and swap, whichever of both has to come first",
      { memory: { limit: 4096, swap: 8192 } },
      [
        "memory memory.limit_in_bytes 4096 retried",
        "memory memory.memsw.limit_in_bytes 8192",
        "memory memory.limit_in_bytes 4096",
      ],
    ],
    [
      "memory without limit, and so swap",
      { memory: { limit: -1 } },
      [
        "memory memory.limit_in_bytes -1 retried",
        "memory memory.memsw.limit_in_bytes -1 optional",
        "memory memory.limit_in_bytes -1",
      ],
    ],
    [
      "what v2 has nothing for",
      { memory: { reservation: 1, kernelTCP: 2, swappiness: 0, disableOOMKiller: true } },
      [
        "memory memory.soft_limit_in_bytes 1",
        "memory memory.kmem.tcp.limit_in_bytes 2",
        "memory memory.swappiness 0",
        "memory memory.oom_control 1",
      ],
    ],
    [
      "cpu",
      { cpu: { shares: 2, quota: 3000, period: 4000, burst: 5, idle: 0, cpus: "0", mems: "0" } },
      [
        "cpu cpu.shares 2",
        "cpu cpu.cfs_burst_us 5 retried",
        "cpu cpu.cfs_period_us 4000 retried",
        "cpu cpu.cfs_quota_us 3000",
        "cpu cpu.cfs_period_us 4000",
        "cpu cpu.cfs_burst_us 5",
        "cpu cpu.idle 0 optional",
        "cpuset cpuset.cpus 0",
        "cpuset cpuset.mems 0",
      ],
    ],
    [
      "real-time",
      { cpu: { realtimePeriod: 1000, realtimeRuntime: 500 } },
      ["cpu cpu.rt_period_us 1000", "cpu cpu.rt_runtime_us 500"],
    ],
    [
      "blockIO",
      {
        blockIO: {
          weight: 10,
          leafWeight: 20,
          weightDevice: [{ major: 8, minor: 0, weight: 30, leafWeight: 40 }],
          throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
          throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 2 }],
          throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 3 }],
          throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 0 }],
        },
      },
      [
        "blkio blkio.bfq.weight 10 else blkio.weight",
        "blkio blkio.leaf_weight 20",
        "blkio blkio.bfq.weight_device 8:0 30 else blkio.weight_device",
        "blkio blkio.leaf_weight_device 8:0 40",
        "blkio blkio.throttle.read_bps_device 8:0 1",
        "blkio blkio.throttle.write_bps_device 8:0 2",
        "blkio blkio.throttle.read_iops_device 8:0 3",
        "blkio blkio.throttle.write_iops_device 8:0 0",
      ],
    ],
    [
      "huge pages",
      { hugepageLimits: [{ pageSize: "2MB", limit: 4 }] },
      ["hugetlb hugetlb.2MB.limit_in_bytes 4", "hugetlb hugetlb.2MB.rsvd.limit_in_bytes 4 optional"],
    ],
    [
      "network",
      { network: { classID: 7, priorities: [{ name: "eth0", priority: 3 }] } },
      ["net_cls net_cls.classid 7", "net_prio net_prio.ifpriomap eth0 3"],
    ],
  ])("%s", (_, resources, expected) => {
    expect(writes(resources)).toEqual(expected);
  });

  test("are not asked of v2 as well, but for what names its files", () => {
    const limits = limitsOf({
      memory: { limit: 4096, swappiness: 1 },
      blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }] },
      pids: { limit: 1 },
      unified: { "memory.high": "1" },
    });
    const left = limitsWithout(limits, ["memory", "blkio"]);
    expect(left.writes.map(({ file }) => file)).toEqual(["pids.max", "memory.high"]);
    expect(left.ignored).toEqual([]);
  });
});
