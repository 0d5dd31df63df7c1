/** What a process sees mounted, for tests that ask the kernel instead of berth: man 5 proc_pid_mountinfo. */
import { readFileSync } from "node:fs";

/** One line of mountinfo. */
export interface MountInfo {
  /** Major and minor number of its superblock. */
  readonly device: string;
  /** The directory or file of the file system that is its root. */
  readonly root: string;
  readonly point: string;
  /** Of this mount: "ro", "nosuid". */
  readonly options: readonly string[];
  /** "shared:1", "master:2", "unbindable" */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Of the file system: "sync", "size=64k". */
  readonly superblock: readonly string[];
}

/** The mounts of a mountinfo, in the order in which they were made. */
export function parseMountinfo(text: string): MountInfo[] {
  return text
    .split("\n")
    .filter((line) => line.includes(" - "))
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      const [, , device = "", root = "", point = "", options = "", ...propagation] = before.split(" ");
      const [type = "", source = "", superblock = ""] = after.split(" ");
      return {
        device,
        root,
        point,
        options: options.split(","),
        propagation,
        type,
        source,
        superblock: superblock.split(","),
      };
    });
}

/** The mount that is seen at `point`: the last one there. */
export function mountAt(mounts: readonly MountInfo[], point: string): MountInfo {
  const mount = mounts.findLast((each) => each.point === point);
  if (mount === undefined) throw new Error(`nothing is mounted on "${point}"`);
  return mount;
}

/** The mounts of the host. */
export function hostMounts(): MountInfo[] {
  return parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
}
