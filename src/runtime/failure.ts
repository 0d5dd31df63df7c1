import type { BerthError } from "../errors.ts";
import { O_DIRECTORY, O_PATH } from "../linux/constants.ts";
import { EPERM } from "../linux/errno.ts";
import { tryOpen, withDescriptor } from "../linux/file.ts";
import type { Spawned } from "../linux/spawn.ts";
import type { Encoded } from "../plan/encode.ts";
import { stepError } from "../plan/perform.ts";
import { planExecutable } from "../process/exec.ts";
import { explainExecFailure } from "../process/exec-failure.ts";
import { lackingCapabilities } from "../process/identity.ts";
import { readMountLog } from "../rootfs/mount-log.ts";
import type { Process } from "../spec/process.ts";

const MOUNT_CALLS: ReadonlySet<string> = new Set(["fsconfig", "fsmount"]);

/** A process whose Plan failed, and what it was to become. */
export interface Failed {
  readonly encoded: Encoded;
  readonly child: Spawned;
  readonly process: Process | undefined;
}

/**
 * The sentence for a step of a container's process that failed. The process still waits, so that its root and its descriptors
 * can be looked at.
 */
export function describeFailure(failed: Failed, number: number, errno: number): BerthError {
  const { encoded, child, process } = failed;
  const step = encoded.steps[number];
  if (step?.kind === "call" && MOUNT_CALLS.has(step.call)) {
    const log = readMountLog(child.pidfd, child.pid);
    if (log.length > 0) {
      const hint = step.hints?.[errno] ?? step.hints?.[0];
      const said = `the kernel says: ${log.join("; ")}`;
      return stepError(step, errno, { hint: hint === undefined ? said : `${hint}; ${said}` });
    }
  }
  if (step?.path === "process.capabilities" && errno === EPERM && process !== undefined) {
    const lacking = lackingCapabilities(process);
    if (lacking.length > 0) {
      return stepError(step, errno, {
        hint: `berth can only give what it has, and has no ${lacking.join(", ")}`,
      });
    }
  }
  if (step?.phase === "start" && step.path.startsWith("process.args") && process !== undefined) {
    const hint = execHint(child.pid, process, errno);
    if (hint !== undefined) return stepError(step, errno, { hint });
  }
  return stepError(step, errno);
}

/** Why `process` cannot be executed in the root of `pid`, which waits. */
export function execHint(pid: number, process: Process, errno: number): string | undefined {
  const root = tryOpen(`/proc/${pid}/root`, O_PATH | O_DIRECTORY);
  if (root < 0) return undefined;
  const { candidates, path } = planExecutable(process);
  return withDescriptor(root, (fd) => explainExecFailure(fd, process.cwd, candidates, path, errno));
}
