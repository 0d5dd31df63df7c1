import { forwardSignals } from "../linux/process.ts";

/**
 * The signals that a berth in the foreground does not pass on: those that concern berth itself (SIGCHLD; SIGURG and SIGWINCH, which
 * are ignored by default), the unblockable, the faults of its own, SIGPWR, by which Bun's collector stops threads, and the
 * two that libc keeps for itself.
 */
const NOT_FORWARDED: readonly number[] = [4, 5, 6, 7, 8, 9, 11, 17, 19, 23, 28, 30, 31, 32, 33];

/** From now on, passes the signals that berth gets on to the process that it waits for. */
export function passSignalsOn(pidfd: number): void {
  const signals: number[] = [];
  for (let signal = 1; signal <= 64; signal++) if (!NOT_FORWARDED.includes(signal)) signals.push(signal);
  forwardSignals(pidfd, signals);
}
