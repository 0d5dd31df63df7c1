import { members } from "../cgroups/members.ts";
import { closeState, findState, readRecord } from "../state/store.ts";
import { isAlive } from "./status.ts";

/**
 * The processes of a container, in berth's pid namespace, sorted: those of its cgroup and of those below it; without a cgroup,
 * its init.
 * @throws BerthError when there is no such container
 */
export function processes(root: string, id: string): number[] {
  const directory = findState(root, id);
  try {
    const record = readRecord(directory);
    if (record === undefined) return [];
    if (record.cgroup !== null) return members(record.cgroup);
    return isAlive(record) ? [record.pid] : [];
  } finally {
    closeState(directory);
  }
}
