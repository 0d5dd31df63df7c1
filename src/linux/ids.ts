import { readTextIfThere } from "./file.ts";
import { syscall } from "./native.ts";

let isFirst: boolean | undefined;

/** Whether this process is in the host's user namespace: only that maps every id to itself; man 7 user_namespaces. */
export function isInFirstUserNamespace(): boolean {
  isFirst ??= /^\s*0\s+0\s+4294967295\s*$/.test(readTextIfThere("/proc/self/uid_map") ?? "0 0 4294967295");
  return isFirst;
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
