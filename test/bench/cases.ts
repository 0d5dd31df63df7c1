/** What is measured. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "../../src/spec/config.ts";
import { engineProfile } from "../seccomp-profile.ts";
import type { Contestant } from "./contestants.ts";
import { makeBundle } from "./contestants.ts";
import { engineCases } from "./engines.ts";
import { must } from "./host.ts";
import { type Round, time } from "./measure.ts";

/** Containers in a state directory that is large. */
export const many = 1000;

export interface Case {
  readonly title: string;
  readonly unit: "ms" | "MB";
  /** Where it is measured: "vm" is a guest with every controller of cgroup v2, which the host's cgroup2 may lack. */
  readonly place?: "vm";
  /** Makes what the rounds need. `first` is who writes the default spec. undefined: the contestant cannot take part. */
  readonly prepare: (work: string, contestant: Contestant, first: Contestant) => Round | undefined;
}

let serial = 0;
const newId = () => `bench-${++serial}`;

/** Whether a process is there and has not ended. Zombies have: who reaps them is the host's concern. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function createArguments(work: string, root: string, bundle: string, id: string): string[] {
  return ["--root", root, "create", "--bundle", bundle, "--pid-file", join(work, `pid-${id}`), id];
}

function pidOf(work: string, id: string): number {
  return Number(readFileSync(join(work, `pid-${id}`), "utf8"));
}

/** A container that is created and waits; returns the `--root` that it is in, and its id. */
function createOne(work: string, contestant: Contestant, first: Contestant) {
  const id = newId();
  const root = join(work, `root-${id}`);
  const bundle = makeBundle(work, id, first);
  time(work, [...contestant.command, ...createArguments(work, root, bundle, id)]);
  return { id, root };
}

/** The files of a container's state directory with their contents, and the names of its fifos. */
function readState(directory: string) {
  const entries = readdirSync(directory, { withFileTypes: true });
  return {
    fifos: entries.filter((entry) => entry.isFIFO()).map(({ name }) => name),
    files: entries
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(join(directory, name), "utf8")] as const),
  };
}

/**
 * A `--root` with `many` containers, one of them real. The others have its state under ids of their own, and so its process:
 * to a runtime that reads them and looks for the process they are containers that are created and alive, at the cost of
 * files. A thousand real ones would measure the kernel's memory management beside it.
 */
function createMany(work: string, contestant: Contestant, first: Contestant) {
  const real = createOne(work, contestant, first);
  const { fifos, files } = readState(join(real.root, real.id));
  const copies = Array.from({ length: many - 1 }, (_, i) => `${real.id}-copy-${i}`);
  for (const id of copies) {
    mkdirSync(join(real.root, id), { mode: 0o711 });
    for (const [name, content] of files) {
      writeFileSync(join(real.root, id, name), content.replaceAll(`"${real.id}"`, `"${id}"`));
    }
  }
  const copiedFifos = copies.flatMap((id) => fifos.map((name) => join(real.root, id, name)));
  if (copiedFifos.length > 0) must(["mkfifo", ...copiedFifos]);
  const listed = must([...contestant.command, "--root", real.root, "list", "-q"])
    .trim()
    .split("\n").length;
  if (listed !== many) throw new Error(`${contestant.name} lists ${listed} containers, not ${many}`);
  return real;
}

/** A new container from beginning to end, by three processes. */
function live(work: string, { command }: Contestant, root: string, bundle: string): number {
  const id = newId();
  const created = time(work, [...command, ...createArguments(work, root, bundle, id)]);
  const pid = pidOf(work, id);
  const started = time(work, [...command, "--root", root, "start", id]);
  while (isAlive(pid)) Bun.sleepSync(1);
  const deleted = time(work, [...command, "--root", root, "delete", id]);
  if (existsSync(join(root, id))) throw new Error(`${command[0]} delete left the state directory`);
  return created.milliseconds + started.milliseconds + deleted.milliseconds;
}

/** The process of a created container: what it has in residence, pages that others share included. In kB. */
function residentMemory(pid: number): number {
  const rss = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
  if (rss === undefined) throw new Error(`no Rss in /proc/${pid}/smaps_rollup`);
  return Number(rss);
}

interface Run {
  /** Other than /bin/true in the default spec. */
  readonly change?: (spec: Spec) => void;
  /** Each round has a `--root` of its own, in which nothing of earlier ones is kept. */
  readonly isFirst?: boolean;
}

/** Whole runs of a container. */
const runOf =
  ({ change, isFirst = false }: Run): Case["prepare"] =>
  (work, { name, command }, first) => {
    const bundle = makeBundle(work, `run-${newId()}`, first, undefined, change);
    return () => {
      const id = newId();
      const root = join(work, isFirst ? `${name}-${id}` : name);
      return time(work, [...command, "--root", root, "run", "--bundle", bundle, id]).milliseconds;
    };
  };

/** A profile as Docker's default one. */
const withProfile = ({ linux }: Spec): void => {
  linux.seccomp = engineProfile();
};

/** Limits that the program keeps, so that what is measured is their setting. */
const withLimits = ({ linux }: Spec): void => {
  const memory = { limit: 256 * 2 ** 20, swap: 256 * 2 ** 20 };
  const cpu = { shares: 512, quota: 100_000, period: 100_000 };
  linux.resources = { ...linux.resources, memory, cpu, pids: { limit: 100 } };
};

