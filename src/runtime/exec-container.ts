import { cgroupOfInit, subCgroup, tryOpenCgroup } from "../cgroups/join.ts";
import { BerthError, hasCode } from "../errors.ts";
import { O_DIRECTORY, O_PATH } from "../linux/constants.ts";
import { check, ESRCH } from "../linux/errno.ts";
import { open } from "../linux/file.ts";
import { processStat, sleep, tryPidfdOpen, tryPidfdSignal } from "../linux/process.ts";
import type { Scope } from "../linux/scope.ts";
import { differingNamespaces } from "../namespaces/differing.ts";
import type { Spec } from "../spec/config.ts";
import { savedSpec } from "../spec/saved.ts";
import { type ContainerRecord, closeState, findState, readConfig, readRecord } from "../state/store.ts";
import { statusOf } from "./status.ts";

/** A container that another process can join. */
export interface Container {
  readonly record: ContainerRecord;
  readonly spec: Spec;
  /** The text that it is from. */
  readonly config: string;
  /** Of its init. */
  readonly pidfd: number;
}

/**
 * Finds a container for another process to join. Takes no lock: whatever becomes of it meanwhile, the pidfd of its init leads
 * to no other.
 * @throws BerthError "container-status" unless it is created or running, or paused and that is to be ignored
 */
export function findContainer(root: string, id: string, ignorePaused: boolean, scope: Scope): Container {
  const directory = findState(root, id);
  try {
    const record = readRecord(directory);
    // First, so that the pidfd is that of the process whose start time the status rests on.
    const pidfd = record === undefined || record.pid === 0 ? -ESRCH : tryPidfdOpen(record.pid);
    if (pidfd >= 0) scope.keep(pidfd);
    const status = statusOf(directory, record);
    if (record === undefined || status === "creating") {
      throw refusal(id, "cannot exec in a container that is still being created");
    }
    if (status === "stopped" || pidfd === -ESRCH) throw stopped(id);
    check(pidfd, `open process ${record.pid}`);
    if (status === "paused" && !ignorePaused) {
      throw refusal(id, "cannot exec in a paused container (use --ignore-paused to override)");
    }
    const config = readConfig(directory);
    return { record, spec: savedSpec(config), config, pidfd };
  } finally {
    closeState(directory);
  }
}

function refusal(id: string, why: string): BerthError {
  return new BerthError("container-status", `container "${id}": ${why}`);
}

/** The error for a container whose init has ended. */
export function stopped(id: string): BerthError {
  return refusal(id, "cannot exec in a stopped container");
}

/** What a process needs in order to join a container. */
export interface Place {
  /** O_PATH descriptor of init's root directory. */
  readonly root: number;
  /** CLONE_NEW*: the namespaces that differ from berth's. */
  readonly namespaces: number;
  /** Descriptor of the cgroup to start in; undefined: that of berth. */
  readonly cgroup: number | undefined;
}

/**
 * Opens what a process needs in order to join a container.
 * @param cgroup what `--cgroup` says
 * @throws BerthError "container-status" when the container has ended meanwhile
 */
export function openPlace({ record, pidfd }: Container, cgroup: readonly string[], scope: Scope): Place {
  return whileAlive(record, pidfd, () => {
    const root = scope.keep(open(`/proc/${record.pid}/root`, O_PATH | O_DIRECTORY));
    const namespaces = differingNamespaces(record.pid);
    const directory = openCgroup(record, cgroup);
    if (directory !== undefined) scope.keep(directory);
    return { root, namespaces, cgroup: directory };
  });
}

/**
 * Does something by init's pid, which means nothing if init has ended and was reaped meanwhile: the pid may be another's. To
 * one that has ended and was not reaped, no setns will lead.
 */
function whileAlive<T>(record: ContainerRecord, pidfd: number, act: () => T): T {
  try {
    const result = act();
    if (tryPidfdSignal(pidfd, 0) === 0) return result;
  } catch (error) {
    if (!explains(record, error)) throw error;
  }
  throw stopped(record.id);
}

/** How long it may take until one can see that a process is ending, in milliseconds. */
const PATIENCE = 1000;
const INTERVAL = 5;

/**
 * What the kernel says of a process that is ending: its directory in /proc has nothing more to tell (ENOENT), its pid namespace
 * makes no more processes (ENOMEM), its other namespaces are gone (ESRCH), nobody is at its end of the socket (EPIPE,
 * ECONNRESET).
 */
const DYING_WORDS: readonly string[] = ["ENOENT", "ENOMEM", "ESRCH", "EPIPE", "ECONNRESET"];

/** Whether this error can be that of a process that is ending; then it pays to wait a moment for its end. */
export function patienceFor(error: unknown): number {
  return DYING_WORDS.some((code) => hasCode(error, code)) ? PATIENCE : 0;
}

/**
 * Whether the container's init has ended or is ending, which may be why something failed. Its end itself can take long: it waits
 * until all processes of its pid namespace were reaped, by whoever started them.
 */
export function explains({ pid, startTime }: ContainerRecord, error: unknown): boolean {
  for (let left = patienceFor(error); ; left -= INTERVAL) {
    const stat = processStat(pid);
    if (stat === undefined || stat.startTime !== startTime || stat.exiting) return true;
    if (left <= 0) return false;
    sleep(INTERVAL);
  }
}

function openCgroup({ id, cgroup }: ContainerRecord, wanted: readonly string[]): number | undefined {
  if (cgroup === null) {
    if (wanted.length === 0) return undefined;
    throw new BerthError("no-cgroup", `--cgroup: container "${id}" has no cgroup`);
  }
  const place = wanted.length === 0 ? cgroup : subCgroup(cgroup, wanted);
  const fd = tryOpenCgroup(place);
  if (fd !== undefined) return fd;
  throw new BerthError("no-cgroup", `container "${id}": there is no cgroup "${place.path}"`, {
    hint: wanted.length === 0 ? undefined : "--cgroup takes the path of a cgroup below the container's",
  });
}

/** Opens the cgroup that init is in, if that is another than the container's and below it. */
export function openCgroupOfInit({ pid, cgroup }: ContainerRecord): number | undefined {
  const place = cgroup === null ? undefined : cgroupOfInit(cgroup, pid);
  return place === undefined ? undefined : tryOpenCgroup(place);
}
