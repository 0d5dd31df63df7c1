import type { Status } from "../spec/state.ts";
import { type ContainerRecord, closeState, doesNotExist, findState, readRecord } from "../state/store.ts";
import { statusOf } from "./status.ts";

/** What `state` and `list` tell of a container, in runc's order. */
export interface ContainerState {
  readonly ociVersion: string;
  readonly id: string;
  /** 0 when it has ended. */
  readonly pid: number;
  readonly status: Status;
  readonly bundle: string;
  readonly rootfs: string;
  readonly created: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** The name of the user who created it; only `list` looks it up. */
  readonly owner: string;
}

/** The state of one container; runtime.md "Query State". @throws BerthError when there is no such container */
export function state(root: string, id: string): ContainerState {
  const found = stateAndOwner(root, id);
  if (found === undefined) throw doesNotExist(id);
  return found.state;
}

/** As {@link state}, with the uid of its owner; undefined for one that is just being made or removed. @throws BerthError */
export function stateAndOwner(root: string, id: string): { state: ContainerState; uid: number } | undefined {
  const directory = findState(root, id);
  try {
    const record = readRecord(directory);
    if (record === undefined) return undefined;
    return { state: describe(record, statusOf(directory, record)), uid: record.uid };
  } finally {
    closeState(directory);
  }
}

function describe(record: ContainerRecord, status: Status): ContainerState {
  const { ociVersion, id, bundle, rootfs, created, annotations } = record;
  return {
    ociVersion,
    id,
    pid: status === "stopped" ? 0 : record.pid,
    status,
    bundle,
    rootfs,
    created,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    owner: "",
  };
}
