import { weightOfShares } from "../cgroups/limits/cpu.ts";
import { ioWeight } from "../cgroups/limits/io.ts";
import { swapLimit } from "../cgroups/limits/memory.ts";
import type { Resources } from "../spec/resources.ts";
import { INFINITY, mergeProperties, type Property } from "./property.ts";
import { cpuQuota, limit, setOf } from "./scale.ts";
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
 */
export function resourceProperties(resources: Resources, version: number): Property[] {
  const { cpu, memory, pids } = resources;
  const properties: Property[] = [];
  const add = (since: number, name: string, type: string, value: Property["value"], path: string) => {
    if (version >= since) properties.push({ name, type, value, configPath: `${AT}.${path}` });
  };
  if (memory?.limit) add(231, "MemoryMax", "t", limit(memory.limit), "memory.limit");
  if (memory?.reservation) add(240, "MemoryLow", "t", limit(memory.reservation), "memory.reservation");
  const swap = swapLimit(memory ?? {});
  if (swap !== undefined)
    add(232, "MemorySwapMax", "t", limit(swap), memory?.swap ? "memory.swap" : "memory.limit");
  // To idle, systemd has a weight of 0, and to no longer be idle it takes another.
  if (cpu?.idle === 1) add(252, "CPUWeight", "t", 0, "cpu.idle");
  else if (cpu?.idle === 0 && !cpu.shares) add(252, "CPUWeight", "t", INFINITY, "cpu.idle");
  else if (cpu?.shares) add(232, "CPUWeight", "t", weightOfShares(cpu.shares), "cpu.shares");
  if (cpu?.quota || cpu?.period) {
    if (cpu.period) add(242, "CPUQuotaPeriodUSec", "t", cpu.period, "cpu.period");
    const quota = cpuQuota(cpu.quota, cpu.period);
    add(213, "CPUQuotaPerSecUSec", "t", quota, cpu.quota === undefined ? "cpu.period" : "cpu.quota");
  }
  const cpus = setOf(cpu?.cpus ?? "");
  if (cpus !== undefined) add(244, "AllowedCPUs", "ay", cpus, "cpu.cpus");
  const mems = setOf(cpu?.mems ?? "");
  if (mems !== undefined) add(244, "AllowedMemoryNodes", "ay", mems, "cpu.mems");
  // systemd refuses 0 tasks, and a container with none could not begin: 1 is as strict.
  if (pids?.limit !== undefined)
    add(227, "TasksMax", "t", limit(pids.limit === 0 ? 1 : pids.limit), "pids.limit");
  return mergeProperties(
    properties,
    blockProperties(resources.blockIO, version),
    unifiedProperties(resources.unified ?? {}, version),
  );
}

const THROTTLES = {
  throttleReadBpsDevice: "IOReadBandwidthMax",
  throttleWriteBpsDevice: "IOWriteBandwidthMax",
  throttleReadIOPSDevice: "IOReadIOPSMax",
  throttleWriteIOPSDevice: "IOWriteIOPSMax",
} as const;

/** I/O has had its properties since systemd 230. Rates of 0 lift a limit. */
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
    const rates = block[key] ?? [];
    const list = rates.map((entry) => [blockDevice(entry), entry.rate === 0 ? INFINITY : limit(entry.rate)]);
    if (list.length > 0) add(name, "a(st)", list, key);
  }
  return properties;
}

function blockDevice({ major, minor }: { readonly major: number; readonly minor: number }): string {
  return `/dev/block/${major}:${minor}`;
}
