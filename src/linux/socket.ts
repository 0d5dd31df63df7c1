import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./constants.ts";
import { check, EINTR, ENAMETOOLONG, systemError } from "./errno.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";
import { byteLength, utf8 } from "./text.ts";

/** Two connected SOCK_SEQPACKET sockets: messages keep their borders, and the end of one is the other's end of file. */
export function socketPair(): [number, number] {
  const pair = scratch().space(8);
  check(syscall("socketpair", AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "make a socket pair");
  return [at.u32(pair), at.u32(pair + 4)];
}

const SUN_PATH = 108;

/** struct sockaddr_un for `path`; a long path must be shortened by the caller, see {@link pathThrough}. */
function address(path: string): { pointer: number; size: number } {
  const bytes = utf8(path);
  if (bytes.length >= SUN_PATH) throw systemError(ENAMETOOLONG, `socket "${path}"`);
  const pointer = scratch().space(2 + SUN_PATH);
  at.setU32(pointer, AF_UNIX);
  bytes.forEach((byte, i) => {
    at.setU8(pointer + 2 + i, byte);
  });
  if (!path.startsWith("@")) return { pointer, size: 2 + SUN_PATH };
  // An abstract name begins with a NUL, and is as long as it is said to be.
  at.setU8(pointer + 2, 0);
  return { pointer, size: 2 + bytes.length };
}

/** A short name for a socket in an open directory: sun_path holds 107 bytes, and a state directory may be deep. */
export function pathThrough(directory: number, name: string): string {
  return `/proc/self/fd/${directory}/${name}`;
}

/** A SOCK_SEQPACKET socket that listens at `path`. @throws BerthError */
export function listenAt(path: string): number {
  const fd = check(syscall("socket", AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "make a socket");
  const { pointer, size } = address(path);
  check(syscall("bind", fd, pointer, size), `bind a socket to "${path}"`);
  check(syscall("listen", fd, 1), `listen on "${path}"`);
  return fd;
}

/** A SOCK_DGRAM socket with the name `path`. @throws BerthError */
export function datagramAt(path: string): number {
  const fd = check(syscall("socket", AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket");
  const { pointer, size } = address(path);
  const result = syscall("bind", fd, pointer, size);
  if (result < 0) syscall("close", fd);
  check(result, `bind a socket to "${path}"`);
  return fd;
}

const TYPES = { stream: SOCK_STREAM, seqpacket: SOCK_SEQPACKET, datagram: SOCK_DGRAM } as const;

/** A connection to the socket at `path`, or with "@" before it to the abstract one; or a negated errno; man 7 unix. */
export function tryConnect(path: string, type: keyof typeof TYPES): number {
  const fd = check(syscall("socket", AF_UNIX, TYPES[type] | SOCK_CLOEXEC, 0), "make a socket");
  const { pointer, size } = address(path);
  const result = syscall("connect", fd, pointer, size);
  if (result < 0) {
    syscall("close", fd);
    return result;
  }
  return fd;
}

/** Sends `text` with a descriptor; man 7 unix, SCM_RIGHTS. @throws BerthError */
export function sendDescriptor(socket: number, fd: number, text: string): void {
  const memory = scratch();
  const payload = memory.text(text);
  const vector = memory.space(16);
  at.setU64(vector, payload);
  at.setU64(vector + 8, byteLength(text));
  // struct cmsghdr { size_t len = 20; int level; int type; int fd; }, padded to 24
  const control = memory.space(24);
  at.setU64(control, 20);
  at.setU32(control + 8, SOL_SOCKET);
  at.setU32(control + 12, SCM_RIGHTS);
  at.setU32(control + 16, fd);
  const message = memory.space(56);
  at.setU64(message + 16, vector);
  at.setU64(message + 24, 1);
  at.setU64(message + 32, control);
  at.setU64(message + 40, 24);
  check(syscall("sendmsg", socket, message, 0), "send a descriptor");
}

/** A message of up to `size` bytes, and the descriptor that came with it, if one did; close-on-exec. @throws BerthError */
export function receiveWithDescriptor(
  socket: number,
  size: number,
): { bytes: Uint8Array; descriptor: number | undefined } {
  const memory = scratch();
  const buffer = memory.space(size);
  const vector = memory.space(16);
  at.setU64(vector, buffer);
  at.setU64(vector + 8, size);
  const control = memory.space(24);
  const message = memory.space(56);
  at.setU64(message + 16, vector);
  at.setU64(message + 24, 1);
  at.setU64(message + 32, control);
  at.setU64(message + 40, 24);
  let length: number;
  do length = syscall("recvmsg", socket, message, MSG_CMSG_CLOEXEC);
  while (length === -EINTR);
  check(length, "receive a message");
  // Without a descriptor, the kernel leaves no control message.
  const came = at.u64(message + 40) > 0 && at.u32(control + 12) === SCM_RIGHTS;
  return { bytes: at.bytes(buffer, length), descriptor: came ? at.i32(control + 16) : undefined };
}
