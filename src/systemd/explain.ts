import { cgroupAction } from "../cgroups/cgroup.ts";
import type { Action } from "../plan/explain.ts";
import type { Spec } from "../spec/config.ts";
import { ownManager } from "./account.ts";
import { unitProperties } from "./properties.ts";
import { showProperty } from "./property.ts";
import { unitOf } from "./unit.ts";

/** What `berth explain` shows of a container's unit. */
export interface ExplainedUnit {
  /** Of its cgroup, below that of systemd. */
  readonly path: string;
  readonly actions: readonly Action[];
}

/**
 * The unit that systemd is to make for a container, and its properties, as the newest systemd takes them. Asks no systemd.
 * @throws BerthError "invalid-config"
 */
export function explainUnit(spec: Spec, id: string): ExplainedUnit {
  const manager = ownManager();
  const unit = unitOf(spec.linux.cgroupsPath, id, manager);
  const properties = unitProperties(spec, id, unit, manager, Number.POSITIVE_INFINITY);
  const what = `have the ${manager === "system" ? "system" : "user"}'s systemd start it`;
  return {
    path: unit.path,
    actions: [
      cgroupAction(
        "linux.cgroupsPath",
        unit.name,
        unit.kind === "scope" ? `${what}, with init in it` : `${what}, and move init to its cgroup`,
      ),
      ...properties.map((property) => cgroupAction(property.configPath, unit.name, showProperty(property))),
    ],
  };
}
