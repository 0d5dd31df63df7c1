import type { Count, Stats } from "../cgroups/stats/stats.ts";

/** Columns by their width, filled from the right but for the last. */
const COLUMNS = [
  ["CPU TIME", 12],
  ["MEMORY", 12],
  ["LIMIT", 12],
  ["PIDS", 8],
  ["READ", 12],
  ["WRITTEN", 12],
  ["THROTTLED", 12],
] as const;

/** The names of the columns, as a line. */
export function statsHeader(): string {
  return line(COLUMNS.map(([name]) => name));
}

/** One statistic for people, as a line. */
export function statsRow({ cpu, memory, pids, blkio }: Stats): string {
  const entries = blkio.ioServiceBytesRecursive ?? [];
  const moved = (op: string) =>
    entries.filter((entry) => entry.op === op).reduce((sum, { value }) => sum + numberOf(value), 0);
  return line([
    `${(numberOf(cpu.usage.total) / 1e9).toFixed(2)} s`,
    bytes(numberOf(memory.usage.usage)),
    limit(memory.usage.limit),
    `${numberOf(pids.current)}`,
    bytes(moved("Read")),
    bytes(moved("Write")),
    `${(numberOf(cpu.throttling.throttledTime) / 1e9).toFixed(2)} s`,
  ]);
}

function line(cells: readonly string[]): string {
  return `${cells.map((cell, i) => cell.padStart(COLUMNS[i]?.[1] ?? 0)).join("")}\n`;
}

function numberOf(value: Count | undefined): number {
  return typeof value === "number" ? value : 0;
}

/** No limit is a number that is larger than any memory. */
function limit(value: Count): string {
  return typeof value === "number" && value > 0 ? bytes(value) : "none";
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

function bytes(value: number): string {
  let unit = 0;
  let rest = value;
  while (rest >= 1024 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit++;
  }
  return `${unit === 0 ? rest : rest.toFixed(1)} ${UNITS[unit]}`;
}
