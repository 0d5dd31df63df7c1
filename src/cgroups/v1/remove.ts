import { tryRmdir } from "../../linux/directory.ts";
import { EBUSY, ENOENT, EROFS, systemError } from "../../linux/errno.ts";
import { sleep } from "../../linux/process.ts";
import { tryStat } from "../../linux/status.ts";
import { members } from "../members.ts";
import { type CgroupPlace, directoryOf } from "../path.ts";
import { removeTree } from "../remove.ts";
import { killV1 } from "./kill.ts";
import type { V1Place } from "./place.ts";

const ATTEMPTS = 10;

/**
 * Removes a container's cgroups of v1 and those below them. Its processes have ended with its cgroup of v2, which goes first;
 * those that are in these alone are killed. Nothing to do for one that is gone already.
 * @param began whether the container ever had a process: without, whatever is in there is not its own, and stays
 * @throws BerthError with code EBUSY when one is in use for more than a second
 */
export function removeV1(places: readonly V1Place[], began: boolean): void {
  for (const place of places) {
    const directory = directoryOf(place);
    for (let attempt = 0; ; attempt++) {
      const result = removeTree(directory);
      if (result === 0 || result === -ENOENT) break;
      // A hierarchy that is mounted read-only says so even of what is not there.
      if (result === -EROFS && tryStat(directory) === -ENOENT) break;
      const left = result === -EBUSY ? members(place) : [];
      if (!began && left.length > 0) break;
      if (result !== -EBUSY || attempt === ATTEMPTS) {
        const hint = left.length === 0 ? undefined : `these processes do not die: ${left.join(", ")}`;
        throw systemError(-result, `remove cgroup "${directory}"`, { hint });
      }
      if (left.length > 0) killV1([place]);
      // A process that has ended may still be on its way out of the cgroup.
      sleep(2 ** attempt);
    }
  }
}

/**
 * Takes back cgroups of v1 that were made for a container: its own, and those above them unless others use them by now.
 * @param made from the top down
 * @throws BerthError as {@link removeV1}
 */
export function undoV1(places: readonly V1Place[], made: readonly CgroupPlace[]): void {
  const isMade = (place: CgroupPlace) =>
    made.some(({ mount, path }) => mount === place.mount && path === place.path);
  removeV1(places.filter(isMade), true);
  for (const place of [...made].reverse()) tryRmdir(directoryOf(place));
}
