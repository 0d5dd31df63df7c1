/** The proof that engines and runtimes leave nothing behind on the machine: processes, mounts, cgroups, state, sealed programs. */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { directory } from "./scratch.ts";

/** Where runtimes keep their state when the engine does not say. */
const STATE_ROOTS = ["/run/runc", "/run/berth"];

/** What was there before, which is not ours. */
export interface Baseline {
  readonly cgroups: ReadonlySet<string>;
  readonly states: ReadonlySet<string>;
}

export function takeBaseline(): Baseline {
  return { cgroups: new Set(cgroups()), states: new Set(states()) };
}

/** The contents of a file, or "" if it has gone meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

interface Mount {
  readonly point: string;
  readonly type: string;
}

/** proc_pid_mountinfo(5) */
function mounts(): Mount[] {
  return read("/proc/self/mountinfo")
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      return { point: before.split(" ")[4] ?? "", type: after.split(" ")[0] ?? "" };
    });
}

function descend(path: string): string[] {
  return list(path)
    .map((name) => join(path, name))
    .filter((child) => existsSync(join(child, "cgroup.procs")))
    .flatMap((child) => [...descend(child), child]);
}

/** Every cgroup of the machine that an engine could have made, deepest first. */
function cgroups(): string[] {
  return mounts()
    .filter(({ type }) => type === "cgroup" || type === "cgroup2")
    .flatMap(({ point }) => descend(point))
    .filter((path) => /libpod|buildah|docker|kubepods|buildkit|default|berth-engines/.test(path));
}

const states = (): string[] => STATE_ROOTS.flatMap((root) => list(root).map((name) => join(root, name)));

const isNew = (before: ReadonlySet<string>) => (path: string) => !before.has(path);

/** Whether a process is in our mount namespace, or gone. */
function isHosts(pid: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`) === readlinkSync("/proc/self/ns/mnt");
  } catch {
    return true;
  }
}

/**
 * Processes of engines, runtimes and containers: those that name our directory, are in a cgroup that was made, or live on mounts in our
 * directory. What berth keeps in memory (a sealed executor, a Plan) is held by processes, and goes with the last of them.
 */
function processes(newCgroups: readonly string[]): string[] {
  const members = new Set(newCgroups.flatMap((path) => read(join(path, "cgroup.procs")).split("\n")));
  return list("/proc")
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter((pid) => /^State:\t[^ZX]/m.test(read(`/proc/${pid}/status`)))
    .filter(
      (pid) =>
        members.has(pid) ||
        ["cmdline", "environ"].some((file) => read(`/proc/${pid}/${file}`).includes(directory)) ||
        (!isHosts(pid) && read(`/proc/${pid}/mountinfo`).includes(directory)),
    );
}

/**
 * What is there and was not before, in words.
 * @param keeps the cgroups that are the engine's own
 */
export function leftovers(before: Baseline, keeps: RegExp): string[] {
  const made = cgroups().filter(isNew(before.cgroups));
  return [
    ...processes(made).map((pid) => `process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`),
    ...mounts()
      .filter(({ point }) => point.startsWith(directory))
      .map(({ point }) => `mount ${point}`),
    ...made.filter((path) => !keeps.test(path)).map((path) => `cgroup ${path}`),
    ...states()
      .filter(isNew(before.states))
      .map((path) => `state ${path}`),
  ];
}

/** Takes away all that {@link leftovers} finds. */
export function sweep(before: Baseline): void {
  const made = () => cgroups().filter(isNew(before.cgroups));
  for (let i = 0; i < 500 && processes(made()).length > 0; i++) {
    for (const pid of processes(made())) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    Bun.sleepSync(10);
  }
  for (const { point } of mounts().reverse()) {
    if (point.startsWith(directory)) Bun.spawnSync(["umount", "-l", point]);
  }
  for (const path of made()) {
    try {
      rmdirSync(path);
    } catch {
      // leftovers() has told of it, and a busy one cannot be helped.
    }
  }
  for (const path of states().filter(isNew(before.states))) rmSync(path, { recursive: true, force: true });
}
