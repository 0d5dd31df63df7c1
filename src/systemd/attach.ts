import { attachProcess, connectManager, refused } from "./connection.ts";
import type { Unit } from "./room.ts";

/**
 * Moves a process to the cgroup of a container's unit, for a user who may not: to the user's units from a login session, which the
 * system's systemd does when the user's asks it to.
 * @throws BerthError
 */
export function attachToUnit({ name, manager: kind }: Unit, pid: number): void {
  const manager = connectManager(kind);
  try {
    attachProcess(manager, name, pid);
  } catch (error) {
    throw refused(error, `move the process to systemd unit "${name}"`, kind);
  } finally {
    manager.bus.close();
  }
}
