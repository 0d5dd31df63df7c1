import { INFINITY, type Property } from "./property.ts";
import { cpuQuota, limit, setOf } from "./scale.ts";

/*
 * linux.resources.unified as properties of a unit: names of cgroup v2 files with what is to be written there; cgroup-v2.rst.
 * A file that is not in the table has no property, nor has a value that systemd cannot have: these are written to the file alone.
 */

interface Row {
  /** The version of systemd that has the property. */
  readonly since: number;
  readonly name: string;
  readonly type: "t" | "ay";
  /** Undefined: systemd cannot have this value. */
  readonly parse: (text: string) => Property["value"] | undefined;
}

const bytes = (since: number, name: string): Row => ({ since, name, type: "t", parse: numberOrMax });
const set = (name: string): Row => ({ since: 244, name, type: "ay", parse: setOf });

const FILES: Readonly<Record<string, Row>> = {
  "cpu.weight": { since: 232, name: "CPUWeight", type: "t", parse: whole },
  // To idle, systemd has a weight of 0.
  "cpu.idle": { since: 252, name: "CPUWeight", type: "t", parse: (text) => (text === "1" ? 0 : undefined) },
  "cpuset.cpus": set("AllowedCPUs"),
  "cpuset.mems": set("AllowedMemoryNodes"),
  // "8:0 200" is for one device.
  "io.weight": {
    since: 230,
    name: "IOWeight",
    type: "t",
    parse: (text) => whole(text.replace(/^default\s+/, "")),
  },
  "memory.min": bytes(240, "MemoryMin"),
  "memory.low": bytes(240, "MemoryLow"),
  "memory.high": bytes(231, "MemoryHigh"),
  "memory.max": bytes(231, "MemoryMax"),
  "memory.swap.max": bytes(232, "MemorySwapMax"),
  "memory.zswap.max": bytes(253, "MemoryZSwapMax"),
  // systemd refuses 0.
  "pids.max": { since: 227, name: "TasksMax", type: "t", parse: tasks },
};

/** The properties that the files of `unified` have. */
export function unifiedProperties(unified: Readonly<Record<string, string>>, version: number): Property[] {
  const properties: Property[] = [];
  for (const [file, content] of Object.entries(unified)) {
    const configPath = `linux.resources.unified["${file}"]`;
    const text = content.trim();
    if (file === "cpu.max") properties.push(...cpuMax(text, configPath, version));
    // Not of Object.prototype.
    const row = Object.hasOwn(FILES, file) ? FILES[file] : undefined;
    if (row === undefined || version < row.since) continue;
    const value = row.parse(text);
    if (value !== undefined) properties.push({ name: row.name, type: row.type, value, configPath });
  }
  return properties;
}

/** "max", "50000", "50000 100000", "max 100000": a quota and its period. */
function cpuMax(text: string, configPath: string, version: number): Property[] {
  const [, quota, period] = /^(max|\d+)(?:\s+(\d+))?$/.exec(text) ?? [];
  if (quota === undefined) return [];
  const perSecond = quota === "max" ? INFINITY : cpuQuota(Number(quota), Number(period ?? 0));
  const properties: Property[] = [{ name: "CPUQuotaPerSecUSec", type: "t", value: perSecond, configPath }];
  if (period !== undefined && version >= 242)
    properties.push({ name: "CPUQuotaPeriodUSec", type: "t", value: Number(period), configPath });
  return properties;
}

const UNITS = ["", "K", "M", "G", "T"];

function numberOrMax(text: string): bigint | undefined {
  if (text === "max") return INFINITY;
  const [, number, unit = ""] = /^(\d+)([KMGT]?)$/i.exec(text) ?? [];
  return number === undefined ? undefined : limit(Number(number) * 1024 ** UNITS.indexOf(unit.toUpperCase()));
}

function tasks(text: string): bigint | undefined {
  const most = numberOrMax(text);
  return most === 0n ? 1n : most;
}

function whole(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
