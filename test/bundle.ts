/**
 * What the integration tests stand on: bundles with a busybox root filesystem, `berth` run as a user runs it, and the proof that
 * nothing is left behind, which is checked after every test of a file that imports this one.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach } from "vitest";
import type { Mount, Spec } from "../src/spec/config.ts";
import type { Linux } from "../src/spec/linux.ts";
import type { Process } from "../src/spec/process.ts";
import { waitUntil } from "./wait.ts";

export { waitUntil };

const project = realpathSync(join(import.meta.dirname, ".."));

/** The program under test. */
export const program = join(project, "dist/berth");

/** A directory of this test file's own. Everything it makes is in here. */
export const directory = realpathSync(mkdtempSync(join(tmpdir(), "berth-test-")));
// A container's user must be able to reach its root filesystem; mkdtemp allows only us.
chmodSync(directory, 0o755);

/** The value of `--root`: where containers of this test file keep their state. */
export const stateRoot = join(directory, "state");

/** Part of the path of every cgroup, and of every command line, that belongs to this test file. */
const mark = basename(directory);

let serial = 0;

/** A container id that no other test uses, on the whole machine. */
export function newId(): string {
  serial += 1;
  return `${mark}-${serial}`;
}

/** A config.json with the parts that tests change filled in. */
export type Config = Spec & {
  process: Process & Required<Pick<Process, "args" | "env" | "user" | "capabilities" | "rlimits">>;
  mounts: Mount[];
  linux: Linux & Required<Pick<Linux, "resources" | "cgroupsPath" | "maskedPaths" | "readonlyPaths">>;
};

function defaultConfig(): Config {
  const capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
  return {
    ociVersion: "1.3.0",
    hostname: "test",
    process: {
      args: ["/bin/true"],
      cwd: "/",
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 1024 }],
    },
    root: { path: "rootfs", readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      {
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: ["nosuid", "noexec", "nodev", "mode=1777", "size=1m"],
      },
      {
        destination: "/dev/mqueue",
        type: "mqueue",
        source: "mqueue",
        options: ["nosuid", "noexec", "nodev"],
      },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      {
        destination: "/sys/fs/cgroup",
        // By its own name v2 is shown on a host that has cgroup v1 as well, too.
        type: "cgroup2",
        source: "cgroup",
        options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
      },
    ],
    linux: {
      namespaces: [
        { type: "pid" },
        { type: "network" },
        { type: "ipc" },
        { type: "uts" },
        { type: "mount" },
        { type: "cgroup" },
      ],
      cgroupsPath: `/${mark}/${serial}`,
      resources: { devices: [{ allow: false, access: "rwm" }] },
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

export interface Bundle {
  readonly path: string;
  /** Its root filesystem: a copy of its own, for the test to change. */
  readonly rootfs: string;
  /** As it was written to config.json. */
  readonly config: Config;
}

/** Makes a bundle that runs /bin/true, or what `patch` makes of it. */
export function makeBundle(patch: (config: Config) => void = () => {}): Bundle {
  const path = join(directory, `bundle-${newId()}`);
  const rootfs = join(path, "rootfs");
  mkdirSync(path);
  Bun.spawnSync(["cp", "-a", join(project, "bundles/hello/rootfs"), rootfs]);
  const config = defaultConfig();
  patch(config);
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  return { path, rootfs, config };
}

export interface Options {
  readonly cwd?: string;
  /** The whole environment. By default the test's own. */
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  /** Another value of `--root`, or none. */
  readonly root?: string | null;
  /** The command that calls it, as another user. */
  readonly through?: readonly string[];
}

export interface Result {
  /** The exit code; null if a signal ended the process. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What has been written to stdout by now: a container that goes on running writes there as well. */
  readonly output: () => string;
}

/** Runs `berth` with `args` and waits for it, though not for a container that it leaves running. */
export function berth(args: readonly string[], options: Options = {}): Result {
  serial += 1;
  const paths = [join(directory, `stdout-${serial}`), join(directory, `stderr-${serial}`)] as const;
  // Files, not pipes: a container keeps its stdout open, and a pipe would be waited for until that ends.
  const [stdout, stderr] = [openSync(paths[0], "w"), openSync(paths[1], "w")];
  const root = options.root === undefined ? stateRoot : options.root;
  try {
    const command = [
      ...(options.through ?? []),
      program,
      ...(root === null ? [] : ["--root", root]),
      ...args,
    ];
    const child = Bun.spawnSync(command, {
      cwd: options.cwd ?? directory,
      env: options.env ?? process.env,
      stdio: [options.stdin === undefined ? "ignore" : Buffer.from(options.stdin), stdout, stderr],
    });
    const output = () => readFileSync(paths[0], "utf8");
    return {
      status: child.signalCode ? null : child.exitCode,
      stdout: output(),
      stderr: readFileSync(paths[1], "utf8"),
      output,
    };
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
}

/** `berth run` of a container that runs `script` in busybox's shell. */
export function runScript(script: string, patch: (config: Config) => void = () => {}): Result {
  const bundle = makeBundle((config) => {
    config.process.args = ["/bin/sh", "-c", script];
    patch(config);
  });
  return berth(["run", "--bundle", bundle.path, newId()]);
}

/** The contents of a file of /proc, or "" if its process has gone meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Processes that are in a cgroup of this test file, or have its directory in their command line. Who reaps the dead is not ours. */
function leftProcesses(): number[] {
  return (
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => `${read(`/proc/${pid}/cgroup`)}${read(`/proc/${pid}/cmdline`)}`.includes(mark))
      // What has no state any more was reaped since.
      .filter((pid) => /^State:\t[^ZX]/m.test(read(`/proc/${pid}/status`)))
      .map(Number)
  );
}

/** The fields of each line of mountinfo that berth could have left: proc_pid_mountinfo(5). */
function mounts(): { readonly point: string; readonly type: string }[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      return { point: before.split(" ")[4] ?? "", type: after.split(" ")[0] ?? "" };
    });
}

