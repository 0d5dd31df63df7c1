import { kill as killCgroup } from "../cgroups/kill.ts";
import { members } from "../cgroups/members.ts";
import { BerthError } from "../errors.ts";
import { SIGKILL } from "../linux/constants.ts";
import { ESRCH, systemError } from "../linux/errno.ts";
import { close, withDescriptor } from "../linux/file.ts";
import { openProcess, tryPidfdOpen, tryPidfdSignal } from "../linux/process.ts";
import { type ContainerRecord, closeState, findState, readRecord } from "../state/store.ts";

/** How `kill` goes about it. */
export interface KillOptions {
  /** To all processes of the container, even when its init has ended; and no error when there are none. */
  readonly all: boolean;
}

/**
 * Sends a signal to a container's init; runtime.md "Kill". Takes no lock: a pidfd with a checked start time cannot hit another.
 *
 * SIGKILL of a container that shares its pid namespace goes to all its processes, as nothing else would end them.
 * @throws BerthError "not-running" when it has ended
 */
export function kill(root: string, id: string, signal: number, { all }: KillOptions): void {
  const directory = findState(root, id);
  try {
    const record = readRecord(directory);
    if (record === undefined) throw notRunning(id);
    const whole = all || (signal === SIGKILL && !record.ownPidNamespace);
    if (whole && record.cgroup !== null) {
      const count = signalCgroup(record, signal);
      if (count === 0 && !all) throw notRunning(id);
    } else if (!signalInit(record, signal) && !all) throw notRunning(id);
  } finally {
    closeState(directory);
  }
}

/** The error for a container whose init has ended; engines search for its words. */
function notRunning(id: string): BerthError {
  return new BerthError("not-running", `container "${id}": container not running`);
}

/** @returns whether there was an init to signal */
function signalInit(record: ContainerRecord, signal: number): boolean {
  const pidfd = record.pid === 0 ? undefined : openProcess(record.pid, record.startTime);
  if (pidfd === undefined) return false;
  return withDescriptor(pidfd, () =>
    signalProcess(pidfd, signal, `signal ${signal} to process ${record.pid}`),
  );
}

function signalProcess(pidfd: number, signal: number, subject: string): boolean {
  const result = tryPidfdSignal(pidfd, signal);
  if (result === -ESRCH) return false;
  if (result < 0) throw systemError(-result, subject);
  return true;
}

/** @returns how many processes were signalled */
function signalCgroup(record: ContainerRecord, signal: number): number {
  const { cgroup } = record;
  if (cgroup === null) return 0;
  const pids = members(cgroup);
  if (signal === SIGKILL) {
    killCgroup(cgroup);
    return pids.length;
  }
  let count = 0;
  for (const pid of pids) {
    const pidfd = tryPidfdOpen(pid);
    if (pidfd < 0) continue;
    // It may have ended and its pid been taken by another since the list was read.
    if (members(cgroup).includes(pid) && signalProcess(pidfd, signal, `signal ${signal} to process ${pid}`))
      count++;
    close(pidfd);
  }
  return count;
}
