import type { Seccomp } from "../../spec/seccomp.ts";

/** A 64-bit number in two halves. */
export type Halves = readonly [low: number, high: number];

const LARGEST_EXACT = 2 ** 53;

/** A key named "value" or "valueTwo" with a number of many digits. In a string, its quotes would have backslashes. */
const LONG_VALUE = /"(value|valueTwo)"(\s*:\s*)(\d{16,})(?=[\s,}])/g;

/** Whether a profile has numbers that JSON.parse may have rounded. */
export function hasLongValues({ syscalls = [] }: Seccomp): boolean {
  return syscalls.some(({ args }) =>
    args?.some(({ value, valueTwo = 0 }) => value >= LARGEST_EXACT || valueTwo >= LARGEST_EXACT),
  );
}

/**
 * The values that rules compare arguments with, bit by bit. JSON.parse rounds numbers beyond 2^53, and a filter that compares
 * with another number than its profile says is none.
 * @param text the config.json that `seccomp` is from
 * @returns what tells the value of argument `arg` of rule `rule`
 */
export function exactValues(
  seccomp: Seccomp,
  text: string,
): (rule: number, arg: number, key: "value" | "valueTwo") => Halves {
  const rules = seccomp.syscalls ?? [];
  const exact = hasLongValues(seccomp) ? reread(text) : undefined;
  return (rule, arg, key) => {
    const value = rules[rule]?.args?.[arg]?.[key] ?? 0;
    if (value < LARGEST_EXACT) return [value >>> 0, Math.floor(value / 2 ** 32)];
    const digits = exact?.linux?.seccomp?.syscalls?.[rule]?.args?.[arg]?.[key];
    // A number written in another way, such as 1e19, is what JSON.parse made of it.
    const whole = typeof digits === "string" ? BigInt(digits) : BigInt(value);
    return [Number(whole & 0xffff_ffffn), Number((whole >> 32n) & 0xffff_ffffn)];
  };
}

interface Reread {
  readonly linux?: {
    readonly seccomp?: {
      readonly syscalls?: readonly {
        readonly args?: readonly { readonly value?: unknown; readonly valueTwo?: unknown }[];
      }[];
    };
  };
}

function reread(text: string): Reread {
  return JSON.parse(text.replace(LONG_VALUE, '"$1"$2"$3"')) as Reread;
}
