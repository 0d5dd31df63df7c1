import type { CgroupOfV1 } from "../../rootfs/cgroup-v1-mount.ts";
import type { Spec } from "../../spec/config.ts";
import type { LimitWrite } from "../limits/limit.ts";
import type { CgroupPlace } from "../path.ts";
import type { V1Place } from "./place.ts";

/** What a host that has controllers on cgroup v1 does for a container, beside its cgroup of v2. */
export interface V1Room {
  /** Its cgroups, one in each hierarchy. */
  readonly places: readonly V1Place[];
  /** What v1 has here, and v2 has not. */
  readonly controllers: readonly string[];
  /** What {@link make} writes, in its order. */
  readonly writes: readonly LimitWrite[];
  /** Makes the cgroups and sets their limits. After a failure, those that it made are gone. @throws BerthError */
  make(): MadeV1;
  /** What a mount of cgroups is to show of a container that has these of the cgroups. */
  show(places: readonly V1Place[]): readonly CgroupOfV1[];
}

/** Cgroups of v1 that were made. */
export interface MadeV1 {
  /** Those that the container has: a hierarchy that nothing is asked of, and where none may be made, is left out. */
  readonly places: readonly V1Place[];
  /** Every cgroup that did not exist before, those above theirs as well, from the top down in each hierarchy. */
  readonly made: readonly CgroupPlace[];
}

/**
 * What a container needs on cgroup v1; undefined on a host with v2 alone, which loads nothing of it.
 * @param place of its cgroup of v2; null: it gets none, and none of v1
 * @throws BerthError "invalid-config"
 */
export async function loadV1(spec: Spec, id: string, place: CgroupPlace | null): Promise<V1Room | undefined> {
  // Where v2 is mounted there, it leaves v1 no room.
  if (place?.mount === "/sys/fs/cgroup") return undefined;
  const { planV1 } = await import("./room.ts");
  return planV1(spec, place === null ? undefined : id);
}
