import {
  AT_FDCWD,
  F_DUPFD_CLOEXEC,
  F_SETFD,
  LOCK_EX,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_WRONLY,
  POLLOUT,
  RESOLVE_IN_ROOT,
} from "./constants.ts";
import { check, EAGAIN, EINTR, ENOENT } from "./errno.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";
import { fromUtf8, utf8 } from "./text.ts";

/** Where a path starts: a directory's descriptor, or the working directory. */
export type Directory = number;

/** Like {@link open}, but answers a negated errno instead of throwing. */
export function tryOpen(path: string, flags: number, mode = 0, directory: Directory = AT_FDCWD): number {
  return syscall("openat", directory, scratch().text(path), flags | O_CLOEXEC, mode);
}

/**
 * Opens a file, close-on-exec; man 2 open.
 * @throws BerthError with the errno's name as code
 */
export function open(path: string, flags: number, mode = 0, directory: Directory = AT_FDCWD): number {
  return check(tryOpen(path, flags, mode, directory), `open "${path}"`);
}

/** Like {@link openInRoot}, but answers a negated errno instead of throwing. */
export function tryOpenInRoot(
  root: number,
  path: string,
  flags: number,
  mode = 0,
  resolve = RESOLVE_IN_ROOT,
): number {
  const memory = scratch();
  const name = memory.text(path);
  const how = memory.space(24);
  at.setU64(how, flags | O_CLOEXEC);
  at.setU64(how + 8, mode);
  at.setU64(how + 16, resolve);
  return syscall("openat2", root, name, how, 24);
}

/**
 * Opens a path as if `root` were "/": no symlink and no ".." leads out of it; man 2 openat2.
 * @throws BerthError with the errno's name as code
 */
export function openInRoot(
  root: number,
  path: string,
  flags: number,
  mode = 0,
  resolve = RESOLVE_IN_ROOT,
): number {
  return check(tryOpenInRoot(root, path, flags, mode, resolve), `open "${path}"`);
}

/** Lets what is executed from here on inherit a descriptor; man 2 fcntl. @throws BerthError */
export function keepOnExecute(fd: number): void {
  check(syscall("fcntl", fd, F_SETFD, 0), `keep descriptor ${fd}`);
}

/** Closes a descriptor; there is nothing to do about a failure. */
export function close(fd: number): void {
  syscall("close", fd);
}

/** Closes what `use` was given, whatever happens. */
export function withDescriptor<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    close(fd);
  }
}

/** A copy of a descriptor at `from` or above, close-on-exec. */
export function duplicate(fd: number, from: number): number {
  return check(syscall("fcntl", fd, F_DUPFD_CLOEXEC, from), "duplicate a descriptor");
}

const CHUNK = 65536;
/** Reads what is there, up to 64 KiB; or answers a negated errno. */
export function tryRead(fd: number): Uint8Array | number {
  const buffer = scratch().room(CHUNK);
  const count = syscall("read", fd, buffer, CHUNK);
  return count < 0 ? count : at.bytes(buffer, count);
}

/** Writes what fits, and answers how many bytes, or a negated errno. */
export function tryWrite(fd: number, bytes: Uint8Array): number {
  const part = bytes.length > CHUNK ? bytes.subarray(0, CHUNK) : bytes;
  return syscall("write", fd, scratch().copy(part), part.length);
}

/** Reads up to `size` bytes; an empty array at the end of the file. @throws BerthError */
export function readSome(fd: number, size = CHUNK, subject = "read"): Uint8Array {
  const buffer = scratch().room(size);
  for (;;) {
    const count = syscall("read", fd, buffer, size);
    if (count !== -EINTR) return at.bytes(buffer, check(count, subject));
  }
}

/** Reads up to `size` bytes from `offset` on; an empty array behind the end; man 2 pread. @throws BerthError */
export function readAt(fd: number, offset: number, size: number, subject = "read"): Uint8Array {
  const buffer = scratch().room(size);
  for (;;) {
    const count = syscall("pread64", fd, buffer, size, offset);
    if (count !== -EINTR) return at.bytes(buffer, check(count, subject));
  }
}

/** Reads from a descriptor to its end. @throws BerthError */
export function readAll(fd: number, subject = "read"): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const part = readSome(fd, CHUNK, subject);
    if (part.length === 0) return joined(parts);
    parts.push(part);
  }
}

/** Bytes that were read in parts, as one; without a copy if there is but one part. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  let size = 0;
  for (const part of parts) size += part.length;
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/**
 * The text of a file.
 * @throws BerthError with the errno's name as code
 */
