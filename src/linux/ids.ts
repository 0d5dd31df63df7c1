import { syscall } from "./native.ts";
import { tryStat } from "./status.ts";

/** USER_NS_INIT_INO of <linux/nsfs.h>: the number that the host's own user namespace always has. */
const FIRST = 0xeffffffd;

/** Whether this process is in the host's user namespace: only there capabilities are rights over the host. */
export function isInFirstUserNamespace(): boolean {
  const status = tryStat("/proc/self/ns/user");
  return typeof status === "number" || status.inode === FIRST;
}

/**
 * Acts on files as another user and group, without root's rights over files; man 2 setfsuid. Both ids are of the calling
 * thread only.
 */
export function withFileSystemIds<T>(uid: number, gid: number, act: () => T): T {
  const oldGid = syscall("setfsgid", gid);
  const oldUid = syscall("setfsuid", uid);
  try {
    return act();
  } finally {
    syscall("setfsuid", oldUid);
    syscall("setfsgid", oldGid);
  }
}
