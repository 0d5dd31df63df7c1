import { MOUNT_ATTR_RDONLY, O_CLOEXEC, O_PATH, RESOLVE_IN_ROOT } from "../linux/constants.ts";
import { struct } from "../plan/build.ts";
import type { Struct } from "../plan/step.ts";

/** Size of struct open_how; man 2 openat2. */
export const OPEN_HOW_SIZE = 24;

/** struct open_how. */
export function openHow(flags: number, resolve: number): Struct {
  return struct(OPEN_HOW_SIZE, [
    { name: "flags", offset: 0, size: 8, value: flags },
    { name: "resolve", offset: 16, size: 8, value: resolve },
  ]);
}

/** Names something inside the rootfs without opening it. */
export const IN_ROOT = openHow(O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT);

/** Size of struct mount_attr; man 2 mount_setattr. */
export const MOUNT_ATTR_SIZE = 32;

/** struct mount_attr. */
export function mountAttr(change: { set?: number; clear?: number; propagation?: number }): Struct {
  return struct(MOUNT_ATTR_SIZE, [
    { name: "attr_set", offset: 0, size: 8, value: change.set ?? 0 },
    { name: "attr_clr", offset: 8, size: 8, value: change.clear ?? 0 },
    { name: "propagation", offset: 16, size: 8, value: change.propagation ?? 0 },
  ]);
}

export const READ_ONLY = mountAttr({ set: MOUNT_ATTR_RDONLY });

/** struct statx, which is the same on every architecture, unlike struct stat; man 2 statx. */
export const STATX = {
  size: 256,
  uid: 20,
  gid: 24,
  /** Sixteen bits: S_IFMT and permissions. */
  mode: 28,
  /** Thirty-two bits each: stx_rdev_major, stx_rdev_minor. */
  rdev: 128,
} as const;

/** Size of struct statfs, whose first eight bytes are f_type; man 2 statfs. */
export const STATFS_SIZE = 120;