export function readText(path: string, directory: Directory = AT_FDCWD): string {
  return withDescriptor(open(path, O_RDONLY, 0, directory), (fd) => fromUtf8(readAll(fd, `read "${path}"`)));
}

/** The text of a file, or undefined when there is none. @throws BerthError for any other failure */
export function readTextIfThere(path: string, directory: Directory = AT_FDCWD): string | undefined {
  const fd = tryOpen(path, O_RDONLY, 0, directory);
  if (fd === -ENOENT) return undefined;
  return withDescriptor(check(fd, `open "${path}"`), (fd) => fromUtf8(readAll(fd, `read "${path}"`)));
}

function awaitWritable(fd: number): void {
  const polled = scratch().space(8);
  at.setU32(polled, fd);
  at.setU32(polled + 4, POLLOUT);
  syscall("ppoll", polled, 1, 0, 0, 0);
}

/** Sets an open file's position to its begin. @throws BerthError */
export function rewind(fd: number): void {
  check(syscall("lseek", fd, 0, 0), "rewind a file");
}

/** Writes everything. @throws BerthError */
export function writeAll(fd: number, content: string | Uint8Array, subject = "write"): void {
  let rest = typeof content === "string" ? utf8(content) : content;
  do {
    const part = rest.length > CHUNK ? rest.subarray(0, CHUNK) : rest;
    const written = syscall("write", fd, scratch().copy(part), part.length);
    if (written === -EINTR) continue;
    if (written === -EAGAIN) {
      // An open file that the caller shares with others, and made non-blocking.
      awaitWritable(fd);
      continue;
    }
    rest = rest.subarray(check(written, subject));
  } while (rest.length > 0);
}

/** Writes a file that exists already, such as one of the kernel's, in one call. @throws BerthError */
export function writeExisting(path: string, content: string, directory: Directory = AT_FDCWD): void {
  withDescriptor(open(path, O_WRONLY, 0, directory), (fd) =>
    writeAll(fd, content, `write "${content.trimEnd()}" to "${path}"`),
  );
}

/**
 * Writes a file so that a reader sees all of it or none: to a temporary name beside it, then renamed.
 * @param mode permission bits, before the umask
 * @throws BerthError
 */
export function writeAtomically(
  path: string,
  content: string,
  mode: number,
  directory: Directory = AT_FDCWD,
): void {
  const slash = path.lastIndexOf("/") + 1;
  const temporary = `${path.slice(0, slash)}.${path.slice(slash)}`;
  unlinkIfThere(temporary, directory);
  const fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode, directory);
  try {
    withDescriptor(fd, () => writeAll(fd, content, `write "${path}"`));
    rename(temporary, path, directory);
  } catch (error) {
    unlinkIfThere(temporary, directory);
    throw error;
  }
}

/** Renames within one directory tree; man 2 rename. @throws BerthError */
export function rename(from: string, to: string, directory: Directory = AT_FDCWD): void {
  const memory = scratch();
  check(
    syscall("renameat2", directory, memory.text(from), directory, memory.text(to), 0),
    `rename "${from}" to "${to}"`,
  );
}

/** Makes a node, also a plain file or a fifo; answers 0 or a negated errno; man 2 mknod. */
export function tryMknod(
  path: string,
  mode: number,
  device: number,
  directory: Directory = AT_FDCWD,
): number {
  return syscall("mknodat", directory, scratch().text(path), mode, device);
}

/** Removes a file; answers 0 or a negated errno. */
export function tryUnlink(path: string, directory: Directory = AT_FDCWD): number {
  return syscall("unlinkat", directory, scratch().text(path), 0);
}

/** Removes a file if it is there. @throws BerthError */
export function unlinkIfThere(path: string, directory: Directory = AT_FDCWD): void {
  const result = tryUnlink(path, directory);
  if (result !== -ENOENT) check(result, `remove "${path}"`);
}

/** The target of a symlink, or a negated errno. */
export function tryReadlink(path: string, directory: Directory = AT_FDCWD): string | number {
  const memory = scratch();
  const name = memory.text(path);
  const target = memory.room(4096);
  const length = syscall("readlinkat", directory, name, target, 4096);
  return length < 0 ? length : at.text(target, length);
}

/** Takes an advisory lock on an open file; answers 0 or a negated errno; man 2 flock. */
export function tryLock(fd: number, how: number = LOCK_EX): number {
  for (;;) {
    const result = syscall("flock", fd, how);
    if (result !== -EINTR) return result;
  }
}
