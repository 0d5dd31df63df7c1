import { BerthError } from "../errors.ts";
import type { Spec } from "./config.ts";

// What a config.json may ask for and this version of berth does not do. A container that silently lacks a limit or a
// filter is worse than none, so each of these is refused by name. A row goes when its room is built.

interface Unsupported {
  readonly path: string;
  readonly isAsked: (spec: Spec) => boolean;
}

const UNSUPPORTED: readonly Unsupported[] = [
  {
    path: "linux.seccomp",
    isAsked: ({ linux: { seccomp } }) => asks(seccomp?.defaultAction) || asks(seccomp?.syscalls),
  },
];

/** Whether berth carries out this part of config.json: "linux.seccomp". */
export function isCarriedOut(path: string): boolean {
  return !UNSUPPORTED.some((row) => row.path === path);
}

/** Throws a BerthError "unsupported" that names every field of `spec` which this version does not carry out. */
export function refuseUnsupported(spec: Spec): void {
  const paths: string[] = [];
  for (const { path, isAsked } of UNSUPPORTED) if (isAsked(spec)) paths.push(path);
  if (paths.length === 0) return;
  const lines = paths.map((path) => `${path}: not carried out by this version of berth`);
  throw new BerthError("unsupported", lines.join("\n"));
}

/** Whether a value asks for anything: engines write "", [] and {} for what is not set. */
function asks(value: string | object | undefined): boolean {
  if (value === undefined || value === "") return false;
  return typeof value === "string" || Object.keys(value).length > 0;
}
