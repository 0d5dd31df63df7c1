/** The directory in which everything that engines write lies, so that it can be found and removed. */
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RuntimeName } from "./operation.ts";

const project = realpathSync(join(import.meta.dirname, "../.."));

/** The programs that are compared. */
export const programs: Readonly<Record<RuntimeName, string>> = {
  runc: Bun.which("runc") ?? "/usr/sbin/runc",
  berth: join(project, "dist/berth"),
};

/** The root filesystem of busybox that `npm start` makes. */
export const rootfs = join(project, "bundles/hello/rootfs");

/**
 * A short path (those of sockets end at 107 bytes) that engines put into every command line, cgroup and mount of theirs. Not below
 * $TMPDIR for that reason.
 */
export const directory = realpathSync(mkdtempSync("/tmp/berth-engines-"));
// Users of containers must reach their root filesystem; mkdtemp allows only us.
chmodSync(directory, 0o755);

/** A directory for what one engine does with one runtime. */
export interface Place {
  readonly runtime: RuntimeName;
  /** The path of the runtime. */
  readonly program: string;
  readonly path: string;
  /** Commands in here are found first. */
  readonly bin: string;
}

/** Makes one for each runtime. Engines that look for `runc` by name find the runtime under that name. */
export function makePlace(engine: string, runtime: RuntimeName): Place {
  const path = join(directory, `${engine}-${runtime}`);
  const bin = join(path, "bin");
  mkdirSync(bin, { recursive: true });
  symlinkSync(programs[runtime], join(bin, "runc"));
  return { runtime, program: programs[runtime], path, bin };
}

/** Puts a command of these lines of sh into a directory. */
export function addCommand(bin: string, name: string, lines: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
}

export function removeScratch(): void {
  rmSync(directory, { recursive: true, force: true });
}
