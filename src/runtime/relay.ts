import { isBerthError } from "../errors.ts";
import { now } from "../linux/clock.ts";
import { POLLHUP, POLLIN, POLLOUT } from "../linux/constants.ts";
import { EAGAIN } from "../linux/errno.ts";
import { close, readSome, tryRead, tryWrite, writeAll } from "../linux/file.ts";
import { poll } from "../linux/process.ts";
import {
  copyWindowSize,
  rawSettings,
  setNonBlocking,
  setTerminalSettings,
  terminalSettings,
  windowChanges,
} from "../linux/terminal.ts";
import type { NotifyProxy } from "./notify.ts";

const STDIN = 0;
const STDOUT = 1;
const SIGNALFD_SIGINFO = 128;
/** What is not handed over at its time is looked at again after so many milliseconds. */
const LEAST = 50;

/** What happens once, when the relay has gone on for some time and nothing is on its way. */
export interface Later {
  /** As now() tells the time. */
  readonly at: number;
  /** @param settings those that the caller's terminal is to get back */
  readonly act: (settings: Uint8Array | undefined) => void;
}

/**
 * Connects berth's own standard descriptors with a container's terminal until its init has ended: raw mode, what is typed in,
 * what is shown out, and the size of the window. The caller's terminal gets its mode back at the end.
 * @param master of the container's terminal; closed at the end
 * @param init pidfd of the container's init
 * @param later undefined: the relay is never handed over
 * @param notify passes on what the container says to systemd, meanwhile
 */
export function relayTerminal(
  master: number,
  init: number,
  later: Later | undefined,
  notify: NotifyProxy | undefined,
): void {
  const settings = terminalSettings(STDIN);
  const changes = windowChanges();
  try {
    if (settings !== undefined) setTerminalSettings(STDIN, rawSettings(settings));
    copyWindowSize(STDIN, master);
    setNonBlocking(master);
    const act = later === undefined ? undefined : { ...later, act: () => later.act(settings) };
    relay(master, init, changes, act, notify);
  } finally {
    if (settings !== undefined) setTerminalSettings(STDIN, settings);
    close(changes);
    close(master);
  }
}

function relay(
  master: number,
  init: number,
  changes: number,
  later: Later | undefined,
  notify: NotifyProxy | undefined,
): void {
  let typed = new Uint8Array(0);
  let reading = true;
  let pending = later;
  for (;;) {
    let left = pending === undefined ? undefined : pending.at - now();
    // What was typed and not taken yet could not be handed over.
    if (pending !== undefined && left !== undefined && left <= 0 && typed.length === 0) {
      pending.act(undefined);
      pending = left = undefined;
    }
    const waitsForInput = reading && typed.length === 0;
    const [input = 0, terminal = 0, ended = 0, resized = 0, said = 0] = poll(
      [
        { fd: waitsForInput ? STDIN : -1, events: POLLIN },
        { fd: master, events: POLLIN | (typed.length > 0 ? POLLOUT : 0) },
        { fd: init, events: POLLIN },
        { fd: changes, events: POLLIN },
        { fd: notify?.socket ?? -1, events: POLLIN },
      ],
      left === undefined ? undefined : Math.max(left, LEAST),
    );
    if (said !== 0) notify?.forward();
    if (resized !== 0) {
      readSome(changes, SIGNALFD_SIGINFO);
      copyWindowSize(STDIN, master);
    }
    if (input !== 0) {
      const bytes = tryRead(STDIN);
      typed = typeof bytes === "number" ? new Uint8Array(0) : Uint8Array.from(bytes);
      // The end of what is typed, or a terminal that was closed, is not the end of the container: it may go on to show things.
      if (typed.length === 0 && bytes !== -EAGAIN) reading = false;
    }
    if ((terminal & POLLOUT) !== 0) typed = typed.slice(written(master, typed));
    const shown = (terminal & ~POLLOUT) !== 0 && show(master);
    // Only once all is shown: what was written before the end is still in the terminal's buffer.
    if (ended !== 0 && !shown) return;
    // Nobody has the terminal open, for now: it would be ready, and empty, all the time.
    if ((terminal & POLLHUP) !== 0 && !shown) poll([{ fd: init, events: POLLIN }], 50);
  }
}

function written(master: number, bytes: Uint8Array): number {
  const count = tryWrite(master, bytes);
  // EIO: nobody has the terminal open any more, and nobody will read this.
  if (count < 0) return count === -EAGAIN ? 0 : bytes.length;
  return count;
}

/** @returns whether there was something to show */
function show(master: number): boolean {
  const bytes = tryRead(master);
  if (typeof bytes === "number" || bytes.length === 0) return false;
  try {
    writeAll(STDOUT, bytes);
  } catch (error) {
    // A reader that went away must not end the container.
    if (!isBerthError(error)) throw error;
  }
  return true;
}
