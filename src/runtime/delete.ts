import { BerthError } from "../errors.ts";
import {
  closeState,
  doesNotExist,
  lock,
  openState,
  readRecord,
  removeState,
  type StateDirectory,
  tryToLock,
} from "../state/store.ts";
import { awaitEnd, destroy, killAll } from "./destroy.ts";
import { statusOf } from "./status.ts";

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

/** Takes the container's lock. A create or start that holds it and hangs is ended with its container when forced to. */
function acquire(directory: StateDirectory, force: boolean): boolean {
  if (force && !tryToLock(directory)) {
    const record = readRecord(directory);
    if (record !== undefined) killAll(record);
  }
  return lock(directory);
}

async function removeLocked(
  directory: StateDirectory,
  force: boolean,
  warn: (message: string) => void,
): Promise<void> {
  const record = readRecord(directory);
  if (record === undefined) {
    // A create that was killed right after it made the directory.
    removeState(directory);
    return;
  }
  const status = statusOf(directory, record);
  if ((status === "running" || status === "paused") && !force) {
    throw new BerthError(
      "container-status",
      `cannot delete container ${record.id} that is not stopped: ${status}`,
      {
        hint: `"berth kill ${record.id} KILL" ends it, or use "berth delete --force"`,
      },
    );
  }
  if (status !== "stopped") {
    killAll(record);
    awaitEnd(record);
  }
  await destroy(directory, record, warn);
}
