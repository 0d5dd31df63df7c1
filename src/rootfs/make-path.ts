import {
  AT_SYMLINK_NOFOLLOW,
  O_DIRECTORY,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
  S_IFREG,
} from "../linux/constants.ts";
import { tryMkdir } from "../linux/directory.ts";
import { check, EACCES, EEXIST, EINVAL, ELOOP, ENOENT, systemError } from "../linux/errno.ts";
import { openInRoot, tryMknod, tryReadlink, withDescriptor } from "../linux/file.ts";
import { withFileSystemIds } from "../linux/ids.ts";
import { scratch } from "../linux/memory.ts";
import { syscall } from "../linux/native.ts";
import { fstat } from "../linux/status.ts";

/** As many symlinks as runc follows; the kernel itself stops at 40. */
const MAX_LINKS = 255;

/** How often a name may come and go while it is looked at. */
const MAX_RACES = 100;

/** The root of a container with a new user namespace. */
export interface ContainerRoot {
  /** Its ids on the host. */
  readonly uid: number;
  readonly gid: number;
  /** Whether the namespace has a file's owner and group, so that its root has power over the file. */
  has(uid: number, gid: number): boolean;
}

/**
 * Makes a path inside a root file system: every directory that is missing, and at the end a directory or an empty file.
 *
 * The path is walked by hand, one component at a time and each from a descriptor of the directory that was checked to lie
 * inside the root. A symlink is read and followed as inside of the root, also one that dangles: what it names is made
 * inside the root, never on the host (CVE-2024-45310).
 *
 * What is made has mode 0755 or 0644, whatever the umask, belongs to the container's root, and is refused where that one
 * may not write.
 * @param root descriptor of the rootfs as the container sees it
 * @param path absolute, in the container
 * @param owner with a new user namespace; otherwise the container's root is ours
 * @throws BerthError with the errno's name as code
 */
export function makePathInRoot(
  root: number,
  path: string,
  type: "directory" | "file",
  owner?: ContainerRoot,
): void {
  const umask = syscall("umask", 0);
  try {
    if (owner === undefined) walk(root, path, type, owner);
    else withFileSystemIds(owner.uid, owner.gid, () => walk(root, path, type, owner));
  } finally {
    syscall("umask", umask);
  }
}

function walk(
  root: number,
  path: string,
  type: "directory" | "file",
  owner: ContainerRoot | undefined,
): void {
  let walked: string[] = [];
  let rest = components(path);
  let links = 0;
  let races = 0;
  for (;;) {
    const [name, ...after] = rest;
    if (name === undefined) return;
    if (name === "..") {
      walked.pop();
      rest = after;
      continue;
    }
    const link = enter(root, path, walked, name, after.length > 0 || type === "directory", owner);
    if (link === "raced") {
      if (++races > MAX_RACES) throw systemError(EEXIST, `make "${path}" in the root file system`);
    } else if (link === undefined) {
      walked.push(name);
      rest = after;
    } else {
      if (++links > MAX_LINKS) throw systemError(ELOOP, `make "${path}" in the root file system`);
      if (link.startsWith("/")) walked = [];
      rest = [...components(link), ...after];
    }
  }
}

/**
 * Makes sure that `name` is in a directory that has been walked to.
 * @returns what it is a symlink to, or undefined when it is none; "raced": it changed meanwhile
 */
function enter(
  root: number,
  path: string,
  walked: readonly string[],
  name: string,
  asDirectory: boolean,
  owner: ContainerRoot | undefined,
): string | "raced" | undefined {
  const here = `/${walked.join("/")}`;
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
  return withDescriptor(openInRoot(root, here, O_PATH | O_DIRECTORY, 0, resolve), (directory) => {
    const link = tryReadlink(name, directory);
    if (typeof link === "string") return link;
    if (link === -EINVAL) return undefined;
    if (link !== -ENOENT) check(link, `make "${path}" in the root file system: read "${name}"`);
    const make = () =>
      asDirectory ? tryMkdir(name, 0o755, directory) : tryMknod(name, S_IFREG | 0o644, 0, directory);
    let made = make();
    if (made === -EACCES && owner !== undefined) made = override(make, name, directory, owner);
    if (made === -EEXIST) return "raced";
    check(made, `make "${path}" in the root file system`);
    return undefined;
  });
}

/**
 * Makes a file where a directory's mode forbids it, as the root of a user namespace may if the namespace has the
 * directory's owner and group (capabilities(7) CAP_DAC_OVERRIDE). setfsuid has taken that right from us. Podman's root
 * directories have mode 0555.
 */
function override(make: () => number, name: string, directory: number, owner: ContainerRoot): number {
  const { uid, gid } = fstat(directory);
  if (!owner.has(uid, gid)) return -EACCES;
  return withFileSystemIds(0, 0, () => {
    const made = make();
    if (made < 0) return made;
    return syscall("fchownat", directory, scratch().text(name), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW);
  });
}

function components(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
