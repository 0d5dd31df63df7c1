/** The other end of `--console-socket`, as an engine has it. */
import { AF_UNIX, POLLIN, SOCK_CLOEXEC, SOCK_STREAM } from "../src/linux/constants.ts";
import { check } from "../src/linux/errno.ts";
import { close, tryRead, writeAll } from "../src/linux/file.ts";
import { at, scratch } from "../src/linux/memory.ts";
import { syscall } from "../src/linux/native.ts";
import { poll } from "../src/linux/process.ts";

/** A terminal, by its master. */
export interface Terminal {
  readonly fd: number;
  /** What came with it. */
  readonly payload: string;
  type(text: string): void;
  /** Waits until what has been shown so far ends with this, and returns it all. */
  shows(end: string): string;
  close(): void;
}

export interface ConsoleSocket {
  readonly path: string;
  receive(): Terminal;
  close(): void;
}

/** Listens on a Unix stream socket at `path`, which must be short. */
export function listenForConsole(path: string): ConsoleSocket {
  const socket = check(syscall("socket", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket");
  const address = scratch().space(110);
  new TextEncoder().encode(path).forEach((byte, i) => {
    at.setU8(address + 2 + i, byte);
  });
  at.setU8(address, AF_UNIX);
  check(syscall("bind", socket, address, 110), `bind to "${path}"`);
  check(syscall("listen", socket, 4), "listen");
  return {
    path,
    receive: () => {
      const connection = check(syscall("accept4", socket, 0, 0, SOCK_CLOEXEC), "accept");
      try {
        return receive(connection);
      } finally {
        close(connection);
      }
    },
    close: () => close(socket),
  };
}

function receive(connection: number): Terminal {
  const memory = scratch();
  const size = 4096;
  const buffer = memory.space(size);
  const vector = memory.space(16);
  at.setU64(vector, buffer);
  at.setU64(vector + 8, size);
  // struct cmsghdr with room for one descriptor, which follows its 16 bytes
  const control = memory.space(24);
  const message = memory.space(56);
  at.setU64(message + 16, vector);
  at.setU64(message + 24, 1);
  at.setU64(message + 32, control);
  at.setU64(message + 40, 24);
  const length = check(syscall("recvmsg", connection, message, 0), "receive the terminal");
  if (at.u64(message + 40) === 0) throw new Error("no descriptor came with the message");
  return terminal(at.i32(control + 16), at.text(buffer, length));
}

function terminal(fd: number, payload: string): Terminal {
  let shown = "";
  return {
    fd,
    payload,
    type: (text) => writeAll(fd, text),
    shows(end) {
      while (!shown.endsWith(end)) {
        poll([{ fd, events: POLLIN }], 100);
        const bytes = tryRead(fd);
        // EIO: nobody has it open any more.
        if (typeof bytes === "number") throw new Error(`the terminal showed only ${JSON.stringify(shown)}`);
        shown += new TextDecoder().decode(bytes);
      }
      return shown;
    },
    close: () => close(fd),
  };
}
