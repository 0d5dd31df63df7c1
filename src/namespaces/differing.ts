import { AT_FDCWD } from "../linux/constants.ts";
import { ENOENT, systemError } from "../linux/errno.ts";
import { tryStat } from "../linux/status.ts";
import type { NamespaceType } from "../spec/linux.ts";
import { NAMESPACE_FLAGS } from "./namespaces.ts";

/** The names in /proc/PID/ns. */
const FILES: readonly (readonly [type: NamespaceType, file: string])[] = [
  ["network", "net"],
  ["ipc", "ipc"],
  ["uts", "uts"],
  ["time", "time"],
  ["cgroup", "cgroup"],
  ["pid", "pid"],
  ["mount", "mnt"],
  ["user", "user"],
];

/**
 * The namespaces in which a process is and berth is not. What config.json says is not enough to know them: this berth may be called
 * elsewhere than the one that created the container, and setns refuses the user namespace that one is in already.
 *
 * The caller must make sure that the process still lives afterwards: the pid could have been another's by then.
 * @returns CLONE_NEW* @throws BerthError
 */
export function differingNamespaces(pid: number): number {
  let flags = 0;
  for (const [type, file] of FILES) {
    const path = `/proc/${pid}/ns/${file}`;
    const theirs = tryStat(path, AT_FDCWD);
    const own = tryStat(`/proc/self/ns/${file}`, AT_FDCWD);
    // A kernel without this type.
    if (theirs === -ENOENT && own === -ENOENT) continue;
    if (typeof theirs === "number") throw systemError(-theirs, `look at "${path}"`);
    if (typeof own === "number" || theirs.inode !== own.inode) flags |= NAMESPACE_FLAGS[type];
  }
  return flags;
}
