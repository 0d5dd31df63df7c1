import { connectManager, isNoUnit, type Manager, refused, resetFailed, runJob } from "./connection.ts";
import type { Unit } from "./room.ts";

/**
 * Ends a unit whose processes are gone, and waits until systemd has forgotten it, so that its name is free. Nothing to do when
 * it is gone: systemd takes a scope away by itself when its last process ends, but only a moment later.
 * @throws BerthError
 */
export function stopUnit({ name, manager: kind }: Unit): void {
  const manager = connectManager(kind);
  try {
    stopUnitOf(manager, name);
  } finally {
    manager.bus.close();
  }
}

/** As {@link stopUnit}, for one who is connected. @throws BerthError */
export function stopUnitOf(manager: Manager, name: string): void {
  try {
    runJob(manager, "StopUnit", "ss", [name, "replace"]);
  } catch (error) {
    if (!isNoUnit(error)) throw refused(error, `stop systemd unit "${name}"`, manager.kind);
  }
  resetFailed(manager, name);
}
