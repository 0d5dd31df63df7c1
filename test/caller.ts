/**
 * Calls `berth` from a shell, for what only a caller can set: limits, signals, descriptors, the working directory. Importing this
 * also arranges for the check of bundle.ts that nothing is left behind.
 */
import { type Bundle, directory, newId, program, type Result, stateRoot } from "./bundle.ts";

/** Where bash finds `run "$@"`: the container of a bundle, in the foreground. */
export interface ShellOptions {
  readonly cwd?: string;
  /** Options of `berth run`. */
  readonly options?: readonly string[];
  /** Options before the command. */
  readonly globals?: readonly string[];
  readonly env?: Record<string, string>;
}

/**
 * Runs a bundle through a line of bash, in which "$@" is the whole command line of `berth run`: `ulimit -n 512; exec "$@"`.
 */
export function runThrough(line: string, bundle: Bundle, given: ShellOptions = {}): Omit<Result, "output"> {
  const { cwd = directory, options = [], globals = [], env } = given;
  const command = [program, "--root", stateRoot, ...globals, "run", ...options];
  const child = Bun.spawnSync(["bash", "-c", line, "bash", ...command, "--bundle", bundle.path, newId()], {
    cwd,
    env: env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  return {
    status: child.signalCode ? null : child.exitCode,
    stdout: child.stdout.toString(),
    stderr: child.stderr.toString(),
  };
}

/** The value of a line "Name:\tvalue" of /proc/PID/status and its like. */
export function field(text: string, name: string): string | undefined {
  return new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(text)?.[1];
}
