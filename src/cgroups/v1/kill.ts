import { hasCode } from "../../errors.ts";
import { SIGKILL } from "../../linux/constants.ts";
import { writeExisting } from "../../linux/file.ts";
import { syscall } from "../../linux/native.ts";
import { isGone, members, subCgroups } from "../members.ts";
import { directoryOf } from "../path.ts";
import type { V1Place } from "./place.ts";

/**
 * Sends SIGKILL to every process in a container's cgroups of v1, and lets it take effect: one that is frozen there, unlike on v2,
 * does not die before it is thawed. Does nothing for a cgroup that is gone.
 * @throws BerthError
 */
export function killV1(places: readonly V1Place[]): void {
  for (const place of places) {
    for (const pid of members(place)) syscall("kill", pid, SIGKILL);
  }
  for (const place of places) {
    if (place.controllers.includes("freezer")) thaw(directoryOf(place));
  }
}

/** From the top down: a cgroup stays frozen as long as one above it is. */
function thaw(directory: string): void {
  try {
    writeExisting(`${directory}/freezer.state`, "THAWED");
  } catch (error) {
    if (!isGone(error) && !hasCode(error, "EROFS")) throw error;
  }
  for (const name of subCgroups(directory)) thaw(`${directory}/${name}`);
}