/** The directories of cgroups, in all hierarchies, in which those of this test file lie. Deepest first. */
function leftCgroups(): string[] {
  const descend = (path: string): string[] => [
    ...readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? descend(join(path, entry.name)) : [],
    ),
    path,
  ];
  return mounts()
    .filter(({ type }) => type === "cgroup" || type === "cgroup2")
    .map(({ point }) => join(point, mark))
    .filter((path) => existsSync(path))
    .flatMap(descend);
}

/**
 * What is left on the machine of the containers made by this test file: processes, cgroups, mounts, state directories.
 * The common parent of its cgroups may stay until the end, as runtimes remove only the cgroup that they were given.
 */
export function leftovers(): string[] {
  // Compiled filters stay for the next container.
  const states = existsSync(stateRoot)
    ? readdirSync(stateRoot).filter((name) => name !== "seccomp@cache")
    : [];
  return [
    ...leftProcesses().map((pid) => `process ${pid}: ${read(`/proc/${pid}/status`).split("\n")[0]}`),
    ...leftCgroups()
      .filter((path) => basename(path) !== mark)
      .map((path) => `cgroup ${path}`),
    ...mounts()
      .filter(({ point }) => point.includes(mark))
      .map(({ point, type }) => `mount ${point} (${type})`),
    ...states.map((name) => `state ${join(stateRoot, name)}`),
  ];
}

function isRemoved(cgroup: string): boolean {
  try {
    rmdirSync(cgroup);
    return true;
  } catch {
    return false;
  }
}

/** Takes away what is left, so that one test's failure is not the next one's. */
function sweep(): void {
  for (const pid of leftProcesses()) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
  waitUntil(() => leftProcesses().length === 0, "the processes that were left are gone");
  for (const { point } of mounts().reverse()) {
    if (point.includes(mark)) Bun.spawnSync(["umount", "-l", point]);
  }
  // A cgroup is busy a little longer than its last process can be seen.
  for (const path of leftCgroups()) waitUntil(() => isRemoved(path), `cgroup "${path}" is not busy`);
  rmSync(stateRoot, { recursive: true, force: true });
}

afterEach(() => {
  const left = leftovers();
  if (left.length > 0) sweep();
  if (left.length > 0) throw new Error(`left behind:\n${left.join("\n")}`);
});

afterAll(() => {
  sweep();
  rmSync(directory, { recursive: true, force: true });
});

/** The inode of a namespace of a process, as "net:[4026531840]". */
export function namespaceOf(pid: number | "self", kind: string): string {
  return readlinkSync(`/proc/${pid}/ns/${kind}`);
}
