import { now } from "../linux/clock.ts";
import { rewind, writeAll } from "../linux/file.ts";
import {
  awaitReadable,
  type Exit,
  exitStatus,
  forwardSignals,
  waitAny,
  waitPidfd,
} from "../linux/process.ts";
import { emptyMemfd } from "../linux/spawn.ts";
import { becomeWaiter } from "../linux/waiter.ts";
import type { NotifyProxy } from "./notify.ts";
import { relayTerminal } from "./relay.ts";

/**
 * The signals that a berth in the foreground does not pass on: those that concern berth itself (SIGCHLD; SIGURG and SIGWINCH, which
 * are ignored by default), the unblockable, the faults of its own, and the two that libc keeps for
 * itself.
 */
const NOT_FORWARDED: readonly number[] = [4, 5, 6, 7, 8, 9, 11, 17, 19, 23, 28, 31, 32, 33];

function forwardedSignals(): number[] {
  const signals: number[] = [];
  for (let signal = 1; signal <= 64; signal++) if (!NOT_FORWARDED.includes(signal)) signals.push(signal);
  return signals;
}

/** From now on, passes the signals that berth gets on to the process that it waits for. */
export function passSignalsOn(pidfd: number): void {
  forwardSignals(pidfd, forwardedSignals());
}

/** A process that runs while berth waits in the foreground. */
export interface Foreground {
  readonly pid: number;
  readonly pidfd: number;
  /** Of its terminal, if it has one that berth serves. */
  readonly master: number | undefined;
  /** Passes on what the container says to systemd; berth stays for it. */
  readonly notify?: NotifyProxy | undefined;
  /** Orphans of the container become children of berth, and must be reaped. */
  readonly reap: boolean;
  /** The command line by which another berth does what is left to do afterwards, if anything is. */
  readonly afterwards: readonly string[] | undefined;
}

/** For how long berth waits itself, in milliseconds: to start another program would only slow down what is short. */
const MOMENT = 1000;

/**
 * Waits for the end of a process, and serves its terminal. After a moment, a program of a few kilobytes takes the place of this
 * one, and does what is left to do; then this does not return.
 * @returns its exit status, 128 + n when signal n ended it
 */
export function awaitProcess(process: Foreground): number {
  const { pidfd, master, notify, reap, pid } = process;
  const deadline = now() + MOMENT;
  if (master !== undefined) {
    const later = { at: deadline, act: (settings: Uint8Array | undefined) => handOver(process, settings) };
    relayTerminal(master, pidfd, notify === undefined ? later : undefined, notify);
  } else if (notify !== undefined) notify.forwardUntilEnd(pidfd);
  else if (!endsBy(deadline, pidfd)) handOver(process, undefined);
  return exitStatus(reap ? reapUntil(pid) : waitPidfd(pidfd));
}

function endsBy(deadline: number, pidfd: number): boolean {
  for (;;) {
    const left = deadline - now();
    if (left <= 0) return false;
    // A signal ends the wait early.
    if (awaitReadable(pidfd, left)) return true;
  }
}

function reapUntil(pid: number): Exit {
  for (;;) {
    const ended = waitAny(-1);
    if (ended === undefined) return { kind: "exited", status: 0 };
    if (ended.pid === pid) return ended.exit;
  }
}

function handOver(
  { pid, pidfd, master, reap, afterwards }: Foreground,
  settings: Uint8Array | undefined,
): void {
  becomeWaiter({
    pid,
    pidfd,
    reap,
    signals: forwardedSignals(),
    terminal: master === undefined ? undefined : { master, settings: settingsFile(settings) },
    afterwards,
  });
}

function settingsFile(settings: Uint8Array | undefined): number | undefined {
  if (settings === undefined) return undefined;
  const fd = emptyMemfd("berth-terminal");
  writeAll(fd, settings);
  rewind(fd);
  return fd;
}
