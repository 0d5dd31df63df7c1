import { BerthError } from "../errors.ts";
import { O_DIRECTORY, O_PATH, POLLIN } from "../linux/constants.ts";
import { mkdir } from "../linux/directory.ts";
import { check, EAGAIN, ECONNREFUSED, errnoText } from "../linux/errno.ts";
import { close, readSome, tryOpen, tryUnlink, tryWrite, withDescriptor } from "../linux/file.ts";
import { scratch } from "../linux/memory.ts";
import { syscall } from "../linux/native.ts";
import { pipe } from "../linux/pipe.ts";
import { openProcess, poll } from "../linux/process.ts";
import { datagramAt, pathThrough, sendDescriptor, tryConnect } from "../linux/socket.ts";
import { fromUtf8, utf8 } from "../linux/text.ts";
import type { Mount } from "../spec/config.ts";
import type { ContainerRecord, StateDirectory } from "../state/store.ts";

/*
 * systemd's notification socket for a container: man 3 sd_notify. The host's socket itself is not given away, for whoever can
 * write to it speaks for the service. Instead a socket of berth's own, below the state directory, is shown in the container;
 * what may pass comes through.
 */

const DIRECTORY = "notify";
const SOCKET = "notify/notify.sock";
const INSIDE = "/run/notify";

/** What a container's spec gets, so that its process finds the socket. @param state the path of the state directory */
export function notifyParts(state: string): { readonly mount: Mount; readonly env: string } {
  return {
    mount: {
      destination: INSIDE,
      source: `${state}/${DIRECTORY}`,
      options: ["bind", "nosuid", "noexec", "nodev", "ro"],
    },
    env: `NOTIFY_SOCKET=${INSIDE}/notify.sock`,
  };
}

/** Makes the directory that the container is shown. @throws BerthError */
export function makeNotifyDirectory(directory: StateDirectory): void {
  mkdir(DIRECTORY, 0o755, directory.fd);
  // Whatever the umask: the container's user must be able to reach the socket.
  check(syscall("fchmodat", directory.fd, scratch().text(DIRECTORY), 0o755), `open "${DIRECTORY}" to all`);
}

/** What a container may say of itself. Not MAINPID, FDSTORE and the like, which would take over the service. */
const PASSED = /^(?:READY|RELOADING|STOPPING|STATUS|ERRNO|WATCHDOG|EXTEND_TIMEOUT_USEC|MONOTONIC_USEC)=/;

/** The lines of a message that may pass. */
export function passedLines(message: string): string[] {
  return message.split("\n").filter((line) => PASSED.test(line));
}

/** Between a container's process and the service manager. */
export interface NotifyProxy {
  /** What the container writes to, to be polled. */
  readonly socket: number;
  /** Passes on one message that is there: for a berth that stays, and is the service's main process itself. */
  forward(): void;
  /** Passes on what the container says until its init has ended. @param init its pidfd */
  forwardUntilEnd(init: number): void;
  /**
   * Passes on what the container says until it is ready, and then tells the service manager its main process: afterwards berth
   * may end. Or until its init has ended.
   */
  forwardUntilReady(init: Pick<ContainerRecord, "pid" | "startTime">): void;
  close(): void;
}

/**
 * Opens both ends, before the container's process can write to one.
 * @param address NOTIFY_SOCKET of berth's environment: a path, or "@" and an abstract name
 * @returns undefined for a container that was created without a socket
 * @throws BerthError "notify-socket"
 */
export function openNotifyProxy(directory: StateDirectory, address: string): NotifyProxy | undefined {
  const shown = tryOpen(DIRECTORY, O_PATH | O_DIRECTORY, 0, directory.fd);
  if (shown < 0) return undefined;
  close(shown);
  const host = tryConnect(address, "datagram");
  if (host < 0) {
    throw new BerthError("notify-socket", `NOTIFY_SOCKET "${address}": connect: ${errnoText(-host)}`, {
      hint: "the service manager must listen there; unset NOTIFY_SOCKET if there is none",
    });
  }
  // That of an earlier start which failed.
  tryUnlink(SOCKET, directory.fd);
  const socket = datagramAt(pathThrough(directory.fd, SOCKET));
  check(syscall("fchmodat", directory.fd, scratch().text(SOCKET), 0o777), `open "${SOCKET}" to all`);
  return {
    socket,
    forward: () => send(host, receive(socket)),
    forwardUntilEnd: (init) => forwardWhile(socket, init, (lines) => send(host, lines)),
    forwardUntilReady: (init) => forwardUntilReady(socket, host, init),
    close: () => {
      close(socket);
      close(host);
    },
  };
}

function forwardUntilReady(
  socket: number,
  host: number,
  { pid, startTime }: Pick<ContainerRecord, "pid" | "startTime">,
): void {
  const init = openProcess(pid, startTime);
  if (init === undefined) return;
  withDescriptor(init, () =>
    forwardWhile(socket, init, (lines) => {
      const isReady = lines.includes("READY=1");
      // In one message: systemd takes READY from none but the main process, unless it is told to.
      send(host, isReady ? [`MAINPID=${pid}`, ...lines] : lines);
      if (isReady) awaitBarrier(host);
      return isReady;
    }),
  );
}

/** Calls `act` with each message, until it answers true or init has ended and nothing is left to read. */
function forwardWhile(socket: number, init: number, act: (lines: string[]) => boolean | undefined): void {
  for (;;) {
    const [said = 0, ended = 0] = poll([
      { fd: socket, events: POLLIN },
      { fd: init, events: POLLIN },
    ]);
    if (said !== 0) {
      if (act(receive(socket)) === true) return;
    } else if (ended !== 0) return;
  }
}

/** Descriptors that come with a message are not taken, and so closed: a BARRIER of the container's is over at once. */
function receive(socket: number): string[] {
  return passedLines(fromUtf8(readSome(socket, 8192, "hear from the container")));
}

/** A service manager that is gone, or does not read, must not end the container. */
function send(host: number, lines: readonly string[]): undefined {
  if (lines.length === 0) return;
  const result = tryWrite(host, utf8(lines.join("\n")));
  if (result < 0 && result !== -ECONNREFUSED && result !== -EAGAIN) check(result, "tell the service manager");
}

/** How long the service manager has to answer, in milliseconds: as long as runc gives it. */
const BARRIER = 30_000;

/**
 * Waits until the service manager has read what was sent: it learns who sent a message from the kernel, and that only as long
 * as the sender lives; man 3 sd_notify_barrier.
 */
function awaitBarrier(host: number): void {
  const [read, write] = pipe();
  try {
    sendDescriptor(host, write, "BARRIER=1");
  } catch {
    // Gone meanwhile.
    close(write);
    close(read);
    return;
  }
  close(write);
  poll([{ fd: read, events: POLLIN }], BARRIER);
  close(read);
}
