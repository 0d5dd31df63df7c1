import type { Spec } from "../../spec/config.ts";
import { type CgroupPlace, cgroupPath } from "../path.ts";
import type { Hierarchy } from "./hierarchies.ts";

/** A container's cgroup in one hierarchy of cgroup v1. */
export interface V1Place extends CgroupPlace {
  /** Those of the hierarchy; none for a named one. */
  readonly controllers: readonly string[];
}

/**
 * The container's cgroup in every v1 hierarchy of the host, where engines look for it; config-linux.md "Cgroups Path". Makes nothing.
 * @throws BerthError "invalid-config"
 */
export function locateV1(spec: Spec, id: string, hierarchies: readonly Hierarchy[]): V1Place[] {
  return hierarchies.map((hierarchy) => placeIn(hierarchy, spec.linux?.cgroupsPath, id));
}

/** A relative path starts, as with runc, at the caller's own cgroup: those of v1 may hold processes and cgroups side by side. */
export function placeIn(
  { controllers, mount, own }: Hierarchy,
  cgroupsPath: string | undefined,
  id: string,
): V1Place {
  // What is cut off there is the last part of the caller's cgroup.
  return { controllers, mount, path: cgroupPath(cgroupsPath, id, () => `${own}/x`) };
}
