/*
 * What `events` tells of a container's use of resources, in runc's form (its types/events.go), which engines decode. Times are in
 * nanoseconds, sizes in bytes. What Go leaves out when it is empty may be left out.
 */

/** A number as it is to be printed: the kernel's may be larger than what a double holds exactly. */
export type Count = number | object;

export interface Stats {
  readonly cpu: {
    readonly usage: {
      readonly total?: Count;
      readonly percpu?: readonly Count[];
      readonly percpu_kernel?: readonly Count[];
      readonly percpu_user?: readonly Count[];
      readonly kernel: Count;
      readonly user: Count;
    };
    readonly throttling: {
      readonly periods?: Count;
      readonly throttledPeriods?: Count;
      readonly throttledTime?: Count;
    };
    readonly psi?: Pressure;
  };
  readonly cpuset: Readonly<Record<string, Count | readonly number[]>>;
  readonly memory: {
    readonly cache?: Count;
    readonly usage: MemoryEntry;
    readonly swap: MemoryEntry;
    readonly kernel: MemoryEntry;
    readonly kernelTCP: MemoryEntry;
    readonly raw?: Readonly<Record<string, Count>>;
    readonly psi?: Pressure;
  };
  readonly pids: { readonly current?: Count; readonly limit?: Count };
  readonly blkio: {
    readonly ioServiceBytesRecursive?: readonly BlkioEntry[];
    readonly ioServicedRecursive?: readonly BlkioEntry[];
    readonly psi?: Pressure;
  };
  readonly hugetlb: Readonly<Record<string, HugetlbEntry>>;
  readonly intel_rdt: Readonly<Record<string, never>>;
  readonly network_interfaces: null;
}

export interface MemoryEntry {
  readonly limit: Count;
  readonly usage?: Count;
  readonly max?: Count;
  readonly failcnt: Count;
}

export interface BlkioEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: Count;
}

/** The lists of {@link Stats.blkio}. */
export type BlkioList = "ioServiceBytesRecursive" | "ioServicedRecursive";

export interface HugetlbEntry {
  readonly usage: Count;
  readonly max?: Count;
  readonly failcnt: Count;
}

/** How much of the time some, or all, of the processes waited; Documentation/accounting/psi.rst. */
export interface Pressure {
  readonly some: PressureLine;
  readonly full: PressureLine;
}

interface PressureLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly total: number;
}

/** The text of a file of a container's cgroup, or undefined when the cgroup has none of that name. */
export type ReadStat = (file: string) => string | undefined;

declare global {
  interface JSON {
    /** ECMAScript's JSON.parse source text access: a text that JSON.stringify leaves as it is. */
    rawJSON(text: string): object;
  }
}

/** What "max" stands for: the largest number that engines decode. */
const MAX = "18446744073709551615";

/** A number of the kernel's. 0 for a file that is not there. */
export function count(text: string | undefined): Count {
  const digits = text?.trim() ?? "";
  if (digits === "max") return JSON.rawJSON(MAX);
  if (!/^-?\d+$/.test(digits)) return 0;
  const number = Number(digits);
  return Number.isSafeInteger(number) ? number : JSON.rawJSON(digits);
}

/** A file of lines "name number". */
export function keyed(text: string | undefined): Record<string, Count> {
  const values: Record<string, Count> = {};
  for (const line of (text ?? "").split("\n")) {
    const [name, value] = line.split(" ");
    if (name !== undefined && value !== undefined) values[name] = count(value);
  }
  return values;
}

/** A sum, exact as long as the kernel counts in what it really has. */
export function plus(a: Count, b: Count): Count {
  return typeof a === "number" && typeof b === "number" ? a + b : typeof a === "object" ? a : b;
}

/** A number times a unit. */
export function times(value: Count | undefined, factor: number): Count {
  return typeof value === "number" ? value * factor : (value ?? 0);
}

/** A pressure file; undefined where the kernel keeps none. */
export function pressure(text: string | undefined): { readonly psi: Pressure } | undefined {
  const line = (name: string): PressureLine => {
    const found = new RegExp(`^${name} avg10=(\\S+) avg60=(\\S+) avg300=(\\S+) total=(\\d+)$`, "m").exec(
      text ?? "",
    );
    const [, avg10 = 0, avg60 = 0, avg300 = 0, total = 0] = found ?? [];
    return { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), total: Number(total) };
  };
  return text === undefined || text === "" ? undefined : { psi: { some: line("some"), full: line("full") } };
}
