import {
  AT_SYMLINK_NOFOLLOW,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "../linux/constants.ts";
import { readEntries, tryMkdir } from "../linux/directory.ts";
import { check, systemError } from "../linux/errno.ts";
import { open, tryMknod, tryOpen, tryReadlink, withDescriptor } from "../linux/file.ts";
import { withFileSystemIds } from "../linux/ids.ts";
import { scratch } from "../linux/memory.ts";
import { syscall } from "../linux/native.ts";
import { type FileStatus, tryStat } from "../linux/status.ts";

/** sendfile(2) moves no more than this at once. */
const CHUNK = 0x7fff_f000;

/** A user and a group of the host. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * tmpcopyup: copies what a directory holds into another one: files, directories, symlinks, fifos and device nodes, with
 * owner and mode. Times, extended attributes and hard links are not kept. Symlinks are never followed.
 *
 * The runtime does this for init, on descriptors of init's: a Plan has no loops.
 * @param from descriptor of the directory that a tmpfs is going to cover; O_PATH will do
 * @param to descriptor of the root of that tmpfs; O_PATH will do
 * @param root the container's root, when it has a user namespace: its tmpfs takes no file of a user that it does not map, not
 * even for the moment until the file gets its owner
 * @throws BerthError with the errno's name as code
 */
export function copyUp(from: number, to: number, root?: Owner): void {
  const make: Make =
    root === undefined ? (act) => act() : (act) => withFileSystemIds(root.uid, root.gid, act);
  copyDirectory(make, from, to, "");
}

/** Makes a file as the container's root. */
type Make = (act: () => number) => number;

function copyDirectory(make: Make, from: number, to: number, path: string): void {
  const entries = withDescriptor(open(".", O_RDONLY | O_DIRECTORY, 0, from), (fd) => readEntries(fd, path));
  for (const { name } of entries) copyEntry(make, from, to, name, `${path}/${name}`);
}

function copyEntry(make: Make, from: number, to: number, name: string, path: string): void {
  const subject = `tmpcopyup: copy "${path}"`;
  const status = tryStat(name, from, AT_SYMLINK_NOFOLLOW);
  if (typeof status === "number") throw systemError(-status, subject);
  switch (status.mode & S_IFMT) {
    case S_IFDIR:
      check(
        make(() => tryMkdir(name, 0o700, to)),
        subject,
      );
      withDirectories(from, to, name, (fromHere, toHere) => copyDirectory(make, fromHere, toHere, path));
      break;
    case S_IFREG:
      copyFile(make, from, to, name, subject);
      break;
    case S_IFLNK: {
      const link = tryReadlink(name, from);
      if (typeof link === "number") throw systemError(-link, subject);
      const symlink = () => {
        const memory = scratch();
        return syscall("symlinkat", memory.text(link), to, memory.text(name));
      };
      check(make(symlink), subject);
      break;
    }
    default:
      check(
        make(() => tryMknod(name, status.mode, status.rdev, to)),
        subject,
      );
  }
  giveOwnerAndMode(to, name, status, subject);
}

function withDirectories(
  from: number,
  to: number,
  name: string,
  use: (from: number, to: number) => void,
): void {
  const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  withDescriptor(open(name, flags, 0, from), (fromHere) =>
    withDescriptor(open(name, flags, 0, to), (toHere) => use(fromHere, toHere)),
  );
}

function copyFile(make: Make, from: number, to: number, name: string, subject: string): void {
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  withDescriptor(open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, from), (source) =>
    withDescriptor(
      check(
        make(() => tryOpen(name, flags, 0o600, to)),
        subject,
      ),
      (copy) => {
        while (check(syscall("sendfile", copy, source, 0, CHUNK), subject) > 0);
      },
    ),
  );
}

/** The owner first: a change of owner clears the set-user-ID bit. */
function giveOwnerAndMode(to: number, name: string, status: FileStatus, subject: string): void {
  const { mode, uid, gid } = status;
  check(
    syscall("fchownat", to, scratch().text(name), uid, gid, AT_SYMLINK_NOFOLLOW),
    `${subject}: give it its owner`,
  );
  if ((mode & S_IFMT) === S_IFLNK) return;
  check(syscall("fchmodat", to, scratch().text(name), mode & 0o7777), `${subject}: give it its mode`);
}
