import { BerthError } from "../errors.ts";
import {
  BPF_DEVCG_ACC_MKNOD,
  BPF_DEVCG_ACC_READ,
  BPF_DEVCG_ACC_WRITE,
  BPF_DEVCG_DEV_BLOCK,
  BPF_DEVCG_DEV_CHAR,
} from "../linux/constants.ts";
import type { DeviceRule } from "../spec/resources.ts";

/** One rule for the device program. Absent fields match everything. */
export interface Rule {
  readonly allow: boolean;
  readonly type?: "b" | "c" | undefined;
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
  /** BPF_DEVCG_ACC_* bits. */
  readonly access: number;
}

/** What a container may do with which device: the first rule that matches decides, for each access by itself. */
export interface DevicePolicy {
  readonly rules: readonly Rule[];
  /** When no rule matches. */
  readonly otherwise: "allow" | "deny";
}

/** The numbers of device types in the program's context. */
export const DEVICE_TYPE = { b: BPF_DEVCG_DEV_BLOCK, c: BPF_DEVCG_DEV_CHAR } as const;
export const ALL_ACCESS = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;
/** The kernel's dev_t has 12 bits of major and 20 of minor. */
const MAX_MAJOR = 0xfff;
const MAX_MINOR = 0xfffff;
const ACCESS: Readonly<Partial<Record<string, number>>> = {
  r: BPF_DEVCG_ACC_READ,
  w: BPF_DEVCG_ACC_WRITE,
  m: BPF_DEVCG_ACC_MKNOD,
};

/**
 * Always there, and after the user's rules, so that these cannot take them away: without them no container works. To make a
 * node is harmless, to open it is what counts.
 */
const DEFAULTS: readonly Rule[] = [
  { allow: true, access: BPF_DEVCG_ACC_MKNOD },
  ...[
    [1, 3], // null
    [1, 5], // zero
    [1, 7], // full
    [1, 8], // random
    [1, 9], // urandom
    [5, 0], // tty
    [5, 1], // console
    [5, 2], // ptmx
    [136], // pts/*
    [10, 200], // net/tun
  ].map(([major, minor]): Rule => ({ allow: true, type: "c", major, minor, access: ALL_ACCESS })),
];

/**
 * Compiles `linux.resources.devices` to a policy; config-linux.md "Device allowed list".
 *
 * It is an allowed list: what no rule allows is denied, also when there is no rule at all. Rules apply in order, so the last
 * one that matches wins; and each access is decided by itself: after "deny rwm", "allow r" and "allow w" of one device, it
 * can be opened for both. (The v1 controller wants one rule that allows all that is asked for, unless two rules name the
 * very same numbers; then it merges them as here. On v2, runtimes which take "rw" as a whole let it through after
 * "allow rwm", "deny w", since that rule does not cover it.)
 *
 * A rule of type "a" with numbers means both kinds of device with those numbers. (The v1 controller ignores the numbers
 * and lifts all restrictions.)
 *
 * @param path for messages
 * @throws BerthError "invalid-config"
 */
export function devicePolicy(
  rules: readonly DeviceRule[] = [],
  path = "linux.resources.devices",
): DevicePolicy {
  const all = rules.map((rule, i) => parseRule(rule, `${path}[${i}]`)).concat(DEFAULTS);
  /** What later rules decide, by the numbers they name. */
  const decided = new Map<string, number>();
  const kept: Rule[] = [];
  let otherwise: DevicePolicy["otherwise"] = "deny";
  for (let i = all.length - 1; i >= 0; i--) {
    const rule = all[i] as Rule;
    const { type, major, minor } = rule;
    const key = `${type} ${major} ${minor}`;
    const before = decided.get(key) ?? 0;
    const access = rule.access & ~before;
    if (access === 0 || decided.get(`${type} undefined undefined`) === ALL_ACCESS) continue;
    decided.set(key, before | access);
    if (key === "undefined undefined undefined" && (before | access) === ALL_ACCESS) {
      // With those after it, it decides everything: no earlier one counts.
      otherwise = rule.allow ? "allow" : "deny";
      break;
    }
    kept.push({ ...rule, access });
  }
  // The last ones need not say what holds anyway.
  while (kept.length > 0 && kept.at(-1)?.allow === (otherwise === "allow")) kept.pop();
  return { rules: kept, otherwise };
}

/** "allow c 1:3 rwm, otherwise deny": rules in the words of the v1 controller. For `berth explain`. */
export function describePolicy({ rules, otherwise }: DevicePolicy): string {
  return [...rules.map(describeRule), `otherwise ${otherwise}`].join(", ");
}

function describeRule({ allow, type, major, minor, access }: Rule): string {
  return `${allow ? "allow" : "deny"} ${type ?? "a"} ${major ?? "*"}:${minor ?? "*"} ${letters(access)}`;
}

/** "rwm" for all access bits. */
export function letters(access: number): string {
  return [..."rwm"].filter((letter) => (access & (ACCESS[letter] ?? 0)) !== 0).join("");
}

function parseRule({ allow, type, major, minor, access }: DeviceRule, path: string): Rule {
  return {
    allow,
    type: type === "a" ? undefined : type,
    major: deviceNumber(major, MAX_MAJOR, `${path}.major`),
    minor: deviceNumber(minor, MAX_MINOR, `${path}.minor`),
    access: parseAccess(access, `${path}.access`),
  };
}

/** Undefined for all of them. @throws BerthError when no device can have this number */
function deviceNumber(value: number | undefined, most: number, path: string): number | undefined {
  if (value === undefined || value === -1) return undefined;
  if (value >= 0 && value <= most) return value;
  throw new BerthError("invalid-config", `${path}: ${value} is no device number`, {
    hint: `give a number from 0 to ${most}, or -1 for all`,
  });
}

function parseAccess(access: string | undefined, path: string): number {
  const hint = 'give one or more of "r" (read), "w" (write) and "m" (mknod)';
  if (access === undefined || access === "")
    throw new BerthError("invalid-config", `${path}: it is empty`, { hint });
  let bits = 0;
  for (const letter of access) {
    const bit = ACCESS[letter];
    if (bit === undefined) {
      throw new BerthError("invalid-config", `${path} "${access}": "${letter}" is no access`, { hint });
    }
    bits |= bit;
  }
  return bits;
}
