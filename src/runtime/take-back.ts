import { undoCgroup } from "../cgroups/create.ts";
import { undoV1 } from "../cgroups/v1/remove.ts";
import { messageOf } from "../errors.ts";
import { runPoststopHooks } from "../hooks/run.ts";
import { SIGKILL } from "../linux/constants.ts";
import { tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import { closeState, removeState } from "../state/store.ts";
import type { Making } from "./making.ts";
import { hookState } from "./status.ts";

/** Undoes a failed creation: process, cgroup, state; then the poststop hooks, as after any end (runtime.md "Lifecycle"). */
export function takeBack(making: Making): void {
  const { options, bundle, directory, child, cgroup, v1Made, unit, special, record } = making;
  const attempt = (what: string, act: () => void) => {
    try {
      act();
    } catch (error) {
      options.warn(`after the failed creation: ${what}: ${messageOf(error)}`);
    }
  };
  if (child !== undefined) {
    attempt("end init", () => {
      tryPidfdSignal(child.pidfd, SIGKILL);
      waitPidfd(child.pidfd);
    });
  }
  special?.undo(options.warn);
  if (cgroup !== undefined) attempt("remove the cgroup", () => undoCgroup(cgroup));
  if (cgroup !== undefined && unit !== undefined) attempt("stop the systemd unit", () => unit.undo());
  if (v1Made !== undefined) {
    attempt("remove the cgroups of v1", () => undoV1(v1Made.places, v1Made.made));
  }
  attempt("remove the state", () => removeState(directory));
  closeState(directory);
  if (child === undefined) return;
  runPoststopHooks(bundle.spec.hooks?.poststop, hookState(record, "stopped", 0), bundle.path, options.warn);
}
