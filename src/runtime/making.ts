import type { Cgroup } from "../cgroups/create.ts";
import type { Limits } from "../cgroups/limits/limit.ts";
import type { MadeV1, V1Room } from "../cgroups/v1/load.ts";
import { effectiveIds } from "../linux/process.ts";
import type { Spawned } from "../linux/spawn.ts";
import type { SeccompFilter } from "../process/seccomp/load.ts";
import type { ContainerRecord, StateDirectory } from "../state/store.ts";
import type { UnitRoom } from "../systemd/room.ts";
import type { Bundle } from "./bundle.ts";
import type { CreateOptions } from "./create.ts";
import type { IdMappedMounts } from "./id-maps.ts";
import type { Special } from "./special.ts";

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
