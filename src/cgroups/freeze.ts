import { BerthError } from "../errors.ts";
import { now } from "../linux/clock.ts";
import { readTextIfThere, writeExisting } from "../linux/file.ts";
import { processStat } from "../linux/process.ts";
import { cgroupEvents, waitForEvents } from "./events.ts";
import { members, subCgroups } from "./members.ts";
import { type CgroupPlace, directoryOf } from "./path.ts";

/** How long the kernel gets to stop or wake all processes. A process in an uninterruptible wait can take for ever. */
const PATIENCE = 10_000;

/**
 * Stops all processes of a cgroup and of those below it, and returns when all stand still; cgroup-v2.rst "cgroup.freeze".
 * @param milliseconds how long to wait
 * @throws BerthError "not-frozen" when one does not stop in time: then all run again
 */
export function freeze(place: CgroupPlace, milliseconds = PATIENCE): void {
  setFreeze(place, "1");
  if (allFrozen(place, now() + milliseconds)) return;
  const stuck = uninterruptible(place);
  setFreeze(place, "0");
  throw new BerthError(
    "not-frozen",
    `freeze cgroup "${place.path}": not all of its processes stopped within ${milliseconds / 1000} s`,
    {
      hint:
        stuck.length === 0
          ? "it was thawed again: the host may be overloaded, or processes are being started faster than they can be stopped"
          : `it was thawed again: in an uninterruptible wait, mostly for a disk or network file system, ${stuck.join(", ")}`,
    },
  );
}

/**
 * Lets the processes of a cgroup run again, and returns when they do.
 * @throws BerthError "still-frozen" when they do not, because a cgroup above is frozen
 */
export function thaw(place: CgroupPlace, milliseconds = PATIENCE): void {
  setFreeze(place, "0");
  if (waitForEvents(place, (events) => events?.frozen !== true, milliseconds)) return;
  throw new BerthError("still-frozen", `thaw cgroup "${place.path}": its processes are still frozen`, {
    hint: "a cgroup above it is frozen too: write 0 to that one's cgroup.freeze",
  });
}

/** Whether all processes of a cgroup are frozen, by its own doing or from above. False when there is no such cgroup. @throws BerthError */
export function isFrozen(place: CgroupPlace): boolean {
  return cgroupEvents(place)?.frozen ?? false;
}

/**
 * Waits for a cgroup and all below it to be frozen: the "frozen" of one that has both processes and cgroups below it speaks of
 * either as soon as they stand still, not of both (kernel/cgroup/freezer.c, seen on 6.18).
 * @param end when to give up, as now() tells the time
 */
function allFrozen(place: CgroupPlace, end: number): boolean {
  const frozen = waitForEvents(place, (events) => events?.frozen !== false, end - now());
  return (
    frozen &&
    subCgroups(directoryOf(place)).every((name) =>
      allFrozen({ ...place, path: `${place.path}/${name}` }, end),
    )
  );
}

function setFreeze(place: CgroupPlace, value: "0" | "1"): void {
  writeExisting(`${directoryOf(place)}/cgroup.freeze`, value);
}

/** 'pid 12 (tar)' for each process that no signal and no freezer reaches now. */
function uninterruptible(place: CgroupPlace): string[] {
  return members(place)
    .filter((pid) => processStat(pid)?.state === "D")
    .map((pid) => `pid ${pid} (${readTextIfThere(`/proc/${pid}/comm`)?.trimEnd() ?? "gone"})`);
}
