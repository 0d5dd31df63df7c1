import { AT_FDCWD, AT_REMOVEDIR, O_DIRECTORY, O_RDONLY } from "./constants.ts";
import { check, ENOENT, systemError } from "./errno.ts";
import { type Directory, open, withDescriptor } from "./file.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";
import { isDirectory } from "./status.ts";

const CHUNK = 65536;

/** Makes a directory; answers 0 or a negated errno. */
export function tryMkdir(path: string, mode: number, directory: Directory = AT_FDCWD): number {
  return syscall("mkdirat", directory, scratch().text(path), mode);
}

/** Makes a directory. @throws BerthError */
export function mkdir(path: string, mode: number, directory: Directory = AT_FDCWD): void {
  check(tryMkdir(path, mode, directory), `make directory "${path}"`);
}

/** Makes a directory and those above it that are missing. @throws BerthError */
export function mkdirAll(path: string, mode: number): void {
  const result = tryMkdir(path, mode);
  if (result === 0 || isDirectory(path)) return;
  const slash = path.lastIndexOf("/");
  if (result !== -ENOENT || slash <= 0) throw systemError(-result, `make directory "${path}"`);
  mkdirAll(path.slice(0, slash), mode);
  const again = tryMkdir(path, mode);
  if (again !== 0 && !isDirectory(path)) throw systemError(-again, `make directory "${path}"`);
}

/** Removes an empty directory; answers 0 or a negated errno. */
export function tryRmdir(path: string, directory: Directory = AT_FDCWD): number {
  return syscall("unlinkat", directory, scratch().text(path), AT_REMOVEDIR);
}

/** One name in a directory; `type` is d_type of man 2 getdents (4: directory, 8: file, 10: symlink, 0: unknown). */
export interface DirectoryEntry {
  readonly name: string;
  readonly type: number;
}

/** What a directory holds, without "." and "..". @throws BerthError */
export function readDirectory(path: string, directory: Directory = AT_FDCWD): DirectoryEntry[] {
  return withDescriptor(open(path, O_RDONLY | O_DIRECTORY, 0, directory), (fd) => readEntries(fd, path));
}

/** What the open directory `fd` holds from its position on, without "." and "..". @throws BerthError */
export function readEntries(fd: number, subject = "directory"): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (;;) {
    const buffer = scratch().room(CHUNK);
    const count = check(syscall("getdents64", fd, buffer, CHUNK), `list "${subject}"`);
    if (count === 0) return entries;
    for (let offset = 0; offset < count; ) {
      const entry = buffer + offset;
      const size = at.u16(entry + 16);
      let length = 0;
      while (at.u8(entry + 19 + length) !== 0) length++;
      const name = at.text(entry + 19, length);
      if (name !== "." && name !== "..") entries.push({ name, type: at.u8(entry + 18) });
      offset += size;
    }
  }
}

/** The working directory. @throws BerthError */
export function workingDirectory(): string {
  const buffer = scratch().space(4096);
  const length = check(syscall("getcwd", buffer, 4096), "find the working directory");
  return at.text(buffer, length - 1);
}

/** A slash before another, before a dot or at the end: the path may be unclean. Most are clean, and need not be taken apart. */
const UNCLEAN = /\/(?:[/.]|$)/;

/** `path` made absolute against the working directory and cleaned of ".", ".." and doubled slashes, by its text alone. */
export function absolute(path: string, base = ""): string {
  if (path.startsWith("/") && !UNCLEAN.test(path)) return path;
  const whole = path.startsWith("/") ? path : `${base === "" ? workingDirectory() : base}/${path}`;
  const parts: string[] = [];
  for (const part of whole.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}
