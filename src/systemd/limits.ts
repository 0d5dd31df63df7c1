import type { Resources } from "../spec/resources.ts";
import { INFINITY, mergeProperties, type Property } from "./property.ts";
import { cpuQuota, cpuWeight, ioWeight, limit, setOf } from "./scale.ts";
import { unifiedProperties } from "./unified.ts";

/*
 * linux.resources as properties of a unit; config-linux.md "Control groups", man 5 systemd.resource-control.
 *
 * systemd writes the cgroup files that belong to its properties again whenever it sees fit, as after "systemctl daemon-reload":
 * a limit that it does not know of would be lost then. What it has no property for, it leaves alone.
 */

const AT = "linux.resources";

/**
 * The properties for these resources, as far as systemd has any.
 * @param version of systemd: what came later is left to the cgroup files
 * @throws BerthError "invalid-config" for a value that no property can have
 */
export function resourceProperties(resources: Resources, version: number): Property[] {
  const { cpu, memory, pids } = resources;
  const properties: Property[] = [];
  const add = (since: number, name: string, type: string, value: Property["value"], path: string) => {
    if (version >= since) properties.push({ name, type, value, configPath: `${AT}.${path}` });
  };
  if (memory?.limit) add(231, "MemoryMax", "t", limit(memory.limit), "memory.limit");
  if (memory?.reservation) add(240, "MemoryLow", "t", limit(memory.reservation), "memory.reservation");
  const swap = swapMax(memory?.limit, memory?.swap);
  if (swap !== undefined) add(232, "MemorySwapMax", "t", swap, "memory.swap");
  // To idle, systemd has a weight of 0.
  if (cpu?.idle === 1) add(252, "CPUWeight", "t", 0, "cpu.idle");
  else if (cpu?.shares) add(232, "CPUWeight", "t", cpuWeight(cpu.shares), "cpu.shares");
  if (cpu?.quota || cpu?.period) {
    if (cpu.period) add(242, "CPUQuotaPeriodUSec", "t", cpu.period, "cpu.period");
    const quota = cpuQuota(cpu.quota, cpu.period);
    add(213, "CPUQuotaPerSecUSec", "t", quota, cpu.quota === undefined ? "cpu.period" : "cpu.quota");
  }
  if (cpu?.cpus) add(244, "AllowedCPUs", "ay", setOf(cpu.cpus, `${AT}.cpu.cpus`), "cpu.cpus");
  if (cpu?.mems) add(244, "AllowedMemoryNodes", "ay", setOf(cpu.mems, `${AT}.cpu.mems`), "cpu.mems");
  // systemd refuses 0 tasks, and a container with none could not begin: 1 is as strict.
  if (pids?.limit !== undefined) add(227, "TasksMax", "t", limit(pids.limit === 0 ? 1 : pids.limit), "pids.limit");
  return mergeProperties(
    properties,
    blockProperties(resources.blockIO, version),
    unifiedProperties(resources.unified ?? {}, version),
  );
}

/**
 * memory.swap counts memory and swap together, systemd as the kernel swap alone.
 * @returns undefined when it is not set, or does not make sense: that, writing memory.swap.max answers
 */
function swapMax(memory: number | undefined, swap: number | undefined): bigint | undefined {
  if (swap === undefined || swap === 0) return memory === -1 ? INFINITY : undefined;
  if (swap < 0) return INFINITY;
  if (memory === -1) return limit(swap);
  return memory === undefined || memory === 0 || swap < memory ? undefined : limit(swap - memory);
}

const THROTTLES = {
  throttleReadBpsDevice: "IOReadBandwidthMax",
  throttleWriteBpsDevice: "IOWriteBandwidthMax",
  throttleReadIOPSDevice: "IOReadIOPSMax",
  throttleWriteIOPSDevice: "IOWriteIOPSMax",
} as const;

/** I/O has had its properties since systemd 230. Rates of 0 lift a limit, which a new cgroup does not have. */
function blockProperties(block: Resources["blockIO"], version: number): Property[] {
  if (block === undefined || version < 230) return [];
  const properties: Property[] = [];
  const add = (name: string, type: string, value: Property["value"], key: string) =>
    properties.push({ name, type, value, configPath: `${AT}.blockIO.${key}` });
  if (block.weight) add("IOWeight", "t", ioWeight(block.weight), "weight");
  const weights = (block.weightDevice ?? []).filter(({ weight }) => weight);
  if (weights.length > 0) {
    const list = weights.map((entry) => [blockDevice(entry), ioWeight(entry.weight ?? 0)]);
    add("IODeviceWeight", "a(st)", list, "weightDevice");
  }
  for (const [key, name] of Object.entries(THROTTLES) as [keyof typeof THROTTLES, string][]) {
    const rates = (block[key] ?? []).filter(({ rate }) => rate > 0);
    if (rates.length > 0)
      add(
        name,
        "a(st)",
        rates.map((entry) => [blockDevice(entry), limit(entry.rate)]),
        key,
      );
  }
  return properties;
}

function blockDevice({ major, minor }: { readonly major: number; readonly minor: number }): string {
  return `/dev/block/${major}:${minor}`;
}
