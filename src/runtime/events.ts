import { directoryOf } from "../cgroups/path.ts";
import { openOomWatch } from "../cgroups/stats/oom.ts";
import { readStats } from "../cgroups/stats/read.ts";
import type { Stats } from "../cgroups/stats/stats.ts";
import { BerthError } from "../errors.ts";
import { now } from "../linux/clock.ts";
import { POLLIN } from "../linux/constants.ts";
import { openProcess, poll } from "../linux/process.ts";
import { scoped } from "../linux/scope.ts";
import { type ContainerRecord, closeState, findState, readRecord } from "../state/store.ts";
import { statusOf } from "./status.ts";

/** One thing that `events` tells. */
export type Event =
  | { readonly type: "stats"; readonly id: string; readonly data: Stats }
  | { readonly type: "oom"; readonly id: string };

/** What a container uses now. @throws BerthError when it does not run or has no cgroup */
export function stats(root: string, id: string): Event {
  return statsOf(runningRecord(root, id));
}

/**
 * Tells what a container uses, now and then at each interval, and each time that it runs out of memory; until it ends.
 * @param interval in milliseconds
 * @throws BerthError when it does not run or has no cgroup
 */
export function events(root: string, id: string, interval: number, tell: (event: Event) => void): void {
  const record = runningRecord(root, id);
  scoped((scope) => {
    const pidfd = openProcess(record.pid, record.startTime);
    if (pidfd === undefined) return;
    scope.keep(pidfd);
    const oom = openOomWatch(placeOf(record), record.v1 ?? [], scope);
    let next = now();
    const watched = [{ fd: pidfd, events: POLLIN }, ...oom.polled];
    for (;;) {
      const time = now();
      if (next <= time) {
        tell(statsOf(record));
        // When berth was stopped, or telling took longer than that, what was missed is not made up for.
        next = Math.max(next + interval, time);
      }
      // Each time round, however short the interval: or the end would never be seen.
      const [ended] = poll(watched, Math.max(Math.min(next - now(), oom.again()), 0));
      for (let kills = oom.takeKills(); kills > 0; kills--) tell({ type: "oom", id });
      if (ended !== 0) return;
    }
  });
}

function statsOf(record: ContainerRecord): Event {
  return { type: "stats", id: record.id, data: readStats(placeOf(record), record.v1 ?? []) };
}

function placeOf({ id, cgroup }: ContainerRecord): NonNullable<ContainerRecord["cgroup"]> {
  if (cgroup !== null) return cgroup;
  throw new BerthError("no-cgroup", `container "${id}" has no cgroup, and so no statistics`);
}

function runningRecord(root: string, id: string): ContainerRecord {
  const directory = findState(root, id);
  try {
    const record = readRecord(directory);
    const status = statusOf(directory, record);
    if (record === undefined || status === "stopped" || status === "creating") {
      throw new BerthError("container-status", `container with id ${id} is not running: it is ${status}`);
    }
    directoryOf(placeOf(record));
    return record;
  } finally {
    closeState(directory);
  }
}
