/** Where the benchmark runs: namespaces and a tmpfs of its own, in which all contestants see the same cgroup v2. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the benchmark runs on: the machine that it was started on, or a virtual one that it boots. */
export type Place = "host" | "vm";

/** What it is told by its environment: on which machine it is, where to write what came of it, and its working directory. */
const variables = {
  place: "BERTH_BENCH_PLACE",
  report: "BERTH_BENCH_REPORT",
  work: "BERTH_BENCH_WORK",
} as const;

const cgroupRoot = "/sys/fs/cgroup";

/** The path, under the root of cgroup v2, of all cgroups that the benchmark makes. */
export const cgroupParent = "/berth-bench";

/** Runs a command to its end, and throws with its stderr if it fails. */
export function must(command: readonly string[]): string {
  const { success, stdout, stderr } = Bun.spawnSync([...command], { stdio: ["ignore", "pipe", "pipe"] });
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
  return stdout.toString();
}

/** A line of shell's beginning that makes this program measure on that machine, and write what came of it to a file. */
export const environment = (place: Place, report: string) =>
  `${variables.place}=${place} ${variables.report}=${report}`;

/** What this process was asked for by {@link environment}; `work` is there once it is in the namespaces. */
export function errand():
  | { readonly place: Place; readonly report: string; readonly work?: string }
  | undefined {
  const { [variables.place]: place, [variables.report]: report, [variables.work]: work } = process.env;
  if (place === undefined || report === undefined) return undefined;
  return { place: place === "vm" ? "vm" : "host", report, ...(work === undefined ? {} : { work }) };
}

/** Starts this program again, in namespaces and a working directory of its own. @returns its exit status */
export function measureInNamespaces(place: Place, report: string): number {
  const work = mkdtempSync(join(tmpdir(), "berth-bench-"));
  // With its first process, the shell, goes every container. The shell also reaps them, as a machine's init does.
  const namespaces = [
    ...["unshare", "--mount", "--propagation", "private"],
    ...["--pid", "--fork", "--kill-child", "--mount-proc"],
  ];
  const names = { [variables.place]: place, [variables.report]: report, [variables.work]: work };
  try {
    return Bun.spawnSync(
      [...namespaces, "sh", "-c", '"$@"; exit $?', "sh", process.execPath, ...process.argv.slice(1)],
      { env: { ...process.env, ...names }, stdio: ["inherit", "inherit", "inherit"] },
    ).exitCode;
  } finally {
    rmdirSync(work);
  }
}

/**
 * Makes the working directory a tmpfs. Where the host is hybrid, cgroup v1 with cgroup v2 beside it, cgroup v2 is mounted on
 * /sys/fs/cgroup: else runc and crun would use v1, and do other work than berth.
 */
export function furnish(work: string): void {
  must(["mount", "-t", "tmpfs", "-o", "mode=755", "berth-bench", work]);
  if (!existsSync(`${cgroupRoot}/cgroup.controllers`)) {
    must(["umount", "-l", cgroupRoot]);
    must(["mount", "-t", "cgroup2", "cgroup2", cgroupRoot]);
  }
  removeCgroups(); // of a run that was interrupted
  mkdirSync(cgroupRoot + cgroupParent);
}

/** Removes a cgroup. Its list of processes is empty a little before the kernel has done with the last one. */
function remove(cgroup: string): void {
  for (let i = 0; ; i++) {
    try {
      rmdirSync(cgroup);
      return;
    } catch (error) {
      if (i === 100) throw error;
      Bun.sleepSync(10);
    }
  }
}

/** Kills what is left in the benchmark's cgroups, and removes them. */
export function removeCgroups(): void {
  const parent = cgroupRoot + cgroupParent;
  if (!existsSync(parent)) return;
  const children = readdirSync(parent, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const path of [...children.map((entry) => join(parent, entry.name)), parent]) {
    for (const pid of readFileSync(join(path, "cgroup.procs"), "utf8").split("\n").filter(Boolean)) {
      process.kill(Number(pid), "SIGKILL");
    }
    remove(path);
  }
}
