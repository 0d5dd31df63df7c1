import {
  AT_EMPTY_PATH,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOCTTY,
  O_NOFOLLOW,
  O_PATH,
  O_RDWR,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
  S_IFREG,
  TIOCGPTPEER,
  TIOCSCTTY,
  TIOCSPTLCK,
  TIOCSWINSZ,
} from "../linux/constants.ts";
import { EAGAIN, EEXIST, ENOENT } from "../linux/errno.ts";
import { rawBytes, type Serving, serving, slot, struct } from "../plan/build.ts";
import type { Descriptors, Requests } from "../plan/protocol.ts";
import type { Slot, Step } from "../plan/step.ts";
import type { Process } from "../spec/process.ts";

const openHow = (flags: number, resolve: number) =>
  struct(24, [
    { name: "flags", offset: 0, size: 8, value: flags | O_CLOEXEC },
    { name: "resolve", offset: 16, size: 8, value: resolve },
  ]);

/** A terminal in the container's devpts; its master is `Descriptors.console`. */
interface Opened {
  readonly steps: readonly Step[];
  readonly slave: Slot;
}

/**
 * Steps that make a terminal in the container's devpts, mount it on /dev/console, make it the controlling terminal and the
 * standard descriptors, and hand its master to the runtime. The slave is reached through its master, never by a path that
 * the image could have prepared (CVE-2025-52565).
 */
export function terminalSteps(process: Process, descriptors: Descriptors, requests: Requests): Step[] {
  const at = serving("terminal", "process.terminal", "/dev/console");
  const { call } = at;
  const { steps, slave } = openTerminal(at, process, descriptors);
  const dev = slot("dev");
  const target = slot("/dev/console");
  const mount = slot("console mount");
  return [
    ...steps,
    call("openat2", [descriptors.rootfs, "dev", openHow(O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT), 24], {
      store: dev,
      on: { [EAGAIN]: "again" },
    }),
    call("mknodat", [dev, "console", S_IFREG | 0o600, 0], { on: { [EEXIST]: "next" } }),
    call("openat", [dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC, 0], { store: target }),
    call("open_tree", [slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH], { store: mount }),
    call("move_mount", [mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH], {
      what: "mount the terminal",
    }),
    ...takeSteps(at, slave),
    ...requests.ask(at, { kind: "console" }),
    call("close_range", [descriptors.console, 0xffff_ffff, 0]),
  ];
}

/**
 * As {@link terminalSteps}, for a process that joins a container: /dev/console stays the terminal of the container's own. The
 * master is sent, as the runtime may not have the right to fetch it from a process that is closed to others.
 */
export function joinedTerminalSteps(process: Process, descriptors: Descriptors, requests: Requests): Step[] {
  const at = serving("terminal", "process.terminal", "/dev/pts");
  const { steps, slave } = openTerminal(at, process, descriptors);
  return [
    ...steps,
    ...takeSteps(at, slave),
    ...requests.give(at, { kind: "console" }, descriptors.console),
    at.call("close_range", [descriptors.console, 0xffff_ffff, 0]),
  ];
}

function openTerminal({ call }: Serving, process: Process, descriptors: Descriptors): Opened {
  const ptmx = slot("ptmx");
  const slave = slot("slave");
  const unlock = rawBytes(new Uint8Array(4), "&0");
  const steps = [
    call(
      "openat2",
      [
        descriptors.rootfs,
        "dev/pts/ptmx",
        openHow(O_RDWR | O_NOCTTY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS),
        24,
      ],
      {
        store: ptmx,
        what: "open /dev/pts/ptmx",
        hints: { [ENOENT]: "a terminal needs a mount of type devpts on /dev/pts" },
      },
    ),
    call("dup3", [ptmx, descriptors.console, O_CLOEXEC]),
    call("ioctl", [descriptors.console, TIOCSPTLCK, unlock], { what: "unlock the terminal" }),
    call("ioctl", [descriptors.console, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC], {
      store: slave,
      what: "open the terminal's slave",
    }),
    ...sizeSteps(process.consoleSize, descriptors),
  ];
  return { steps, slave };
}

function takeSteps({ call }: Serving, slave: Slot): Step[] {
  return [
    call("ioctl", [slave, TIOCSCTTY, 0], { what: "make it the controlling terminal" }),
    ...[0, 1, 2].map((fd) => call("dup3", [slave, fd, 0])),
  ];
}

function sizeSteps(size: Process["consoleSize"], descriptors: Descriptors): Step[] {
  if (size === undefined) return [];
  const winsize = struct(8, [
    { name: "ws_row", offset: 0, size: 2, value: size.height },
    { name: "ws_col", offset: 2, size: 2, value: size.width },
  ]);
  return [
    serving("terminal", "process.consoleSize").call("ioctl", [descriptors.console, TIOCSWINSZ, winsize]),
  ];
}
