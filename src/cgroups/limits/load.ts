import type { Spec } from "../../spec/config.ts";
import { refuseUnavailable } from "../controllers.ts";
import type { CgroupPlace } from "../path.ts";
import { asksForLimits } from "./asked.ts";
import type { Limits } from "./limit.ts";

/** The limits that config.json asks for; undefined for none: then what knows about them is not loaded. */
export async function loadLimits({ linux }: Spec): Promise<Limits | undefined> {
  if (!asksForLimits(linux.resources)) return undefined;
  const { limitsOf } = await import("./v2.ts");
  return limitsOf(linux.resources);
}

/**
 * As {@link loadLimits}, of a container that is to be made. Looks whether this host can have them, before anything is made.
 * @param place of its cgroup; null: it gets none
 * @param warn is told what nothing comes of
 * @throws BerthError "no-controller"
 */
export async function loadLimitsFor(
  spec: Spec,
  place: CgroupPlace | null,
  warn: (message: string) => void,
): Promise<Limits | undefined> {
  const limits = await loadLimits(spec);
  if (limits === undefined) return undefined;
  if (place === null) {
    warn(
      "linux.resources: no limit is set, for --cgroup-manager=disabled leaves the container without a cgroup",
    );
    return undefined;
  }
  refuseUnavailable(limits, place.mount);
  for (const { path } of limits.ignored) warn(`${path}: ignored, cgroup v2 has nothing like it`);
  return limits;
}
