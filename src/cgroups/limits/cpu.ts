import type { Resources } from "../../spec/resources.ts";
import { decimal } from "./decimal.ts";
import type { Ignored, LimitWrite } from "./limit.ts";

type Cpu = NonNullable<Resources["cpu"]>;

const AT = "linux.resources.cpu";
/** In microseconds; the kernel's own. */
const DEFAULT_PERIOD = 100_000;

/** cpu.idle, cpu.weight, cpu.max and cpu.max.burst, cpuset.cpus and cpuset.mems. */
export function cpuWrites(cpu: Cpu = {}): LimitWrite[] {
  return [...weightWrites(cpu), ...bandwidthWrites(cpu), ...cpusetWrites(cpu)];
}

function weightWrites({ idle, shares = 0 }: Cpu): LimitWrite[] {
  const writes: LimitWrite[] = [];
  if (idle !== undefined) {
    const write = { controller: "cpu", file: "cpu.idle", value: String(idle), path: `${AT}.idle` };
    writes.push(idle === 0 ? { ...write, optional: true } : write);
  }
  // An idle cgroup has no weight, and the kernel refuses to set one.
  if (shares !== 0 && idle !== 1) {
    const value = String(weightOfShares(shares));
    writes.push({ controller: "cpu", file: "cpu.weight", value, path: `${AT}.shares` });
  }
  return writes;
}

/**
 * v1's shares, 2 to 262144 with 1024 for an ordinary cgroup, as v2's weight, 1 to 10000 with 100 for an ordinary cgroup.
 *
 * A curve through these three points, which the runtimes have agreed on in 2025; the line from end to end that was used before gave
 * an ordinary container a weight of 39, less than half of any other cgroup's.
 */
export function weightOfShares(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262_144) return 10_000;
  const l = Math.log2(shares);
  return Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34));
}

function bandwidthWrites({ quota = 0, period = 0, burst }: Cpu): LimitWrite[] {
  const writes: LimitWrite[] = [];
  const limits = quota !== 0 || period !== 0;
  const burstWrite = {
    controller: "cpu",
    file: "cpu.max.burst",
    value: decimal(burst ?? 0),
    path: `${AT}.burst`,
  };
  // It may never exceed the quota: a smaller one goes before a smaller quota, a larger one after a larger quota.
  if (burst !== undefined && limits) writes.push({ ...burstWrite, retried: true });
  if (limits) {
    const value = `${quota > 0 ? decimal(quota) : "max"} ${decimal(period === 0 ? DEFAULT_PERIOD : period)}`;
    const path = `${AT}.${quota !== 0 ? "quota" : "period"}`;
    const write = { controller: "cpu", file: "cpu.max", value, path };
    writes.push(quota <= 0 && period === 0 ? { ...write, optional: true } : write);
  }
  if (burst !== undefined) writes.push(burst === 0 ? { ...burstWrite, optional: true } : burstWrite);
  return writes;
}

function cpusetWrites({ cpus = "", mems = "" }: Cpu): LimitWrite[] {
  const writes: LimitWrite[] = [];
  for (const [key, value] of [
    ["cpus", cpus],
    ["mems", mems],
  ] as const) {
    if (value !== "")
      writes.push({ controller: "cpuset", file: `cpuset.${key}`, value, path: `${AT}.${key}` });
  }
  return writes;
}

/** v2 shares out no real-time scheduling (CONFIG_RT_GROUP_SCHED is v1's). */
export function cpuIgnored({ realtimeRuntime = 0, realtimePeriod = 0 }: Cpu = {}): Ignored[] {
  const ignored: Ignored[] = [];
  if (realtimeRuntime !== 0) ignored.push({ path: `${AT}.realtimeRuntime`, controller: "cpu" });
  if (realtimePeriod !== 0) ignored.push({ path: `${AT}.realtimePeriod`, controller: "cpu" });
  return ignored;
}
