import { hasCode } from "../errors.ts";
import { LINUX_CAPABILITY_VERSION_3, P_PIDFD, POLLIN, PR_CAPBSET_READ, WEXITED } from "./constants.ts";
import { check, EINTR, EINVAL, ESRCH, systemError } from "./errno.ts";
import { close, readTextIfThere } from "./file.ts";
import { at, scratch } from "./memory.ts";
import { forwardNative, syscall } from "./native.ts";

/** A descriptor of a process, or a negated errno; man 2 pidfd_open. */
export function tryPidfdOpen(pid: number): number {
  return syscall("pidfd_open", pid, 0);
}

/** Sends a signal to exactly the process that the pidfd was made for; answers 0 or a negated errno. */
export function tryPidfdSignal(pidfd: number, signal: number): number {
  return syscall("pidfd_send_signal", pidfd, signal, 0, 0);
}

/** A copy, here, of descriptor `fd` of another process; man 2 pidfd_getfd. @throws BerthError */
export function pidfdGetfd(pidfd: number, fd: number): number {
  return check(syscall("pidfd_getfd", pidfd, fd, 0), `fetch descriptor ${fd} of the container's init`);
}

/** How a child ended: its exit status, or the signal that ended it. */
export type Exit =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "signaled"; readonly signal: number };

/** The exit status that a shell would show: 128 + n for signal n. */
export function exitStatus(exit: Exit): number {
  return exit.kind === "exited" ? exit.status : 128 + exit.signal;
}

const CLD_EXITED = 1;

/**
 * Waits for the child of `pidfd` to end, and reaps it.
 * @param flags WNOWAIT: does not reap it @throws BerthError
 */
export function waitPidfd(pidfd: number, flags = 0): Exit {
  const info = scratch().space(128);
  for (;;) {
    const result = syscall("waitid", P_PIDFD, pidfd, info, WEXITED | flags, 0);
    if (result === -EINTR) continue;
    check(result, "wait for a process");
    break;
  }
  // siginfo_t: si_code at 8, si_status at 24
  const status = at.u32(info + 24);
  return at.u32(info + 8) === CLD_EXITED
    ? { kind: "exited", status }
    : { kind: "signaled", signal: status & 0x7f };
}

/** Reaps the child `pid`, or with -1 whichever child ends next. @returns its pid and how it ended, or undefined: no child */
export function waitAny(pid: number): { pid: number; exit: Exit } | undefined {
  const status = scratch().space(8);
  for (;;) {
    const result = syscall("wait4", pid, status, 0, 0);
    if (result === -EINTR) continue;
    if (result < 0) return undefined;
    const value = at.u32(status);
    const signal = value & 0x7f;
    return {
      pid: result,
      exit: signal === 0 ? { kind: "exited", status: (value >> 8) & 0xff } : { kind: "signaled", signal },
    };
  }
}

/** One descriptor to poll, and what to wait for (POLLIN ...). */
export interface Polled {
  readonly fd: number;
  readonly events: number;
}

/**
 * Waits until one of the descriptors is ready; man 2 poll.
 * @param milliseconds how long at most; undefined: as long as it takes
 * @returns what is ready of each, 0 for nothing; all 0 when the time is over or a signal came @throws BerthError
 */
export function poll(polled: readonly Polled[], milliseconds?: number): number[] {
  const memory = scratch();
  const fds = memory.space(8 * polled.length);
  polled.forEach(({ fd, events }, i) => {
    at.setU32(fds + 8 * i, fd);
    at.setU32(fds + 8 * i + 4, events);
  });
  let timeout = 0;
  if (milliseconds !== undefined) {
    timeout = memory.space(16);
    at.setU64(timeout, Math.floor(milliseconds / 1000));
    at.setU64(timeout + 8, Math.floor((milliseconds % 1000) * 1e6));
  }
  const result = syscall("ppoll", fds, polled.length, timeout, 0, 0);
  if (result === -EINTR) return polled.map(() => 0);
  check(result, "poll");
  return polled.map((_, i) => at.u16(fds + 8 * i + 6));
}

/**
 * Waits until a descriptor can be read, a pidfd: until its process has ended. Leaner than {@link poll}, for it is on the way of every
 * short command.
 * @returns false when the time is over or a signal came
 */
