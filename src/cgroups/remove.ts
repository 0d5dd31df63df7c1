import { tryRmdir } from "../linux/directory.ts";
import { EBUSY, ENOENT, systemError } from "../linux/errno.ts";
import { sleep } from "../linux/process.ts";
import { waitForEvents } from "./events.ts";
import { kill } from "./kill.ts";
import { members, subCgroups } from "./members.ts";
import { type CgroupPlace, directoryOf } from "./path.ts";

const ATTEMPTS = 10;

/**
 * Removes a container's cgroup and those that the container made below it. Processes left in there are killed. Nothing to do
 * when it is gone already.
 *
 * The cgroups above it stay, as with runc, even when berth made them and they are empty: others may be about to use them.
 * @throws BerthError with code EBUSY when its processes do not die within a second
 */
export function remove(place: CgroupPlace): void {
  const directory = directoryOf(place);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const result = removeTree(directory);
    if (result === 0 || result === -ENOENT) return;
    if (result !== -EBUSY) throw systemError(-result, `remove cgroup "${directory}"`);
    kill(place);
    const empty = waitForEvents(place, (events) => events?.populated !== true, 2 ** attempt);
    // Empty, and yet it was busy: someone made a cgroup below it meanwhile, and that may take another moment.
    if (empty && attempt > 0) sleep(2 ** attempt);
  }
  const left = members(place);
  throw systemError(EBUSY, `remove cgroup "${directory}"`, {
    hint: left.length === 0 ? undefined : `these processes do not die: ${left.join(", ")}`,
  });
}

/** Removes a cgroup and those below it; answers 0 or a negated errno: EBUSY while a process is in there. */
export function removeTree(directory: string): number {
  const result = tryRmdir(directory);
  // EBUSY: a process, or a cgroup below.
  if (result !== -EBUSY) return result;
  for (const name of subCgroups(directory)) removeTree(`${directory}/${name}`);
  return tryRmdir(directory);
}
