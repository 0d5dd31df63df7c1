import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_IDMAP, O_PATH } from "./constants.ts";
import { open, readTextIfThere, withDescriptor } from "./file.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";

const MOUNT_ATTR_SIZE = 32;

/** A copy of a path's mount, attached nowhere; its descriptor, or a negated errno; man 2 open_tree. */
export function tryOpenTree(path: string, flags: number): number {
  return syscall("open_tree", AT_FDCWD, scratch().text(path), flags);
}

/** Changes the propagation (MS_SLAVE ...) of a mount and those below it; answers 0 or a negated errno; man 2 mount_setattr. */
export function trySetPropagation(mount: number, propagation: number): number {
  const memory = scratch();
  const attributes = memory.space(MOUNT_ATTR_SIZE);
  at.setU64(attributes + 16, propagation);
  return setAttributes(mount, AT_RECURSIVE, attributes, memory.text(""));
}

/**
 * Gives a mount that is attached nowhere the id mapping of a user namespace; answers 0 or a negated errno.
 * @param recursive the mounts below it as well
 */
export function trySetIdMap(mount: number, userNamespace: number, recursive: boolean): number {
  const memory = scratch();
  const attributes = memory.space(MOUNT_ATTR_SIZE);
  at.setU64(attributes, MOUNT_ATTR_IDMAP);
  at.setU64(attributes + 24, userNamespace);
  return setAttributes(mount, recursive ? AT_RECURSIVE : 0, attributes, memory.text(""));
}

function setAttributes(mount: number, flags: number, attributes: number, empty: number): number {
  return syscall("mount_setattr", mount, empty, AT_EMPTY_PATH | flags, attributes, MOUNT_ATTR_SIZE);
}

/** The name of the file system that a path lies on, as "ext4"; undefined when the kernel does not tell. For messages. */
export function fileSystemName(path: string): string | undefined {
  try {
    const info = withDescriptor(open(path, O_PATH), (fd) => readTextIfThere(`/proc/self/fdinfo/${fd}`) ?? "");
    const id = /^mnt_id:\t(\d+)$/m.exec(info)?.[1];
    const line = new RegExp(`^${id} .* - (\\S+) `, "m").exec(readTextIfThere("/proc/self/mountinfo") ?? "");
    return line?.[1];
  } catch {
    return undefined;
  }
}
