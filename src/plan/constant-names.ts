import * as constants from "../linux/constants.ts";
import { CAPABILITIES } from "../spec/capabilities.ts";
import type { Kind } from "./signatures.ts";

const ALL: readonly (readonly [name: string, value: number])[] = Object.entries(constants);

/** A number as a person reads it, by what it is. */
export function showNumber(value: number, kind: Kind): string {
  switch (kind) {
    case "number":
      return String(value);
    case "fd":
      return value === constants.AT_FDCWD ? "AT_FDCWD" : String(value);
    case "address":
      return value === 0 ? "NULL" : hex(value);
    case "hex":
      return hex(value);
    case "mode":
      return showMode(value);
    case "capability":
      return capabilityName(value);
    case "signal":
      // 0 is no signal; among the constants it is SIG_BLOCK.
      return value === 0 ? "0" : (constantOf(value, ["SIG*"]) ?? String(value));
    case "open":
      return showOpen(value);
  }
  if ("capabilities" in kind) return showCapabilities(value, kind.capabilities);
  if ("one" in kind) return constantOf(value, kind.one) ?? String(value);
  return showFlags(value, kind.flags);
}

/** The name of the constant with this value among those that `names` stand for; see {@link Kind}. */
export function constantOf(value: number, names: readonly string[]): string | undefined {
  return candidates(names).find((constant) => constant[1] === value)?.[0];
}

/** A value that is compared with some bits of another, e.g. a file type. */
export function showMasked(value: number, mask: number): string {
  if (mask === constants.S_IFMT) return constantOf(value, ["S_IF*"]) ?? octal(value);
  const magic = ALL.find(([name, constant]) => name.endsWith("_MAGIC") && constant === value)?.[0];
  return magic ?? (value < 1024 ? String(value) : hex(value));
}

function candidates(names: readonly string[]): readonly (readonly [string, number])[] {
  return ALL.filter(([name]) =>
    names.some((wanted) => (wanted.endsWith("*") ? name.startsWith(wanted.slice(0, -1)) : name === wanted)),
  );
}

/** Greater ones first, so that a constant of several bits goes before those of one. */
function showFlags(value: number, names: readonly string[]): string {
  const known = [...candidates(names)].sort((a, b) => b[1] - a[1]);
  const shown: string[] = [];
  let rest = value;
  for (const [name, flag] of known) {
    if (flag <= 0 || (rest & flag) !== flag) continue;
    shown.push(name);
    rest &= ~flag;
  }
  if (rest !== 0) shown.push(hex(rest >>> 0));
  return shown.length === 0 ? "0" : shown.reverse().join("|");
}

function showOpen(value: number): string {
  const shown = showFlags(value, ["O_*"]);
  // Reading is the absence of the other two ways, and has no meaning beside O_PATH.
  if ((value & (constants.O_WRONLY | constants.O_RDWR | constants.O_PATH)) !== 0) return shown;
  return shown === "0" ? "O_RDONLY" : `O_RDONLY|${shown}`;
}

function showMode(mode: number): string {
  const type = constantOf(mode & constants.S_IFMT, ["S_IF*"]);
  const bits = octal(mode & 0o7777);
  return type === undefined ? bits : `${type}|${bits}`;
}

function showCapabilities(bits: number, first: number): string {
  const shown: string[] = [];
  for (let i = 0; i < 32; i++) if (((bits >>> i) & 1) === 1) shown.push(capabilityName(first + i));
  return shown.length === 0 ? "none" : shown.join("|");
}

function capabilityName(number: number): string {
  return Object.entries(CAPABILITIES).find((entry) => entry[1] === number)?.[0] ?? `capability ${number}`;
}

const hex = (value: number) => (value < 0 ? String(value) : `0x${value.toString(16)}`);
const octal = (value: number) => (value === 0 ? "0" : `0${value.toString(8)}`);
