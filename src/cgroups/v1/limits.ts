import type { Resources } from "../../spec/resources.ts";
import { decimal } from "../limits/decimal.ts";
import type { LimitWrite } from "../limits/limit.ts";

type Memory = NonNullable<Resources["memory"]>;
type Cpu = NonNullable<Resources["cpu"]>;
type BlockIO = NonNullable<Resources["blockIO"]>;

const AT = "linux.resources";

/**
 * What linux.resources asks for, apart from devices, as writes to the files of cgroup v1;
 * Documentation/admin-guide/cgroup-v1. Pure. A write whose controller is not on v1 here is not for us.
 */
export function v1Writes(resources: Resources = {}): LimitWrite[] {
  return [
    ...pidsWrites(resources.pids),
    ...memoryWrites(resources.memory ?? {}),
    ...cpuWrites(resources.cpu ?? {}),
    ...cpusetWrites(resources.cpu ?? {}),
    ...blkioWrites(resources.blockIO ?? {}),
    ...hugetlbWrites(resources.hugepageLimits ?? []),
    ...networkWrites(resources.network),
  ];
}

function pidsWrites(pids: Resources["pids"]): LimitWrite[] {
  if (pids?.limit === undefined) return [];
  const value = pids.limit < 0 ? "max" : decimal(pids.limit);
  return [{ controller: "pids", file: "pids.max", value, path: `${AT}.pids.limit` }];
}

function memoryWrites(memory: Memory): LimitWrite[] {
  const { limit = 0, reservation = 0, kernelTCP = 0, swappiness, disableOOMKiller } = memory;
  const of = (key: keyof Memory, file: string, value: string): LimitWrite => ({
    controller: "memory",
    file: `memory.${file}`,
    value,
    path: `${AT}.memory.${key}`,
  });
  const writes: LimitWrite[] = [];
  // Without a limit on memory there is none on memory and swap together, either: the kernel would refuse to raise the one alone.
  const swap = memory.swap || (limit === -1 ? -1 : 0);
  const limitWrite = of("limit", "limit_in_bytes", decimal(limit));
  if (limit !== 0) {
    // Never above the limit on both: when that is about to rise, this comes after it.
    writes.push(swap === 0 ? limitWrite : { ...limitWrite, retried: true });
  }
  if (swap !== 0) {
    const write = of(memory.swap ? "swap" : "limit", "memsw.limit_in_bytes", decimal(swap));
    writes.push(swap === -1 ? { ...write, optional: true } : write);
    if (limit !== 0) writes.push(limitWrite);
  }
  if (reservation !== 0) writes.push(of("reservation", "soft_limit_in_bytes", decimal(reservation)));
  if (kernelTCP !== 0) writes.push(of("kernelTCP", "kmem.tcp.limit_in_bytes", decimal(kernelTCP)));
  if (swappiness !== undefined) writes.push(of("swappiness", "swappiness", String(swappiness)));
  if (disableOOMKiller === true) writes.push(of("disableOOMKiller", "oom_control", "1"));
  return writes;
}

function cpuWrites(cpu: Cpu): LimitWrite[] {
  const { shares = 0, quota = 0, period = 0, burst, realtimePeriod = 0, realtimeRuntime = 0, idle } = cpu;
  const of = (key: keyof Cpu, file: string, value: number): LimitWrite => ({
    controller: "cpu",
    file,
    value: decimal(value),
    path: `${AT}.cpu.${key}`,
  });
  const writes: LimitWrite[] = [];
  if (realtimePeriod !== 0) writes.push(of("realtimePeriod", "cpu.rt_period_us", realtimePeriod));
  if (realtimeRuntime !== 0) writes.push(of("realtimeRuntime", "cpu.rt_runtime_us", realtimeRuntime));
  if (shares !== 0 && idle !== 1) writes.push(of("shares", "cpu.shares", shares));
  const burstWrite = of("burst", "cpu.cfs_burst_us", burst ?? 0);
  if (burst !== undefined && quota !== 0) writes.push({ ...burstWrite, retried: true });
  // Quota and period must fit the cgroup above at each moment: which of them may come first depends on what was there.
  const periodWrite = of("period", "cpu.cfs_period_us", period);
  if (period !== 0) writes.push(quota === 0 ? periodWrite : { ...periodWrite, retried: true });
  if (quota !== 0) {
    writes.push(of("quota", "cpu.cfs_quota_us", quota));
    if (period !== 0) writes.push(periodWrite);
  }
  if (burst !== undefined) writes.push(burst === 0 ? { ...burstWrite, optional: true } : burstWrite);
  if (idle !== undefined) {
    const write = of("idle", "cpu.idle", idle);
    writes.push(idle === 0 ? { ...write, optional: true } : write);
  }
  return writes;
}