/** A container that runs until it is killed: its id, and the command line of the contestant up to a command. */
function startOne(work: string, contestant: Contestant, first: Contestant) {
  const id = newId();
  const root = join(work, `root-${id}`);
  const bundle = makeBundle(work, id, first, ["/bin/sleep", "1000000"]);
  time(work, [...contestant.command, ...createArguments(work, root, bundle, id)]);
  const command = [...contestant.command, "--root", root];
  time(work, [...command, "start", id]);
  return { id, command };
}

export const cases: readonly Case[] = [
  {
    title: "/bin/true alone, the floor",
    unit: "ms",
    prepare: (work) => () => time(work, ["/bin/true"]).milliseconds,
  },
  {
    title: "--version",
    unit: "ms",
    prepare:
      (work, { command }) =>
      () =>
        time(work, [...command, "--version"]).milliseconds,
  },
  { title: "run", unit: "ms", prepare: runOf({}) },
  {
    title: "run, seccomp profile, first start",
    unit: "ms",
    prepare: runOf({ change: withProfile, isFirst: true }),
  },
  { title: "run, seccomp profile, second start", unit: "ms", prepare: runOf({ change: withProfile }) },
  { title: "run, in the VM", unit: "ms", place: "vm", prepare: runOf({}) },
  {
    title: "run, memory, cpu and pids limits, in the VM",
    unit: "ms",
    place: "vm",
    prepare: runOf({ change: withLimits }),
  },
  {
    title: "create + start + delete",
    unit: "ms",
    prepare: (work, contestant, first) => {
      const bundle = makeBundle(work, `live-${contestant.name}`, first);
      return () => live(work, contestant, join(work, contestant.name), bundle);
    },
  },
  {
    title: "exec true",
    unit: "ms",
    prepare: (work, contestant, first) => {
      const { id, command } = startOne(work, contestant, first);
      return () => time(work, [...command, "exec", id, "/bin/true"]).milliseconds;
    },
  },
  {
    title: "exec true, with a terminal",
    unit: "ms",
    prepare: (work, contestant, first) => {
      const { id, command } = startOne(work, contestant, first);
      return () => time(work, [...command, "exec", "--tty", id, "/bin/true"], true).milliseconds;
    },
  },
  {
    // A signal that the program does not notice, so that it can be sent again.
    title: "kill",
    unit: "ms",
    prepare: (work, contestant, first) => {
      const { id, command } = startOne(work, contestant, first);
      return () => time(work, [...command, "kill", id, "WINCH"]).milliseconds;
    },
  },
  {
    title: "pause + resume",
    unit: "ms",
    prepare: (work, contestant, first) => {
      // Without a cgroup there is nothing to freeze.
      if (contestant.note !== undefined) return undefined;
      const { id, command } = startOne(work, contestant, first);
      return () =>
        time(work, [...command, "pause", id]).milliseconds +
        time(work, [...command, "resume", id]).milliseconds;
    },
  },
  {
    title: "delete",
    unit: "ms",
    prepare: (work, contestant, first) => () => {
      const { id, root } = createOne(work, contestant, first);
      const pid = pidOf(work, id);
      process.kill(pid, "SIGKILL");
      while (isAlive(pid)) Bun.sleepSync(1);
      return time(work, [...contestant.command, "--root", root, "delete", id]).milliseconds;
    },
  },
  {
    // Where there is a controller to limit by.
    title: "update, in the VM",
    unit: "ms",
    place: "vm",
    prepare: (work, contestant, first) => {
      const { id, command } = startOne(work, contestant, first);
      return () => time(work, [...command, "update", "--pids-limit", "50", id]).milliseconds;
    },
  },
  {
    title: "state, 1 container",
    unit: "ms",
    prepare: (work, contestant, first) => {
      const { id, root } = createOne(work, contestant, first);
      return () => time(work, [...contestant.command, "--root", root, "state", id]).milliseconds;
    },
  },
  {
    title: `state, ${many} containers`,
    unit: "ms",
    prepare: (work, contestant, first) => {
      const { id, root } = createMany(work, contestant, first);
      return () => time(work, [...contestant.command, "--root", root, "state", id]).milliseconds;
    },
  },
  {
    title: `list, ${many} containers`,
    unit: "ms",
    prepare: (work, contestant, first) => {
      const { root } = createMany(work, contestant, first);
      return () => time(work, [...contestant.command, "--root", root, "list"]).milliseconds;
    },
  },
  {
    title: "peak memory of run",
    unit: "MB",
    prepare: (work, { name, command }, first) => {
      const bundle = makeBundle(work, `peak-${name}`, first);
      return () =>
        time(work, [...command, "--root", join(work, name), "run", "--bundle", bundle, newId()]).peak / 1024;
    },
  },
  {
    title: "memory of a created container",
    unit: "MB",
    prepare: (work, contestant, first) => {
      const { id } = createOne(work, contestant, first);
      return () => residentMemory(pidOf(work, id)) / 1024;
    },
  },
  ...engineCases,
];
