import { type Cgroup, undoCgroup } from "../cgroups/create.ts";
import type { Limits } from "../cgroups/limits/limit.ts";
import type { MadeV1, V1Room } from "../cgroups/v1/load.ts";
import { undoV1 } from "../cgroups/v1/remove.ts";
import { messageOf } from "../errors.ts";
import { runPoststopHooks } from "../hooks/run.ts";
import { SIGKILL } from "../linux/constants.ts";
import { effectiveIds, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import type { Spawned } from "../linux/spawn.ts";
import type { SeccompFilter } from "../process/seccomp/load.ts";
import { type ContainerRecord, closeState, removeState, type StateDirectory } from "../state/store.ts";
import type { UnitRoom } from "../systemd/room.ts";
import type { Bundle } from "./bundle.ts";
import type { CreateOptions } from "./create.ts";
import type { IdMappedMounts } from "./id-maps.ts";
import type { Special } from "./special.ts";
import { hookState } from "./status.ts";

/** A creation under way, and what must be taken back if it fails. */
export interface Making {
  readonly options: CreateOptions;
  readonly bundle: Bundle;
  readonly directory: StateDirectory;
  readonly limits: Limits | undefined;
  readonly v1: V1Room | undefined;
  /** What systemd is to make, rather than berth. */
  readonly unit: UnitRoom | undefined;
  readonly special: Special | undefined;
  readonly idMaps: IdMappedMounts | undefined;
  readonly seccomp: SeccompFilter | undefined;
  record: ContainerRecord;
  cgroup?: Cgroup;
  v1Made?: MadeV1;
  child?: Spawned;
}

/** What berth remembers of a container that is about to be made. */
export function newRecord(
  { id, noNewKeyring }: CreateOptions,
  { path, spec }: Bundle,
  rootfs: string,
  cgroup: ContainerRecord["cgroup"],
  resctrl: readonly string[] = [],
): ContainerRecord {
  return {
    ociVersion: spec.ociVersion,
    id,
    bundle: path,
    rootfs,
    created: new Date().toISOString(),
    uid: effectiveIds().uid,
    pid: 0,
    startTime: 0,
    cgroup,
    ownPidNamespace: spec.linux.namespaces.some(({ type, path: joined }) => type === "pid" && !joined),
    ownKeyring: !noNewKeyring,
    annotations: spec.annotations ?? {},
    ...(resctrl.length === 0 ? {} : { resctrl }),
  };
}

/** Undoes a failed creation: process, cgroup, state; then the poststop hooks, as after any end (runtime.md "Lifecycle"). */
export function takeBack(making: Making): void {
  const { options, bundle, directory, child, cgroup, v1Made, unit, special, record } = making;
  const attempt = (what: string, act: () => void) => {
    try {
      act();
    } catch (error) {
      options.warn(`after the failed creation: ${what}: ${messageOf(error)}`);
    }
  };
  if (child !== undefined) {
    attempt("end init", () => {
      tryPidfdSignal(child.pidfd, SIGKILL);
      waitPidfd(child.pidfd);
    });
  }
  special?.undo(options.warn);
  if (cgroup !== undefined) attempt("remove the cgroup", () => undoCgroup(cgroup));
  if (cgroup !== undefined && unit !== undefined) attempt("stop the systemd unit", () => unit.undo());
  if (v1Made !== undefined) {
    attempt("remove the cgroups of v1", () => undoV1(v1Made.places, v1Made.made));
  }
  attempt("remove the state", () => removeState(directory));
  closeState(directory);
  if (child === undefined) return;
  runPoststopHooks(bundle.spec.hooks?.poststop, hookState(record, "stopped", 0), bundle.path, options.warn);
}
