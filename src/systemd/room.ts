import type { Cgroup } from "../cgroups/create.ts";
import type { CgroupPlace } from "../cgroups/path.ts";
import type { ManagerKind } from "./unit.ts";

/** A unit that a container has. */
export interface Unit {
  readonly name: string;
  /** The systemd whose unit it is. */
  readonly manager: ManagerKind;
}

/** Where a unit's cgroup is. */
export type UnitPlace = CgroupPlace & { readonly unit: Unit };

/** What systemd is to make for a container in the making, and the connection to it. */
export interface UnitRoom {
  readonly place: UnitPlace;
  /** @throws BerthError "unit-exists" when a unit of that name is in use */
  refuseTaken(): void;
  /**
   * Makes the unit, with a process in it. After a failure nothing of it is left, and neither is the process.
   * @throws BerthError
   */
  start(pid: number): Cgroup;
  /** Undoes {@link start}, and ends what is in the unit. @throws BerthError */
  undo(): void;
  close(): void;
}
