import type { BerthError } from "../errors.ts";
import { POLLHUP, POLLIN } from "../linux/constants.ts";
import { check, EBADF, systemError } from "../linux/errno.ts";
import { close, readSome, rewind, tryReadlink, withDescriptor, writeAll } from "../linux/file.ts";
import { syscall } from "../linux/native.ts";
import { pidfdGetfd, poll } from "../linux/process.ts";
import { scoped } from "../linux/scope.ts";
import { sendDescriptor } from "../linux/socket.ts";
import { MESSAGE_SIZE } from "../plan/protocol.ts";
import type { Spec } from "../spec/config.ts";
import type { Seccomp } from "../spec/seccomp.ts";
import type { State } from "../spec/state.ts";
import type { FilterRecord } from "../state/store.ts";
import { connectTo } from "./console.ts";

/** The start of a process that loads a seccomp filter before it executes. */
export interface FilteredStart {
  /** Hands the filter's listener, if it has one, to whoever listens, and lets the process go on. @throws BerthError */
  handOver(connection: number): void;
  /** At the end of file: the failure that the process was not allowed to write, as it would have; empty if there is none. */
  notice(): Uint8Array;
  /** The error for a failure of this step, if it is one of the filter's. */
  failure(step: number, errno: number): BerthError | undefined;
}

/** How long to wait between two looks whether the filter is loaded, in milliseconds: it says so to nobody. */
const LOOK_AGAIN = 0.1;

/** The process, and the state of its container as whoever listens to its filter is to be told. */
export interface Filtered {
  readonly pid: number;
  readonly pidfd: number;
  readonly state: State;
}

/** Begins such a start, while the process still waits for it. @throws BerthError */
export function beginFilteredStart(filtered: Filtered, filter: FilterRecord, { linux }: Spec): FilteredStart {
  const { pidfd } = filtered;
  // It closes its own when it goes on; this one lives as long as this process.
  const file = pidfdGetfd(pidfd, filter.notice);
  return {
    handOver(connection) {
      if (filter.listener === null) return;
      const listener = awaitListener(pidfd, filter.listener, connection);
      if (listener === undefined) return;
      withDescriptor(listener, () => sendListener(listener, filtered, linux.seccomp ?? {}));
      writeAll(connection, Uint8Array.of(1), "tell init to go on");
    },
    notice() {
      rewind(file);
      const message = readSome(file, MESSAGE_SIZE, "read the notice");
      close(file);
      return message.some((byte) => byte !== 0) ? message : new Uint8Array();
    },
    failure(step, errno) {
      if (step < filter.step) return undefined;
      if (step === filter.step) return systemError(errno, "linux.seccomp: load the filter");
      return undefined;
    },
  };
}

/** The listener, once there is one; undefined: the connection has something to say instead. */
function awaitListener(pidfd: number, number: number, connection: number): number | undefined {
  for (;;) {
    const fd = syscall("pidfd_getfd", pidfd, number, 0);
    if (fd >= 0) {
      // Until init has taken the connection, its listening socket has that number.
      if (tryReadlink(`/proc/self/fd/${fd}`) === "anon_inode:seccomp notify") return fd;
      close(fd);
    } else if (fd !== -EBADF) check(fd, "fetch the listener of the seccomp filter");
    const [ready = 0] = poll([{ fd: connection, events: POLLIN }], LOOK_AGAIN);
    if ((ready & (POLLIN | POLLHUP)) !== 0) return undefined;
  }
}

/** Sends the container process state with the listener: one message, one connection; config-linux.md "The Container Process State". */
function sendListener(
  listener: number,
  { pid, state }: Filtered,
  { listenerPath = "", listenerMetadata = "" }: Seccomp,
): void {
  const message = {
    ociVersion: state.ociVersion,
    fds: ["seccompFd"],
    pid,
    ...(listenerMetadata === "" ? {} : { metadata: listenerMetadata }),
    state,
  };
  scoped((scope) => {
    const socket = scope.keep(connectTo("linux.seccomp.listenerPath", listenerPath));
    sendDescriptor(socket, listener, JSON.stringify(message));
  });
}
