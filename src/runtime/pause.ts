import { freeze, thaw } from "../cgroups/freeze.ts";
import type { CgroupPlace } from "../cgroups/path.ts";
import { BerthError } from "../errors.ts";
import { close } from "../linux/file.ts";
import type { Status } from "../spec/state.ts";
import { closeState, findState, lockPausing, readRecord } from "../state/store.ts";
import { statusOf } from "./status.ts";

/** Stops all processes of a container, until {@link resume}. @throws BerthError when it is not running or created */
export function pause(root: string, id: string): void {
  withCgroup(root, id, (cgroup, status) => {
    if (status !== "running" && status !== "created") {
      throw new BerthError("container-status", `container "${id}": container not running: it is ${status}`);
    }
    freeze(cgroup);
  });
}

/** Lets a paused container go on. @throws BerthError when it is not paused */
export function resume(root: string, id: string): void {
  withCgroup(root, id, (cgroup, status) => {
    if (status !== "paused") {
      throw new BerthError("container-status", `container "${id}": container not paused: it is ${status}`);
    }
    thaw(cgroup);
  });
}

function withCgroup(root: string, id: string, act: (cgroup: CgroupPlace, status: Status) => void): void {
  const directory = findState(root, id);
  let held: number | undefined;
  try {
    // One that froze while another thawed would wait for a state that never comes.
    held = lockPausing(directory);
    const record = readRecord(directory);
    const status = statusOf(directory, record);
    if (record !== undefined && record.cgroup === null) {
      throw new BerthError(
        "no-cgroup",
        `container "${id}" has no cgroup, and so cannot be paused or resumed`,
      );
    }
    // Without a record it is still being created, which neither of both accepts.
    act(record?.cgroup ?? { mount: "", path: "" }, status);
  } finally {
    if (held !== undefined) close(held);
    closeState(directory);
  }
}
