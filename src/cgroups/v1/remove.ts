import { EBUSY, ENOENT, systemError } from "../../linux/errno.ts";
import { sleep } from "../../linux/process.ts";
import { directoryOf } from "../path.ts";
import { removeTree } from "../remove.ts";
import type { V1Place } from "./place.ts";

const ATTEMPTS = 10;

/**
 * Removes a container's cgroups of v1 and those below them. Their processes have ended: they were those of its cgroup of v2, which goes
 * first. Nothing to do for one that is gone already.
 * @throws BerthError with code EBUSY when one is in use for more than a second
 */
export function removeV1(places: readonly V1Place[]): void {
  for (const place of places) {
    const directory = directoryOf(place);
    for (let attempt = 0; ; attempt++) {
      const result = removeTree(directory);
      if (result === 0 || result === -ENOENT) break;
      if (result !== -EBUSY || attempt === ATTEMPTS)
        throw systemError(-result, `remove cgroup "${directory}"`);
      // A process that has ended may still be on its way out of the cgroup.
      sleep(2 ** attempt);
    }
  }
}
