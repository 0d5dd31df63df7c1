import { isFrozen } from "../cgroups/freeze.ts";
import { processStat } from "../linux/process.ts";
import { exists } from "../linux/status.ts";
import type { State, Status } from "../spec/state.ts";
import {
  type ContainerRecord,
  START_SOCKET,
  START_SOCKET_CREATING,
  type StateDirectory,
} from "../state/store.ts";

/**
 * Where a container is in its life, from what the kernel says; runtime.md "State".
 *
 * Its process gone, or another process with its pid: stopped. Its cgroup frozen: paused. Its socket not yet in place:
 * creating; in place: created, for init waits on it. Else running.
 */
export function statusOf(directory: StateDirectory, record: ContainerRecord | undefined): Status {
  if (record === undefined || record.pid === 0) return "creating";
  if (!isAlive(record)) return "stopped";
  if (record.cgroup !== null && isFrozen(record.cgroup)) return "paused";
  if (exists(START_SOCKET, directory.fd)) return "created";
  return exists(START_SOCKET_CREATING, directory.fd) ? "creating" : "running";
}

/** Whether the container's init still runs. */
export function isAlive(record: ContainerRecord): boolean {
  const stat = processStat(record.pid);
  return (
    stat !== undefined && stat.startTime === record.startTime && stat.state !== "Z" && stat.state !== "X"
  );
}

/** The state as hooks get it. */
export function hookState(record: ContainerRecord, status: Status, pid = record.pid): State {
  const { ociVersion, id, bundle, annotations } = record;
  return {
    ociVersion,
    id,
    status,
    pid,
    bundle,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