export function awaitReadable(fd: number, milliseconds: number): boolean {
  const memory = scratch();
  const polled = memory.space(8);
  at.setU32(polled, fd);
  at.setU32(polled + 4, POLLIN);
  const timeout = memory.space(16);
  const seconds = (milliseconds / 1000) | 0;
  at.setU64(timeout, seconds);
  at.setU64(timeout + 8, ((milliseconds - 1000 * seconds) * 1e6) | 0);
  return syscall("ppoll", polled, 1, timeout, 0, 0) > 0;
}

/** Sleeps. */
export function sleep(milliseconds: number): void {
  poll([], milliseconds);
}

/** What /proc/PID/stat tells of a process. */
export interface ProcessStat {
  /** R, S, D, Z (dead, not reaped), X, T ...; man 5 proc. */
  readonly state: string;
  /** In clock ticks since boot: with the pid, it names one process for good. */
  readonly startTime: number;
  /** It is on its way out, though it may have to wait: the init of a pid namespace waits for all that was in there. */
  readonly exiting: boolean;
}

/** PF_EXITING of linux/sched.h, in the flags of /proc/PID/stat. */
const PF_EXITING = 4;

/** State and start time of a process, or undefined when there is none. */
export function processStat(pid: number): ProcessStat | undefined {
  let text: string | undefined;
  try {
    text = readTextIfThere(`/proc/${pid}/stat`);
  } catch (error) {
    // A process that goes away between open and read answers ESRCH.
    if (hasCode(error, "ESRCH")) return undefined;
    throw error;
  }
  if (text === undefined) return undefined;
  // The second field is the command in brackets, and may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return {
    state: fields[0] ?? "",
    startTime: Number(fields[19]),
    exiting: (Number(fields[6]) & PF_EXITING) !== 0,
  };
}

/**
 * A pidfd of the process that has this pid and start time, so that a recycled pid is never acted on.
 * @returns undefined when that process is gone @throws BerthError
 */
export function openProcess(pid: number, startTime: number): number | undefined {
  const pidfd = tryPidfdOpen(pid);
  // EINVAL: it was reaped, and its number is still that of a process group or session. Linux 6.1, man 2 pidfd_open.
  if (pidfd === -ESRCH || pidfd === -EINVAL) return undefined;
  check(pidfd, `open process ${pid}`);
  const stat = processStat(pid);
  if (stat === undefined || stat.startTime !== startTime || stat.state === "Z" || stat.state === "X") {
    close(pidfd);
    return undefined;
  }
  return pidfd;
}

/** From now on sends these signals to the process of `pidfd` as they arrive here. @throws BerthError */
export function forwardSignals(pidfd: number, signals: readonly number[]): void {
  const { low, high } = signalMask(signals);
  const result = forwardNative(pidfd, low, high);
  if (result < 0) throw systemError(-result, "forward signals");
}

/** Signals as bits: 1 to 32, bit 0 first, and 33 to 64. */
export function signalMask(signals: readonly number[]): { low: number; high: number } {
  let low = 0;
  let high = 0;
  for (const signal of signals) {
    if (signal <= 32) low |= 1 << (signal - 1);
    else high |= 1 << (signal - 33);
  }
  return { low: low >>> 0, high: high >>> 0 };
}

/** Ends this process at once, without the engine's own clean-up. */
export function exit(status: number): never {
  syscall("exit_group", status);
  throw new Error("exit_group returned");
}

/** CAP_CHECKPOINT_RESTORE, the last one of the oldest kernel that berth runs on. */
const OLD_LAST = 40;
/** Capability sets are of 64 bits. */
const HIGHEST = 63;

/** The highest capability that this kernel knows, or all that there can be if it does not tell; man 2 prctl, PR_CAPBSET_READ. */
export function lastCapability(): number {
  for (let number = OLD_LAST; number < HIGHEST; number++) {
    const result = syscall("prctl", PR_CAPBSET_READ, number + 1, 0, 0, 0);
    if (result === -EINVAL) return number;
    if (result < 0) break;
  }
  return HIGHEST;
}

/** The effective user and group. */
export function effectiveIds(): { uid: number; gid: number } {
  return { uid: syscall("geteuid"), gid: syscall("getegid") };
}

/** Whether this process has a capability in effect; man 2 capget. */
export function hasCapability(number: number): boolean {
  const memory = scratch();
  const header = memory.space(8);
  const data = memory.space(24);
  at.setU32(header, LINUX_CAPABILITY_VERSION_3);
  if (syscall("capget", header, data) < 0) return false;
  // Two structs of three words: effective, permitted, inheritable, of capabilities 0 to 31 and 32 to 63.
  return ((at.u32(data + (number < 32 ? 0 : 12)) >>> (number % 32)) & 1) === 1;
}
