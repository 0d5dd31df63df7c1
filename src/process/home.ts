import { O_NONBLOCK, O_RDONLY, S_IFMT, S_IFREG } from "../linux/constants.ts";
import { EAGAIN } from "../linux/errno.ts";
import { readSome, tryOpenInRoot, withDescriptor } from "../linux/file.ts";
import { fstat } from "../linux/status.ts";
import { byteLength, fromUtf8 } from "../linux/text.ts";

/** No more is read of an image's file: it may be endless. */
const MAX_FILE = 65536;

/** With RESOLVE_IN_ROOT the kernel asks to try again while mounts change on the host; man 2 openat2. */
const TRIES = 8;

/**
 * The text of one of the container's own files; "" when there is none, or no plain one.
 * @param root a descriptor of the container's root
 * @param path such as "etc/passwd"
 */
export function readContainerFile(root: number, path: string): string {
  // Not blocking: the image may have a fifo there.
  let fd = -EAGAIN;
  for (let i = 0; fd === -EAGAIN && i < TRIES; i++) fd = tryOpenInRoot(root, path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return "";
  return withDescriptor(fd, (file) =>
    (fstat(file).mode & S_IFMT) === S_IFREG ? fromUtf8(readSome(file, MAX_FILE)) : "",
  );
}

/**
 * "HOME=..." for a user, from the container's own /etc/passwd; "HOME=/" when that does not know the user, or is no plain file.
 * @param root a descriptor of the container's root
 * @param size how many bytes init has room for, with a NUL
 */
export function homeEntry(root: number, uid: number, size: number): string {
  for (const line of readContainerFile(root, "etc/passwd").split("\n")) {
    const fields = line.split(":");
    if (fields[2] !== String(uid)) continue;
    const entry = `HOME=${fields[5] || "/"}`;
    return byteLength(entry) < size ? entry : "HOME=/";
  }
  return "HOME=/";
}
