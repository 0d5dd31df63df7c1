import { hasCode } from "../errors.ts";
import { SIGKILL } from "../linux/constants.ts";
import { writeExisting } from "../linux/file.ts";
import { syscall } from "../linux/native.ts";
import { freeze, thaw } from "./freeze.ts";
import { isGone, members } from "./members.ts";
import { type CgroupPlace, directoryOf } from "./path.ts";

/**
 * Sends SIGKILL to every process of a cgroup and of those below it, frozen ones too. Does not wait for their end. Does
 * nothing when there is no such cgroup.
 *
 * cgroup.kill does so at once and misses no fork; it is there since Linux 5.14.
 * @throws BerthError
 */
export function kill(place: CgroupPlace): void {
  try {
    writeExisting(`${directoryOf(place)}/cgroup.kill`, "1");
  } catch (error) {
    // No such file, or EOPNOTSUPP for a threaded cgroup; whatever is in there must still die.
    if (!isGone(error) && !hasCode(error, "EOPNOTSUPP")) throw error;
    killEach(place);
  }
}

/** For kernels before 5.14. Frozen processes cannot fork, so that none is missed. @throws BerthError */
export function killEach(place: CgroupPlace): void {
  if (members(place).length === 0) return;
  try {
    freeze(place);
  } catch (error) {
    // One that cannot be frozen now still gets its signal.
    if (!isGone(error) && !hasCode(error, "not-frozen")) throw error;
  }
  for (const pid of members(place)) syscall("kill", pid, SIGKILL);
  try {
    thaw(place);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}
