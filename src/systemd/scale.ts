import { BerthError } from "../errors.ts";
import { INFINITY } from "./property.ts";

// The numbers of config.json in the units of systemd's properties.

/** The kernel's default, which a quota without a period means. In microseconds. */
const DEFAULT_PERIOD = 100_000;
/** systemd keeps CPUQuotaPerSecUSec in steps of 10 ms. */
const QUOTA_STEP = 10_000;

/** A limit as systemd has it: negative is none. JSON has rounded what is near 2^64. */
export function limit(value: number): bigint {
  return value < 0 || value >= 2 ** 64 ? INFINITY : BigInt(value);
}

/** cpu.weight for the shares of cgroup v1: 2 is 1, 1024 is 100, 262144 is 10000, and between them a curve. */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262_144) return 10_000;
  const l = Math.log2(shares);
  return Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34));
}

/** CPU time in microseconds per second, for a quota per period. */
export function cpuQuota(quota: number | undefined, period: number | undefined): bigint {
  if (quota === undefined || quota <= 0) return INFINITY;
  const perSecond = Math.floor((quota * 1_000_000) / (period || DEFAULT_PERIOD));
  return limit(Math.ceil(perSecond / QUOTA_STEP) * QUOTA_STEP);
}

/** "0-2,5" as the bytes of a bit mask, lowest first. @throws BerthError "invalid-config" */
export function setOf(list: string, path: string): number[] {
  const MAX = 8191;
  const mask: number[] = [];
  const refuse = () =>
    new BerthError("invalid-config", `${path} ${JSON.stringify(list)}: it is no list of numbers`, {
      hint: `write numbers from 0 to ${MAX} and ranges of them, as in "0-2,5"`,
    });
  for (const part of list.trim().split(",")) {
    const [, first, last = first] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    const [low, high] = [Number(first), Number(last)];
    if (first === undefined || low > high || high > MAX) throw refuse();
    while (mask.length <= high >> 3) mask.push(0);
    for (let i = low; i <= high; i++) mask[i >> 3] = (mask[i >> 3] ?? 0) | (1 << (i & 7));
  }
  return mask;
}

/** From 10 to 1000, as blkio had it, to 1 to 10000. */
export function ioWeight(weight: number): number {
  return Math.floor(1 + ((weight - 10) * 9999) / 990);
}
