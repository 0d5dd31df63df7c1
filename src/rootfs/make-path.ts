import { O_DIRECTORY, O_PATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, S_IFREG } from "../linux/constants.ts";
import { tryMkdir } from "../linux/directory.ts";
import { check, EEXIST, EINVAL, ELOOP, ENOENT, systemError } from "../linux/errno.ts";
import { openInRoot, tryMknod, tryReadlink, withDescriptor } from "../linux/file.ts";
import { syscall } from "../linux/native.ts";

/** As many symlinks as runc follows; the kernel itself stops at 40. */
const MAX_LINKS = 255;

/** How often a name may come and go while it is looked at. */
const MAX_RACES = 100;

/**
 * Makes a path inside a root file system: every directory that is missing, and at the end a directory or an empty file.
 *
 * The path is walked by hand, one component at a time and each from a descriptor of the directory that was checked to lie
 * inside the root. A symlink is read and followed as inside of the root, also one that dangles: what it names is made
 * inside the root, never on the host (CVE-2024-45310).
 *
 * What is made has mode 0755 or 0644, whatever the umask, and belongs to the filesystem user and
 * group of this thread: with a user namespace the caller has set them to the container's root.
 * @param root descriptor of the rootfs as the container sees it
 * @param path absolute, in the container
 * @throws BerthError with the errno's name as code
 */
export function makePathInRoot(root: number, path: string, type: "directory" | "file"): void {
  const umask = syscall("umask", 0);
  try {
    walk(root, path, type);
  } finally {
    syscall("umask", umask);
  }
}

function walk(root: number, path: string, type: "directory" | "file"): void {
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
    const link = enter(root, path, walked, name, after.length > 0 || type === "directory");
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
): string | "raced" | undefined {
  const here = `/${walked.join("/")}`;
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
  return withDescriptor(openInRoot(root, here, O_PATH | O_DIRECTORY, 0, resolve), (directory) => {
    const link = tryReadlink(name, directory);
    if (typeof link === "string") return link;
    if (link === -EINVAL) return undefined;
    if (link !== -ENOENT) check(link, `make "${path}" in the root file system: read "${name}"`);
    const made = asDirectory
      ? tryMkdir(name, 0o755, directory)
      : tryMknod(name, S_IFREG | 0o644, 0, directory);
    if (made === -EEXIST) return "raced";
    check(made, `make "${path}" in the root file system`);
    return undefined;
  });
}

function components(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
