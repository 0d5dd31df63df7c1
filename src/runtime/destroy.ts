import { kill as killCgroup } from "../cgroups/kill.ts";
import { remove as removeCgroup } from "../cgroups/remove.ts";
import { killV1 } from "../cgroups/v1/kill.ts";
import { removeV1 } from "../cgroups/v1/remove.ts";
import { BerthError, isBerthError, messageOf } from "../errors.ts";
import { runPoststopHooks } from "../hooks/run.ts";
import { POLLIN, SIGKILL } from "../linux/constants.ts";
import { tryRmdir } from "../linux/directory.ts";
import { ENOENT, errnoText } from "../linux/errno.ts";
import { close, withDescriptor } from "../linux/file.ts";
import { openProcess, poll, tryPidfdSignal } from "../linux/process.ts";
import type { Hooks } from "../spec/config.ts";
import { savedSpec } from "../spec/saved.ts";
import { type ContainerRecord, readConfig, removeState, type StateDirectory } from "../state/store.ts";
import { hookState } from "./status.ts";

/** How long a process that got SIGKILL has to go, in milliseconds: runc's ten seconds. */
const PATIENCE = 10_000;

/**
 * Sends SIGKILL to everything in a container: its cgroup, which misses no fork, or without one its init.
 * @throws BerthError
 */
export function killAll(record: ContainerRecord): void {
  if (record.cgroup !== null) killCgroup(record.cgroup);
  // Before there is an init, nothing of the container's can be in these, and somebody else may.
  if (record.v1 !== undefined && record.pid !== 0) killV1(record.v1);
  const pidfd = record.pid === 0 ? undefined : openProcess(record.pid, record.startTime);
  if (pidfd === undefined) return;
  tryPidfdSignal(pidfd, SIGKILL);
  close(pidfd);
}

/**
 * Waits until the container's init has ended.
 * @throws BerthError "still-running" after ten seconds
 */
export function awaitEnd(record: ContainerRecord): void {
  const pidfd = record.pid === 0 ? undefined : openProcess(record.pid, record.startTime);
  if (pidfd === undefined) return;
  withDescriptor(pidfd, () => {
    const [ended] = poll([{ fd: pidfd, events: POLLIN }], PATIENCE);
    if (ended !== 0 || openProcessState(record)) return;
    throw new BerthError("still-running", `container "${record.id}": container init still running`, {
      hint: `process ${record.pid} does not end by SIGKILL: it hangs in the kernel, see /proc/${record.pid}/stack`,
    });
  });
}

/** Whether init is gone, after a wait that a signal may have cut short. */
function openProcessState(record: ContainerRecord): boolean {
  const pidfd = openProcess(record.pid, record.startTime);
  if (pidfd === undefined) return true;
  close(pidfd);
  return false;
}

/**
 * Removes what is left of a container whose init has ended: processes it left behind, its cgroup, its state; then runs its
 * poststop hooks, whose failures are only warned about (config.md "Poststop").
 * @throws BerthError
 */
export async function destroy(
  directory: StateDirectory,
  record: ContainerRecord,
  warn: (message: string) => void,
): Promise<void> {
  // Without a pid, create was killed before init began: there is nothing that a hook could have to clean up.
  const hooks = record.pid === 0 ? undefined : savedHooks(directory, warn);
  if (record.cgroup !== null) {
    // Frozen or not: SIGKILL reaches frozen processes too, and to thaw them could meet a pause.
    removeCgroup(record.cgroup);
    if (record.v1 !== undefined) removeV1(record.v1, record.pid !== 0);
    if (record.cgroup.unit !== undefined) await endUnit(record.cgroup.unit, warn);
  }
  if (record.resctrl !== undefined) removeGroups(record.resctrl, warn);
  removeState(directory);
  runPoststopHooks(hooks?.poststop, hookState(record, "stopped", 0), record.bundle, warn);
}

type Unit = NonNullable<NonNullable<ContainerRecord["cgroup"]>["unit"]>;

/** Ends a unit whose cgroup is gone. systemd would by itself, for a scope, and so a container can be deleted without it. */
async function endUnit(unit: Unit, warn: (message: string) => void): Promise<void> {
  try {
    (await import("../systemd/stop.ts")).stopUnit(unit);
  } catch (error) {
    if (!isBerthError(error)) throw error;
    warn(error.message);
  }
}

/** Its directories of resctrl; one that is gone already is no fault. */
function removeGroups(paths: readonly string[], warn: (message: string) => void): void {
  for (const path of paths) {
    const result = tryRmdir(path);
    if (result < 0 && result !== -ENOENT) warn(`remove the resctrl group "${path}": ${errnoText(-result)}`);
  }
}

/** The hooks of the container's own config.json. */
function savedHooks(directory: StateDirectory, warn: (message: string) => void): Hooks | undefined {
  try {
    const text = readConfig(directory);
    // Most containers have none, and then need not be parsed.
    if (!text.includes('"poststop"')) return undefined;
    return savedSpec(text).hooks;
  } catch (error) {
    warn(`poststop hooks are not run: ${messageOf(error)}`);
    return undefined;
  }
}