function cpusetWrites({ cpus = "", mems = "" }: Cpu): LimitWrite[] {
  const writes: LimitWrite[] = [];
  const of = (key: "cpus" | "mems", value: string) => {
    const path = `${AT}.cpu.${key}`;
    if (value !== "") writes.push({ controller: "cpuset", file: `cpuset.${key}`, value, path });
  };
  of("cpus", cpus);
  of("mems", mems);
  return writes;
}

const THROTTLES = [
  ["throttleReadBpsDevice", "read_bps_device"],
  ["throttleWriteBpsDevice", "write_bps_device"],
  ["throttleReadIOPSDevice", "read_iops_device"],
  ["throttleWriteIOPSDevice", "write_iops_device"],
] as const;

function blkioWrites(blockIO: BlockIO): LimitWrite[] {
  const { weight = 0, leafWeight = 0, weightDevice = [] } = blockIO;
  const writes: LimitWrite[] = [];
  const add = (path: string, file: string, value: string, otherwise?: string, key?: string) =>
    writes.push({
      controller: "blkio",
      file: `blkio.${file}`,
      value,
      path: `${AT}.blockIO.${path}`,
      ...(otherwise === undefined ? {} : { otherwise: { file: `blkio.${otherwise}`, value } }),
      ...(key === undefined ? {} : { key }),
    });
  // The scheduler that knows weights is BFQ; before Linux 5.0 it was CFQ.
  if (weight !== 0) add("weight", "bfq.weight", String(weight), "weight");
  if (leafWeight !== 0) add("leafWeight", "leaf_weight", String(leafWeight));
  weightDevice.forEach(({ major, minor, weight = 0, leafWeight = 0 }, i) => {
    const device = `${major}:${minor}`;
    const at = `weightDevice[${i}]`;
    if (weight !== 0)
      add(`${at}.weight`, "bfq.weight_device", `${device} ${weight}`, "weight_device", device);
    if (leafWeight !== 0)
      add(`${at}.leafWeight`, "leaf_weight_device", `${device} ${leafWeight}`, undefined, device);
  });
  for (const [key, name] of THROTTLES) {
    blockIO[key]?.forEach(({ major, minor, rate }, i) => {
      const device = `${major}:${minor}`;
      add(`${key}[${i}].rate`, `throttle.${name}`, `${device} ${decimal(rate)}`, undefined, device);
    });
  }
  return writes;
}

function hugetlbWrites(limits: NonNullable<Resources["hugepageLimits"]>): LimitWrite[] {
  const writes: LimitWrite[] = [];
  limits.forEach(({ pageSize, limit }, i) => {
    const write = { controller: "hugetlb", value: decimal(limit), path: `${AT}.hugepageLimits[${i}]` };
    writes.push({ ...write, file: `hugetlb.${pageSize}.limit_in_bytes` });
    // Since Linux 5.7.
    writes.push({ ...write, file: `hugetlb.${pageSize}.rsvd.limit_in_bytes`, optional: true });
  });
  return writes;
}

function networkWrites(network: Resources["network"]): LimitWrite[] {
  const writes: LimitWrite[] = [];
  const { classID = 0, priorities = [] } = network ?? {};
  if (classID !== 0) {
    const path = `${AT}.network.classID`;
    writes.push({ controller: "net_cls", file: "net_cls.classid", value: String(classID), path });
  }
  priorities.forEach(({ name, priority }, i) => {
    const path = `${AT}.network.priorities[${i}]`;
    writes.push({
      controller: "net_prio",
      file: "net_prio.ifpriomap",
      value: `${name} ${priority}`,
      path,
      key: name,
    });
  });
  return writes;
}
