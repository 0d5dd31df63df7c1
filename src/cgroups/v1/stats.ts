import {
  type BlkioEntry,
  type BlkioList,
  count,
  type HugetlbEntry,
  keyed,
  type MemoryEntry,
  type ReadStat,
  type Stats,
  times,
} from "../stats/stats.ts";

/** The kernel's clock ticks in a second, as it tells them to programs: 100 on every architecture that berth knows. */
const USER_HZ = 100;
const TICK = 1e9 / USER_HZ;

/**
 * The sections that cgroup v1 has of a container's statistics; Documentation/admin-guide/cgroup-v1.
 * @param read finds a file in the hierarchy of the controller that its name begins with
 * @param has whether the container has a controller on v1
 */
export function v1Stats(
  read: ReadStat,
  pageSizes: readonly string[],
  has: (controller: string) => boolean,
): Partial<Stats> {
  return {
    ...(has("cpuacct") || has("cpu") ? { cpu: cpu(read) } : {}),
    ...(has("cpuset") ? { cpuset: cpuset(read) } : {}),
    ...(has("memory") ? { memory: memory(read) } : {}),
    ...(has("pids") ? { pids: pids(read) } : {}),
    ...(has("blkio") ? { blkio: blkio(read) } : {}),
    ...(has("hugetlb") ? { hugetlb: hugetlb(read, pageSizes) } : {}),
  };
}

function cpu(read: ReadStat): Stats["cpu"] {
  const ticks = keyed(read("cpuacct.stat"));
  const throttling = keyed(read("cpu.stat"));
  // "cpu user system", a line for each CPU.
  const rows = (read("cpuacct.usage_all") ?? "")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.split(" "));
  return {
    usage: {
      total: count(read("cpuacct.usage")),
      percpu: (read("cpuacct.usage_percpu") ?? "").trim().split(" ").map(count),
      percpu_kernel: rows.map(([, , kernel]) => count(kernel)),
      percpu_user: rows.map(([, user]) => count(user)),
      kernel: times(ticks.system, TICK),
      user: times(ticks.user, TICK),
    },
    throttling: {
      ...(throttling.nr_periods ? { periods: throttling.nr_periods } : {}),
      ...(throttling.nr_throttled ? { throttledPeriods: throttling.nr_throttled } : {}),
      ...(throttling.throttled_time ? { throttledTime: throttling.throttled_time } : {}),
    },
  };
}

const CPUSET_FLAGS = [
  "cpu_exclusive",
  "mem_hardwall",
  "mem_exclusive",
  "memory_migrate",
  "memory_spread_page",
  "memory_spread_slab",
  "memory_pressure",
  "sched_load_balance",
  "sched_relax_domain_level",
] as const;

function cpuset(read: ReadStat): Stats["cpuset"] {
  return {
    cpus: numbers(read("cpuset.cpus")),
    mems: numbers(read("cpuset.mems")),
    ...Object.fromEntries(CPUSET_FLAGS.map((name) => [name, count(read(`cpuset.${name}`))])),
  };
}

/** "0-2,7" as 0, 1, 2, 7. */
function numbers(list = ""): number[] {
  const all: number[] = [];
  for (const range of list.trim().split(",")) {
    if (range === "") continue;
    const [first = 0, last = first] = range.split("-").map(Number);
    for (let n = first; n <= last; n++) all.push(n);
  }
  return all;
}

function memory(read: ReadStat): Stats["memory"] {
  const raw = keyed(read("memory.stat"));
  const entry = (name: string): MemoryEntry => {
    const value = (file: string) => count(read(`memory.${name}${file}`));
    return {
      limit: value("limit_in_bytes"),
      usage: value("usage_in_bytes"),
      max: value("max_usage_in_bytes"),
      failcnt: value("failcnt"),
    };
  };
  return {
    ...(raw.cache === undefined ? {} : { cache: raw.cache }),
    usage: entry(""),
    swap: entry("memsw."),
    kernel: entry("kmem."),
    kernelTCP: entry("kmem.tcp."),
    raw,
  };
}

function pids(read: ReadStat): Stats["pids"] {
  const limit = read("pids.max")?.trim();
  return {
    current: count(read("pids.current")),
    ...(limit === undefined || limit === "max" ? {} : { limit: count(limit) }),
  };
}

function blkio(read: ReadStat): Stats["blkio"] {
  const lists: Partial<Record<BlkioList, BlkioEntry[]>> = {};
  for (const [name, files] of [
    [
      "ioServiceBytesRecursive",
      ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"],
    ],
    ["ioServicedRecursive", ["blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"]],
  ] as const) {
    const entries = blkioEntries(files.map(read).find((text) => text !== undefined));
    if (entries.length > 0) lists[name] = entries;
  }
  return lists;
}

/** Lines "8:0 Read 4096"; the last, "Total 4096", is of no device. */
function blkioEntries(text = ""): BlkioEntry[] {
  const entries: BlkioEntry[] = [];
  for (const line of text.split("\n")) {
    const [, major, minor, op = "", value] = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line) ?? [];
    if (value !== undefined)
      entries.push({ major: Number(major), minor: Number(minor), op, value: count(value) });
  }
  return entries;
}

function hugetlb(read: ReadStat, pageSizes: readonly string[]): Record<string, HugetlbEntry> {
  const entries: Record<string, HugetlbEntry> = {};
  for (const size of pageSizes) {
    const value = (file: string) => count(read(`hugetlb.${size}.${file}`));
    entries[size] = {
      usage: value("usage_in_bytes"),
      max: value("max_usage_in_bytes"),
      failcnt: value("failcnt"),
    };
  }
  return entries;
}
