/** Containers in the states that tests need, on top of bundle.ts. */
import { closeSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import {
  type Bundle,
  berth,
  type Config,
  directory,
  makeBundle,
  newId,
  type Options,
  program,
  type Result,
  stateRoot,
} from "./bundle.ts";

/** `berth` that must succeed and have nothing to say about it. @returns what it wrote to stdout */
export function succeed(args: readonly string[], options: Options = {}): string {
  const { status, stdout, stderr } = berth(args, options);
  expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: "" });
  return stdout;
}

/** `berth` that must fail as every failure does: with status 1 and one error, which is returned, hint included. */
export function refuse(args: readonly string[], options: Options = {}): string {
  const { status, stderr } = berth(args, options);
  expect({ args, status, stderr }).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^berth: (?!internal error).+\n(hint: .+\n)?$/),
  });
  return stderr;
}

export interface ContainerState {
  readonly ociVersion: string;
  readonly id: string;
  readonly pid: number;
  readonly status: string;
  readonly bundle: string;
  readonly annotations?: Record<string, string>;
}

export function stateOf(id: string): ContainerState {
  return JSON.parse(succeed(["state", id])) as ContainerState;
}

export const statusOf = (id: string): string => stateOf(id).status;

export interface Container {
  readonly id: string;
  readonly bundle: Bundle;
  /** Of its init. */
  readonly pid: number;
  /** What it has written to stdout by now. */
  readonly output: Result["output"];
}

/** Changes a config.json so that it runs this script in busybox's shell. */
export function script(text: string): (config: Config) => void {
  return (config) => {
    config.process.args = ["/bin/sh", "-c", text];
  };
}

/** Changes a config.json so that the container runs until it is killed. */
export function forever(config: Config): void {
  config.process.args = ["/bin/sleep", "1000"];
}

/** Changes a config.json so that the container has no pid namespace of its own. */
export function withoutPidNamespace(config: Config): void {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
}

/** Creates a container of a bundle that these patches made. */
export function createContainer(...patches: ((config: Config) => void)[]): Container {
  const bundle = makeBundle((config) => {
    for (const patch of patches) patch(config);
  });
  const id = newId();
  const result = berth(["create", "--bundle", bundle.path, id]);
  expect(result).toMatchObject({ status: 0, stderr: "" });
  return { id, bundle, pid: stateOf(id).pid, output: result.output };
}

/** As {@link createContainer}, and starts it. */
export function startContainer(...patches: ((config: Config) => void)[]): Container {
  const container = createContainer(...patches);
  succeed(["start", container.id]);
  return container;
}

/** Whether a process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\t[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** A `berth` that runs beside the test. */
export interface Running {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  readonly output: () => string;
  /** Its end. */
  readonly ended: Promise<Pick<Result, "status" | "stdout" | "stderr">>;
}

/** Starts `berth` and does not wait for it. */
export function spawnBerth(args: readonly string[], options: Pick<Options, "cwd"> = {}): Running {
  const files = mkdtempSync(join(directory, "spawned-"));
  const [stdout, stderr] = [openSync(join(files, "stdout"), "w"), openSync(join(files, "stderr"), "w")];
  const child = Bun.spawn([program, "--root", stateRoot, ...args], {
    cwd: options.cwd ?? directory,
    stdio: ["ignore", stdout, stderr],
  });
  closeSync(stdout);
  closeSync(stderr);
  const text = (name: string) => readFileSync(join(files, name), "utf8");
  return {
    pid: child.pid,
    kill: (signal) => child.kill(signal),
    output: () => text("stdout"),
    ended: child.exited.then(() => ({
      status: child.signalCode ? null : child.exitCode,
      stdout: text("stdout"),
      stderr: text("stderr"),
    })),
  };
}
