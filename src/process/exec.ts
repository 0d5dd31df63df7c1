import { BerthError } from "../errors.ts";
import { AT_EACCESS, AT_FDCWD, S_IFDIR, S_IFMT, X_OK } from "../linux/constants.ts";
import { machine } from "../linux/engine.ts";
import { EACCES, ENOENT, ENOTDIR } from "../linux/errno.ts";
import { addressOf, label, mark, type Serving, serving, slot, stringArray } from "../plan/build.ts";
import type { Requests } from "../plan/protocol.ts";
import type { Slot, Step, Struct } from "../plan/step.ts";
import type { Process } from "../spec/process.ts";

/** What execve gets. */
export interface Executable {
  /** PATH of its environment. */
  readonly path: string | undefined;
  /** The files to try, in this order. */
  readonly candidates: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly string[];
}

/**
 * What `process` wants executed: where PATH of its environment leads, and the environment without doubles (the last of a name
 * counts).
 * @throws BerthError when there are no arguments
 */
export function planExecutable(process: Process): Executable {
  const args = process.args ?? [];
  const name = args[0];
  if (name === undefined)
    throw new BerthError("invalid-config", "process.args is missing or empty: nothing to execute");
  const byName = new Map<string, string>();
  for (const entry of process.env ?? []) {
    const key = entry.slice(0, entry.indexOf("="));
    byName.delete(key);
    byName.set(key, entry);
  }
  const path = byName.get("PATH")?.slice("PATH=".length);
  return { path, candidates: candidates(name, path), args, env: [...byName.values()] };
}

function candidates(name: string, path: string | undefined): string[] {
  if (name.includes("/")) return [name];
  if (path === undefined || path === "") return [];
  return path.split(":").map((directory) => `${directory === "" ? "." : directory}/${name}`);
}

/** Whether the runtime must find a value for HOME: config.json gives none, or an empty one. */
export function lacksHome({ env }: Executable): boolean {
  return !env.some((entry) => entry.startsWith("HOME=") && entry.length > "HOME=".length);
}

/** Room for "HOME=...", in bytes. */
export const HOME_SIZE = 4096;

/**
 * Steps that ask the runtime for "HOME=...", from the container's own /etc/passwd.
 * @returns the slot that then holds it, to be passed to {@link execSteps}
 */
export function homeSteps(uid: number, requests: Requests): { steps: Step[]; home: Slot } {
  const home = slot("HOME", HOME_SIZE);
  return {
    steps: requests.ask(serving("identity", "process.env", "HOME"), { kind: "home", uid }, home),
    home,
  };
}

const STAT_SIZE = 144;
const MODE = machine === "aarch64" ? 16 : 24;

/**
 * Steps that look for an executable file among the candidates, as its user and in its working directory, so that a missing
 * one fails `create` already.
 */
export function findSteps({ candidates, args }: Executable): Step[] {
  const name = args[0] ?? "";
  const { call, when, unless, fail } = serving("start", "process.args[0]", `"${name}"`);
  const found = label("executable found");
  if (name.includes("/")) {
    const status = slot("status", STAT_SIZE);
    const file = label("no directory");
    const what = "find the executable";
    return [
      call("newfstatat", [AT_FDCWD, name, addressOf(status), 0], { what }),
      unless({ slot: status, offset: MODE, mask: S_IFMT, value: S_IFDIR }, file),
      fail(EACCES, "is a directory"),
      mark(file),
      call("faccessat2", [AT_FDCWD, name, X_OK, AT_EACCESS], { what }),
    ];
  }
  const steps: Step[] = [];
  for (const candidate of candidates) {
    const next = label(`not ${candidate}`);
    const status = slot("status", STAT_SIZE);
    const missing = { [ENOENT]: next, [ENOTDIR]: next, [EACCES]: next };
    steps.push(
      call("newfstatat", [AT_FDCWD, candidate, addressOf(status), 0], { on: missing }),
      when({ slot: status, offset: MODE, mask: S_IFMT, value: S_IFDIR }, next),
      call("faccessat2", [AT_FDCWD, candidate, X_OK, AT_EACCESS], { on: missing }),
      serving("start", "process.args[0]").jump(found),
      mark(next),
    );
  }
  return [...steps, fail(ENOENT, "executable file not found in $PATH"), mark(found)];
}

/** Steps that execute: one execve for each candidate. Nothing else may follow a seccomp filter. */
export function execSteps({ candidates, args, env }: Executable, home: Slot | undefined): Step[] {
  const at = serving("start", "process.args[0]", `"${args[0] ?? ""}"`);
  const argv = stringArray(args);
  const envp = stringArray(
    home === undefined ? env : [...env.filter((entry) => !entry.startsWith("HOME=")), home],
  );
  return candidates.map((candidate, i) => executeOne(at, candidate, argv, envp, i === candidates.length - 1));
}

function executeOne({ call }: Serving, candidate: string, argv: Struct, envp: Struct, last: boolean): Step {
  return call("execve", [candidate, argv, envp], {
    what: `execute "${candidate}"`,
    ...(last ? {} : { on: { [ENOENT]: "next", [ENOTDIR]: "next", [EACCES]: "next" } as const }),
  });
}
