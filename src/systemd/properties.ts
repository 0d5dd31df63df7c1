import { devicePolicy } from "../cgroups/device-rules.ts";
import type { Spec } from "../spec/config.ts";
import { annotationProperties } from "./annotations.ts";
import { deviceProperties } from "./devices.ts";
import { resourceProperties } from "./limits.ts";
import { mergeProperties, type Property } from "./property.ts";
import type { ManagerKind, UnitName } from "./unit.ts";

/**
 * The properties of a container's unit, but for its process; man 5 systemd.scope, systemd.resource-control. What annotations
 * ask for replaces what berth would set.
 * @param version of systemd
 * @throws BerthError "invalid-config"
 */
export function unitProperties(
  spec: Spec,
  id: string,
  unit: UnitName,
  manager: ManagerKind,
  version: number,
): Property[] {
  const { resources } = spec.linux;
  return mergeProperties(
    ownProperties(id, unit, version),
    // A user's systemd may load no device program.
    manager === "user" ? [] : deviceProperties(devicePolicy(resources?.devices)),
    resources === undefined ? [] : resourceProperties(resources, version),
    annotationProperties(spec.annotations ?? {}),
  );
}

function ownProperties(id: string, { slice, kind }: UnitName, version: number): Property[] {
  const own = (name: string, type: string, value: Property["value"]): Property => ({
    name,
    type,
    value,
    configPath: "linux.cgroupsPath",
  });
  return [
    own("Description", "s", `berth container ${id}`),
    ...(kind === "scope"
      ? [
          own("Slice", "s", slice),
          // The cgroups below belong to the container: systemd neither changes nor removes them.
          own("Delegate", "b", true),
        ]
      : // A slice lies where its name says; that one must be there.
        [own("Wants", "as", [slice])]),
    // Whoever looks at the unit wants figures, and controllers that come later do not count what was there before.
    own("CPUAccounting", "b", true),
    own("MemoryAccounting", "b", true),
    own("IOAccounting", "b", true),
    own("TasksAccounting", "b", true),
    // It must not wait for the system to be booted, and the engine that asked for it stops it at shutdown.
    own("DefaultDependencies", "b", false),
    // Otherwise one that failed, as by an OOM kill, would keep its name until somebody resets it.
    ...(version >= 236 ? [own("CollectMode", "s", "inactive-or-failed")] : []),
  ];
}
