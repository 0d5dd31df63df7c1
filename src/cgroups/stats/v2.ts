import {
  type BlkioEntry,
  type BlkioList,
  type Count,
  count,
  type HugetlbEntry,
  keyed,
  plus,
  pressure,
  type ReadStat,
  type Stats,
  times,
} from "./stats.ts";

/** What cgroup v2 tells of a container; Documentation/admin-guide/cgroup-v2.rst. @param pageSizes "2MB", of huge pages */
export function v2Stats(read: ReadStat, pageSizes: readonly string[]): Stats {
  return {
    cpu: { ...cpu(read), ...pressure(read("cpu.pressure")) },
    cpuset: {},
    memory: { ...memory(read), ...pressure(read("memory.pressure")) },
    pids: pids(read),
    blkio: { ...blkio(read("io.stat")), ...pressure(read("io.pressure")) },
    hugetlb: hugetlb(read, pageSizes),
    intel_rdt: {},
    network_interfaces: null,
  };
}

function cpu(read: ReadStat): Stats["cpu"] {
  const stat = keyed(read("cpu.stat"));
  const nanoseconds = (name: string) => times(stat[name], 1000);
  return {
    usage: {
      total: nanoseconds("usage_usec"),
      kernel: nanoseconds("system_usec"),
      user: nanoseconds("user_usec"),
    },
    throttling: {
      ...(stat.nr_periods === undefined ? {} : { periods: stat.nr_periods }),
      ...(stat.nr_throttled === undefined ? {} : { throttledPeriods: stat.nr_throttled }),
      ...(stat.throttled_usec === undefined ? {} : { throttledTime: nanoseconds("throttled_usec") }),
    },
  };
}

function memory(read: ReadStat): Stats["memory"] {
  const stat = read("memory.stat");
  const raw = keyed(stat);
  const usage = count(read("memory.current"));
  const limit = count(read("memory.max"));
  const failures = keyed(read("memory.events")).max ?? 0;
  const peak = read("memory.peak");
  // As in v1, where swap is counted with memory: what engines subtract.
  const swap = count(read("memory.swap.current"));
  const swapLimit = count(read("memory.swap.max"));
  const nothing = { limit: 0, failcnt: 0 };
  return {
    ...(raw.file === undefined ? {} : { cache: raw.file }),
    usage: { limit, usage, ...(peak === undefined ? {} : { max: count(peak) }), failcnt: failures },
    swap: { limit: plus(swapLimit, limit), usage: plus(usage, swap), failcnt: 0 },
    kernel: raw.kernel === undefined ? nothing : { ...nothing, usage: raw.kernel },
    kernelTCP: raw.sock === undefined ? nothing : { ...nothing, usage: raw.sock },
    ...(stat === undefined ? {} : { raw }),
  };
}

function pids(read: ReadStat): Stats["pids"] {
  const limit = read("pids.max")?.trim();
  return {
    current: count(read("pids.current")),
    ...(limit === undefined || limit === "max" ? {} : { limit: count(limit) }),
  };
}

/** In io.stat a line is "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6". */
const IO: Readonly<Record<string, readonly [list: BlkioList, op: string]>> = {
  rbytes: ["ioServiceBytesRecursive", "Read"],
  wbytes: ["ioServiceBytesRecursive", "Write"],
  dbytes: ["ioServiceBytesRecursive", "Discard"],
  rios: ["ioServicedRecursive", "Read"],
  wios: ["ioServicedRecursive", "Write"],
  dios: ["ioServicedRecursive", "Discard"],
};

function blkio(text: string | undefined): Partial<Record<BlkioList, BlkioEntry[]>> {
  const lists: Partial<Record<BlkioList, BlkioEntry[]>> = {};
  for (const line of (text ?? "").split("\n")) {
    const [device = "", ...fields] = line.split(" ");
    const [major, minor] = device.split(":").map(Number);
    if (major === undefined || minor === undefined) continue;
    for (const field of fields) {
      const [key = "", value] = field.split("=");
      const row = IO[key];
      if (row === undefined) continue;
      const [list, op] = row;
      lists[list] ??= [];
      lists[list].push({ major, minor, op, value: count(value) });
    }
  }
  return lists;
}

function hugetlb(read: ReadStat, pageSizes: readonly string[]): Record<string, HugetlbEntry> {
  const entries: Record<string, HugetlbEntry> = {};
  for (const size of pageSizes) {
    const usage = read(`hugetlb.${size}.current`);
    if (usage === undefined) continue;
    const failcnt: Count = keyed(read(`hugetlb.${size}.events`)).max ?? 0;
    entries[size] = { usage: count(usage), failcnt };
  }
  return entries;
}
