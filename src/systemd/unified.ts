import { BerthError } from "../errors.ts";
import { INFINITY, type Property } from "./property.ts";
import { cpuQuota, limit, setOf } from "./scale.ts";

/*
 * linux.resources.unified as properties of a unit: names of cgroup v2 files with what is to be written there; cgroup-v2.rst.
 * A file that is not in the table has no property; it is written by itself.
 */

interface Row {
  /** The version of systemd that has the property. */
  readonly since: number;
  readonly name: string;
  readonly type: "t" | "ay";
  /** Undefined: systemd cannot have this value. @throws BerthError "invalid-config" */
  readonly parse: (text: string, path: string) => Property["value"] | undefined;
}

const bytes = (since: number, name: string): Row => ({ since, name, type: "t", parse: numberOrMax });
const set = (name: string): Row => ({
  since: 244,
  name,
  type: "ay",
  // Empty: those of the cgroup above.
  parse: (text, path) => (text === "" ? undefined : setOf(text, path)),
});

const FILES: Readonly<Record<string, Row>> = {
  "cpu.weight": { since: 232, name: "CPUWeight", type: "t", parse: whole },
  "cpu.idle": {
    since: 252,
    name: "CPUWeight",
    type: "t",
    parse: (text) => (text === "1" ? 0 : undefined),
  },
  "cpuset.cpus": set("AllowedCPUs"),
  "cpuset.mems": set("AllowedMemoryNodes"),
  "io.weight": {
    since: 230,
    name: "IOWeight",
    type: "t",
    // "8:0 200" is for one device.
    parse: (text, path) => (text.includes(":") ? undefined : whole(text.replace(/^default\s+/, ""), path)),
  },
  "memory.min": bytes(240, "MemoryMin"),
  "memory.low": bytes(240, "MemoryLow"),
  "memory.high": bytes(231, "MemoryHigh"),
  "memory.max": bytes(231, "MemoryMax"),
  "memory.swap.max": bytes(232, "MemorySwapMax"),
  "memory.zswap.max": bytes(253, "MemoryZSwapMax"),
  // systemd refuses 0.
  "pids.max": {
    since: 227,
    name: "TasksMax",
    type: "t",
    parse: (text, path) => numberOrMax(text, path) || 1n,
  },
};

/** The properties that the files of `unified` have. @throws BerthError "invalid-config" */
export function unifiedProperties(unified: Readonly<Record<string, string>>, version: number): Property[] {
  const properties: Property[] = [];
  for (const [file, content] of Object.entries(unified)) {
    const configPath = `linux.resources.unified["${file}"]`;
    const text = content.trim();
    if (file === "cpu.max") properties.push(...cpuMax(text, configPath, version));
    // Not of Object.prototype.
    const row = Object.hasOwn(FILES, file) ? FILES[file] : undefined;
    if (row === undefined || version < row.since) continue;
    const value = row.parse(text, configPath);
    if (value !== undefined) properties.push({ name: row.name, type: row.type, value, configPath });
  }
  return properties;
}

/** "max", "50000", "50000 100000", "max 100000": a quota and its period. */
function cpuMax(text: string, configPath: string, version: number): Property[] {
  const [, quota = "", period] = /^(max|\d+)(?:\s+(\d+))?$/.exec(text) ?? [];
  if (quota === "") throw refuse(text, configPath, '"max" or a number of microseconds, and the period');
  const perSecond = quota === "max" ? INFINITY : cpuQuota(Number(quota), Number(period ?? 0));
  const properties: Property[] = [{ name: "CPUQuotaPerSecUSec", type: "t", value: perSecond, configPath }];
  if (period !== undefined && version >= 242)
    properties.push({ name: "CPUQuotaPeriodUSec", type: "t", value: Number(period), configPath });
  return properties;
}

function numberOrMax(text: string, path: string): bigint {
  if (text === "max") return INFINITY;
  const [, number, unit] = /^(\d+)([KMG]?)$/i.exec(text) ?? [];
  if (number === undefined) throw refuse(text, path, '"max" or a number');
  return limit(Number(number) * 1024 ** " KMG".indexOf(unit === "" ? " " : (unit ?? " ").toUpperCase()));
}

function whole(text: string, path: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw refuse(text, path, "a number");
}

function refuse(text: string, path: string, wanted: string): BerthError {
  return new BerthError("invalid-config", `${path} ${JSON.stringify(text)}: ${wanted} is what it takes`);
}
