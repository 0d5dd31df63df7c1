import type { CgroupOfV1 } from "../../rootfs/cgroup-v1-mount.ts";
import type { Spec } from "../../spec/config.ts";
import type { LimitWrite } from "../limits/limit.ts";
import { type Hierarchy, v1Hierarchies } from "./hierarchies.ts";
import { v1Writes } from "./limits.ts";
import type { V1Room } from "./load.ts";
import { makeV1 } from "./make.ts";
import { locateV1, type V1Place } from "./place.ts";

/**
 * See {@link V1Room}; undefined when no hierarchy of v1 is mounted.
 * @param id undefined for a container that gets no cgroup
 * @throws BerthError "invalid-config"
 */
export function planV1(spec: Spec, id: string | undefined): V1Room | undefined {
  const hierarchies = v1Hierarchies();
  if (hierarchies.length === 0) return undefined;
  const places = id === undefined ? [] : locateV1(spec, id, hierarchies);
  const controllers = places.flatMap(({ controllers }) => controllers);
  const writes = v1WritesFor(spec.linux.resources, places);
  return {
    places,
    controllers,
    writes,
    make: () => makeV1(places, writes),
    show: (had) => shown(hierarchies, had),
  };
}

/** The cgroups that a container is in: where it has none of its own it stays in its caller's. */
function shown(hierarchies: readonly Hierarchy[], had: readonly V1Place[]): CgroupOfV1[] {
  return hierarchies.map(
    ({ controllers, mount, own }) =>
      had.find((place) => place.mount === mount) ?? { controllers, mount, path: own, isCallers: true },
  );
}

/** The writes for those controllers that the container has on v1. */
export function v1WritesFor(resources: Spec["linux"]["resources"], places: readonly V1Place[]): LimitWrite[] {
  return v1Writes(resources).filter(({ controller }) =>
    places.some(({ controllers }) => controllers.includes(controller)),
  );
}
