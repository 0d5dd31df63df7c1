import { BerthError, messageOf } from "../errors.ts";
import { now } from "../linux/clock.ts";
import { sleep } from "../linux/process.ts";
import type { Status } from "../spec/state.ts";
import {
  type ContainerRecord,
  closeState,
  doesNotExist,
  isCurrent,
  lock,
  openState,
  readRecord,
  removeState,
  type StateDirectory,
  tryToLock,
} from "../state/store.ts";
import { awaitEnd, destroy, killAll } from "./destroy.ts";
import { statusOf } from "./status.ts";

/** How long a dead container may be in use by others, in milliseconds. */
const PATIENCE = 10_000;

/** How `delete` goes about it. */
export interface DeleteOptions {
  /** End it first if it runs; and it is no error that there is none. */
  readonly force: boolean;
  readonly warn: (message: string) => void;
}

/**
 * Deletes a container that has stopped, or was created and never started; with `force`, any; runtime.md "Delete".
 * @throws BerthError when it runs, or there is none
 */
export async function remove(root: string, id: string, { force, warn }: DeleteOptions): Promise<void> {
  const directory = openState(root, id);
  if (directory === undefined) {
    if (force) return;
    throw doesNotExist(id);
  }
  try {
    if (!acquire(directory, force)) {
      if (force) return;
      throw doesNotExist(id);
    }
    await removeLocked(directory, force, warn);
  } finally {
    closeState(directory);
  }
}

/**
 * Takes the container's lock. A create or start that holds it and hangs is ended with its container when forced to.
 * @throws BerthError when it is a create, and not forced to; or after ten seconds "container-in-use"
 */
function acquire(directory: StateDirectory, force: boolean): boolean {
  const end = now() + PATIENCE;
  for (let wait = 1; !tryToLock(directory); wait = Math.min(2 * wait, 100)) {
    if (force && now() > end) throw inUse(directory.id);
    const record = readIfSound(directory, () => {});
    // Without a record, whoever makes or removes it will not take long.
    if (!force && record !== undefined && statusOf(directory, record) === "creating") {
      throw notStopped(directory.id, "creating");
    }
    if (!force || !isCurrent(directory)) return lock(directory);
    // Again and again: a create may not have come to start what is to be killed.
    if (record !== undefined) killAll(record);
    sleep(wait);
  }
  return isCurrent(directory);
}

/** Its container is dead by then: what still holds the lock is a start whose poststart hook hangs, or another delete. */
function inUse(id: string): BerthError {
  return new BerthError("container-in-use", `container "${id}": another berth is still busy with it`, {
    hint: "one of its hooks may hang: see which berth still runs, and end it",
  });
}

function notStopped(id: string, status: Status): BerthError {
  return new BerthError("container-status", `cannot delete container ${id} that is not stopped: ${status}`, {
    hint: `"berth kill ${id} KILL" ends it, or use "berth delete --force"`,
  });
}

function readIfSound(
  directory: StateDirectory,
  warn: (message: string) => void,
): ContainerRecord | undefined {
  try {
    return readRecord(directory);
  } catch (error) {
    warn(`${messageOf(error)}: its processes and its cgroup, if any are left, are not known`);
    return undefined;
  }
}

async function removeLocked(
  directory: StateDirectory,
  force: boolean,
  warn: (message: string) => void,
): Promise<void> {
  const record = force ? readIfSound(directory, warn) : readRecord(directory);
  if (record === undefined) {
    // A create that was killed right after it made the directory, or a state that nobody can read any more.
    removeState(directory);
    return;
  }
  const status = statusOf(directory, record);
  if ((status === "running" || status === "paused") && !force) throw notStopped(record.id, status);
  if (status !== "stopped") {
    killAll(record);
    awaitEnd(record);
  }
  await destroy(directory, record, warn);
}
