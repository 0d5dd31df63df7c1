import { hasCode } from "../errors.ts";
import { readDirectory } from "../linux/directory.ts";
import { readText } from "../linux/file.ts";
import { type CgroupPlace, directoryOf } from "./path.ts";

/**
 * The processes in a cgroup and in those below it, by pid, ascending. Empty when there is no such cgroup.
 *
 * Processes of a pid namespace that this one does not contain have no pid here (cgroupfs shows 0) and are left out.
 * @throws BerthError
 */
export function members(place: CgroupPlace): number[] {
  const pids = new Set<number>();
  collect(directoryOf(place), pids);
  pids.delete(0);
  return [...pids].sort((a, b) => a - b);
}

function collect(directory: string, pids: Set<number>): void {
  for (const line of linesOf(`${directory}/cgroup.procs`)) pids.add(Number(line));
  for (const name of subCgroups(directory)) collect(`${directory}/${name}`, pids);
}

function linesOf(file: string): string[] {
  try {
    return readText(file)
      .split("\n")
      .filter((line) => line !== "");
  } catch (error) {
    // A threaded cgroup does not list processes: they are listed by the domain above it.
    if (isGone(error) || hasCode(error, "EOPNOTSUPP")) return [];
    throw error;
  }
}

/** The names of the cgroups right below `directory`. @throws BerthError */
export function subCgroups(directory: string): string[] {
  const DIRECTORY = 4;
  try {
    return readDirectory(directory)
      .filter(({ type }) => type === DIRECTORY)
      .map(({ name }) => name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Whether a cgroup went away while it was looked at: before its file was opened, or after. */
export function isGone(error: unknown): boolean {
  return hasCode(error, "ENOENT") || hasCode(error, "ENODEV");
}
