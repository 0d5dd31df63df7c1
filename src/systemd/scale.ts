import { INFINITY } from "./property.ts";

// The numbers of config.json in the units of systemd's properties.

/** The kernel's default, which a quota without a period means. In microseconds. */
const DEFAULT_PERIOD = 100_000;
/** systemd keeps CPUQuotaPerSecUSec in steps of 10 ms. */
const QUOTA_STEP = 10_000;
/** CPU_SET_MAX of systemd, at the least. */
const MAX_MEMBER = 8191;

/** A limit as systemd has it: negative is none. JSON has rounded what is near 2^64. */
export function limit(value: number): bigint {
  return value < 0 || value >= 2 ** 64 ? INFINITY : BigInt(value);
}

/** CPU time in microseconds per second, for a quota per period. */
export function cpuQuota(quota: number | undefined, period: number | undefined): bigint {
  if (quota === undefined || quota <= 0) return INFINITY;
  const perSecond = Math.floor((quota * 1_000_000) / (period || DEFAULT_PERIOD));
  return limit(Math.ceil(perSecond / QUOTA_STEP) * QUOTA_STEP);
}

/** "0-2,5" as the bytes of a bit mask, lowest first; undefined for what only the kernel understands: "all", "0-31:2/8". */
export function setOf(list: string): number[] | undefined {
  const mask: number[] = [];
  for (const part of list.trim().split(",")) {
    const [, first, last = first] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    const [low, high] = [Number(first), Number(last)];
    if (first === undefined || low > high || high > MAX_MEMBER) return undefined;
    while (mask.length <= high >> 3) mask.push(0);
    for (let i = low; i <= high; i++) mask[i >> 3] = (mask[i >> 3] ?? 0) | (1 << (i & 7));
  }
  return mask;
}
