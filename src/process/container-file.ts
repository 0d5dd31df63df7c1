import {
  AT_EMPTY_PATH,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  S_IFLNK,
  S_IFMT,
} from "../linux/constants.ts";
import { ELOOP, ENOENT, ENOTDIR } from "../linux/errno.ts";
import { close, readAt, tryOpen, tryOpenInRoot, tryReadlink } from "../linux/file.ts";
import { scoped } from "../linux/scope.ts";
import { type FileStatus, mountFlagsOf, tryStat } from "../linux/status.ts";

/** A file of the container, looked at from outside. */
export interface ContainerFile {
  readonly path: string;
  readonly status: FileStatus;
  /** ST_* */
  readonly mountFlags: number;
  /** Reads up to `size` bytes of a regular file; undefined when the runtime may not read it. */
  read(offset: number, size: number): Uint8Array | undefined;
}

/** Why a path leads nowhere. */
export interface Unreachable {
  readonly errno: number;
  readonly text: string;
  /** The name is simply not there; otherwise a symlink is wrong. */
  readonly absent: boolean;
}

/** `path` as seen from the directory `cwd`, absolute. Keeps "..": what that means depends on symlinks. */
export function fromDirectory(cwd: string, path: string): string {
  const whole = path.startsWith("/") ? path : `${cwd}/${path}`;
  return `/${components(whole).join("/")}`;
}

function components(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** The directories that lead to an absolute path, from the root's own entries on; without the path itself. */
export function directoriesTo(path: string): string[] {
  const parts = components(path);
  return parts.slice(1).map((_, i) => `/${parts.slice(0, i + 1).join("/")}`);
}

/**
 * Looks at a file inside of `root` without opening it: a fifo or a device may block or act when it is opened.
 * @returns what `use` makes of the file or of the reason why there is none; undefined when even that cannot be told
 */
export function inspectFile<T>(
  root: number,
  path: string,
  use: (file: ContainerFile | Unreachable) => T,
): T | undefined {
  const fd = tryOpenInRoot(root, path, O_PATH);
  if (fd < 0) {
    const reason = whyUnreachable(root, path, -fd);
    return reason === undefined ? undefined : use(reason);
  }
  return scoped((scope) => {
    scope.keep(fd);
    const status = tryStat("", fd, AT_EMPTY_PATH);
    if (typeof status === "number") return undefined;
    const read = (offset: number, size: number) => {
      // Through the descriptor: a second look-up could meet a device that took the file's place.
      const readable = tryOpen(`/proc/self/fd/${fd}`, O_RDONLY | O_NONBLOCK);
      if (readable < 0) return undefined;
      try {
        return readAt(readable, offset, size);
      } catch {
        return undefined;
      } finally {
        close(readable);
      }
    };
    return use({ path, status, mountFlags: mountFlags(fd), read });
  });
}

function mountFlags(fd: number): number {
  try {
    return mountFlagsOf(fd);
  } catch {
    // A network or FUSE file system whose server is gone: nothing to tell.
    return 0;
  }
}

function whyUnreachable(root: number, path: string, errno: number): Unreachable | undefined {
  if (errno !== ENOENT && errno !== ENOTDIR && errno !== ELOOP) return undefined;
  let parent = "/";
  for (const name of [...directoriesTo(path), path]) {
    const fd = tryOpenInRoot(root, name, O_PATH);
    if (fd >= 0) {
      close(fd);
      parent = name;
      continue;
    }
    if (fd === -ENOTDIR) {
      return { errno: ENOTDIR, text: `${quote(parent)} is not a directory`, absent: true };
    }
    if (fd === -ELOOP) {
      const text = `the symlinks at ${quote(name)} lead in a circle, or are more than 40`;
      return { errno: ELOOP, text, absent: false };
    }
    if (fd !== -ENOENT) return undefined;
    const target = symlinkTarget(root, name);
    if (target !== undefined) {
      const text = `${quote(name)} is a symlink to ${quote(target)}, which does not exist in the container`;
      return { errno: ENOENT, text, absent: false };
    }
    const missing = name === path ? "" : `: ${quote(name)} is missing`;
    return { errno: ENOENT, text: `there is no ${quote(path)} in the container${missing}`, absent: true };
  }
  return undefined;
}

function symlinkTarget(root: number, path: string): string | undefined {
  const fd = tryOpenInRoot(root, path, O_PATH | O_NOFOLLOW);
  if (fd < 0) return undefined;
  try {
    const status = tryStat("", fd, AT_EMPTY_PATH);
    if (typeof status === "number" || (status.mode & S_IFMT) !== S_IFLNK) return undefined;
    const target = tryReadlink("", fd);
    return typeof target === "number" ? undefined : target;
  } finally {
    close(fd);
  }
}

const SHOWN = 256;

/** Quotes what a container's file holds: it must not reach the reader's terminal as control characters. */
export function quote(text: string): string {
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
  return JSON.stringify(shown).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
