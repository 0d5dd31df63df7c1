import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFDIR, S_IFMT } from "./constants.ts";
import { machine } from "./engine.ts";
import { check, systemError } from "./errno.ts";
import type { Directory } from "./file.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";

/** What stat tells; man 3 stat. */
export interface FileStatus {
  readonly device: number;
  readonly inode: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The device that a device node stands for, as the kernel encodes it. */
  readonly rdev: number;
  readonly size: number;
}

const STAT_SIZE = 144;
const arm64 = machine === "aarch64";

function readStat(status: number): FileStatus {
  // struct stat: x86-64 has st_nlink before st_mode, the generic ABI has it after, in 32 bits.
  const [mode, uid, gid] = arm64 ? [16, 24, 28] : [24, 28, 32];
  return {
    device: at.u64(status),
    inode: at.u64(status + 8),
    mode: at.u32(status + mode),
    uid: at.u32(status + uid),
    gid: at.u32(status + gid),
    rdev: at.u64(status + (arm64 ? 32 : 40)),
    size: at.u64(status + 48),
  };
}

/** Status of a path, or a negated errno. Follows symlinks unless `flags` has AT_SYMLINK_NOFOLLOW. */
export function tryStat(path: string, directory: Directory = AT_FDCWD, flags = 0): FileStatus | number {
  const memory = scratch();
  const name = memory.text(path);
  const status = memory.space(STAT_SIZE);
  const result = syscall("newfstatat", directory, name, status, flags);
  return result < 0 ? result : readStat(status);
}

/** Status of what a descriptor refers to. @throws BerthError */
export function fstat(fd: number): FileStatus {
  const status = tryStat("", fd, AT_EMPTY_PATH);
  if (typeof status === "number") throw systemError(-status, `stat descriptor ${fd}`);
  return status;
}

/** Whether this is a directory, symlinks followed. */
export function isDirectory(path: string, directory: Directory = AT_FDCWD): boolean {
  const status = tryStat(path, directory);
  return typeof status !== "number" && (status.mode & S_IFMT) === S_IFDIR;
}

/** Whether something has this name, symlinks not followed. */
export function exists(path: string, directory: Directory = AT_FDCWD): boolean {
  return typeof tryStat(path, directory, AT_SYMLINK_NOFOLLOW) !== "number";
}

/** How what is behind a descriptor is mounted, e.g. ST_NOEXEC; man 2 statfs, f_flags. @throws BerthError */
export function mountFlagsOf(fd: number): number {
  const status = scratch().space(120);
  check(syscall("fstatfs", fd, status), `statfs descriptor ${fd}`);
  return at.u32(status + 80);
}

/** The kind of file system behind a descriptor, e.g. PROC_SUPER_MAGIC; man 2 statfs. @throws BerthError */
export function fileSystemOf(fd: number): number {
  const status = scratch().space(120);
  check(syscall("fstatfs", fd, status), `statfs descriptor ${fd}`);
  return at.u32(status);
}
