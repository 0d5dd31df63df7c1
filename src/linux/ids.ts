import { syscall } from "./native.ts";

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
