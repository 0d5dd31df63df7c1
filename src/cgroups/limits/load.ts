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
 * @param elsewhere controllers, by their names in cgroup v1, that somebody else sets limits with
 * @param warn is told what nothing comes of
 * @throws BerthError "no-controller"
 */
export async function loadLimitsFor(
  spec: Spec,
  place: CgroupPlace | null,
  elsewhere: readonly string[],
  warn: (message: string) => void,
): Promise<Limits | undefined> {
  const all = await loadLimits(spec);
  if (all === undefined) return undefined;
  if (place === null) {
    warn(
      "linux.resources: no limit is set, for --cgroup-manager=disabled leaves the container without a cgroup",
    );
    return undefined;
  }
  const limits = limitsWithout(all, elsewhere);
  refuseUnavailable(limits, place.mount);
  for (const { path } of limits.ignored) warn(`${path}: ignored, cgroup v2 has nothing like it`);
  return limits;
}

/** Limits without those of some controllers. What `unified` asks for stays: it names files of cgroup v2. */
export function limitsWithout(limits: Limits, controllers: readonly string[]): Limits {
  if (controllers.length === 0) return limits;
  const isOurs = ({ controller, path }: { readonly controller: string; readonly path: string }) =>
    path.startsWith("linux.resources.unified") ||
    !controllers.includes(controller === "io" ? "blkio" : controller);
  return {
    ...limits,
    writes: limits.writes.filter(isOurs),
    ignored: limits.ignored.filter(isOurs),
    ceilings: controllers.includes("memory") ? [] : limits.ceilings,
  };
}
