/** The proof that engines and runtimes leave nothing behind on the machine: processes, mounts, cgroups, state, sealed programs. */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { directory, programs } from "./scratch.ts";

/** Where runtimes keep their state when the engine does not say. What ctr starts has a directory for each of its namespaces. */
const STATE_ROOTS = ["/run/runc", "/run/berth", "/run/containerd/runc/*"];

/** Compiled seccomp filters, below a state root: berth keeps them for the next container, and never more than 64. */
const CACHE = "seccomp@cache";

/** Where berth's programs are: one that runs is berth's, whatever it says of itself. */
const dist = join(dirname(programs.berth), "/");

/** Podman's own: what it cleans up after the end of a container may come after the end of its suite. */
const CONMONS = /\/libpod_parent(\/conmon)?$/;

/** What was there before, which is not ours. */
export interface Baseline {
  readonly cgroups: ReadonlySet<string>;
  readonly mounts: ReadonlySet<string>;
  readonly states: ReadonlySet<string>;
  readonly processes: ReadonlySet<string>;
  readonly memfds: ReadonlySet<string>;
}

export function takeBaseline(): Baseline {
  return {
    cgroups: new Set(cgroups()),
    mounts: new Set(mounts().map(({ point }) => point)),
    states: new Set(states()),
    processes: new Set(list("/proc")),
    memfds: new Set(memfds().map(({ inode }) => inode)),
  };
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

/** The directories of containers, in the usual places and in ours. */
function states(): string[] {
  const usual = STATE_ROOTS.flatMap((root) => [...new Bun.Glob(`${root}/*/`.slice(1)).scanSync(SCAN)]);
  const ours = [...new Bun.Glob("**/state.json").scanSync({ ...SCAN, cwd: directory, absolute: true })];
  return [...usual.map((path) => join("/", path)), ...ours.map(dirname)].filter(
    (path) => basename(path) !== CACHE,
  );
}

const SCAN = { cwd: "/", dot: true, onlyFiles: false };

const isNew = (before: ReadonlySet<string>) => (path: string) => !before.has(path);

/** What a link of /proc leads to, or "" if it has gone meanwhile. */
function target(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** Whether a process is in our mount namespace, or gone. */
function isHosts(pid: string): boolean {
  return ["", target("/proc/self/ns/mnt")].includes(target(`/proc/${pid}/ns/mnt`));
}

const processIds = (): string[] =>
  list("/proc").filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid);

/**
 * Processes of engines, runtimes and containers: those that name our directory, are in a cgroup that was made, live on mounts in our
 * directory, or run a program of berth's.
 */
function processes(before: Baseline): string[] {
  const made = cgroups().filter(isNew(before.cgroups));
  const members = new Set(made.flatMap((path) => read(join(path, "cgroup.procs")).split("\n")));
  return processIds()
    .filter((pid) => /^State:\t[^ZX]/m.test(read(`/proc/${pid}/status`)))
    .filter(
      (pid) =>
        members.has(pid) ||
        ["cmdline", "environ"].some((file) => read(`/proc/${pid}/${file}`).includes(directory)) ||
        (!isHosts(pid) && read(`/proc/${pid}/mountinfo`).includes(directory)) ||
        (!before.processes.has(pid) && target(`/proc/${pid}/exe`).startsWith(dist)),
    );
}

/** What berth keeps in memory (a sealed executor, a Plan), of any process: by a descriptor, or as its program. */
function memfds(): { inode: string; name: string; pid: string }[] {
  return processIds().flatMap((pid) => {
    const open = list(`/proc/${pid}/fd`).flatMap((fd) => {
      const path = `/proc/${pid}/fd/${fd}`;
      const [, name] = /^\/memfd:(berth\S*)/.exec(target(path)) ?? [];
      return name === undefined ? [] : [{ inode: inodeOf(path), name, pid }];
    });
    const mapped = [...read(`/proc/${pid}/maps`).matchAll(/ (\d+) +\/memfd:(berth\S*)/g)];
    return [...open, ...mapped.map(([, inode = "", name = ""]) => ({ inode, name, pid }))];
  });
}

function inodeOf(path: string): string {
  return String(statSync(path, { throwIfNoEntry: false })?.ino ?? "");
}

function found(before: Baseline, keeps: RegExp): string[] {
  return [
    ...processes(before).map(
      (pid) => `process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`,
    ),
    ...mounts()
      .filter(({ point }) => point.startsWith(directory) || point.startsWith("/run/"))
      .filter(({ point }) => !before.mounts.has(point))
      .map(({ point }) => `mount ${point}`),
    ...cgroups()
      .filter(isNew(before.cgroups))
      .filter((path) => !keeps.test(path) && !CONMONS.test(path))
      .map((path) => `cgroup ${path}`),
    ...states()
      .filter(isNew(before.states))
      .map((path) => `state ${path}`),
    ...memfds()
      .filter(({ inode }) => !before.memfds.has(inode))
      .map(({ inode, name, pid }) => `memfd ${name}, inode ${inode}, of process ${pid}`),
  ];
}

/**
 * What is there and was not before, in words. What is about to go, such as a daemon's last process, is given the time to; what comes
 * meanwhile is not ours.
 * @param keeps the cgroups that are the engine's own
 */
export async function leftovers(before: Baseline, keeps: RegExp): Promise<string[]> {
  let left = found(before, keeps);
  for (let i = 0; i < 100 && left.length > 0; i++) {
    await Bun.sleep(50);
    const now = new Set(found(before, keeps));
    left = left.filter((text) => now.has(text));
  }
  return left;
}

/** Takes away all that {@link leftovers} finds. */
export function sweep(before: Baseline): void {
  for (let i = 0; i < 500 && processes(before).length > 0; i++) {
    for (const pid of processes(before)) {
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
  for (const path of cgroups().filter(isNew(before.cgroups))) {
    try {
      rmdirSync(path);
    } catch {
      // leftovers() has told of it, and a busy one cannot be helped.
    }
  }
  for (const path of states().filter(isNew(before.states))) rmSync(path, { recursive: true, force: true });
}
