import { BerthError } from "../errors.ts";
import { O_DIRECTORY, O_PATH, PROC_SUPER_MAGIC } from "../linux/constants.ts";
import { open } from "../linux/file.ts";
import { scoped } from "../linux/scope.ts";
import { fileSystemOf } from "../linux/status.ts";
import { type IdMaps, idMapSteps } from "../namespaces/id-maps.ts";
import type { NamespacePlan } from "../namespaces/namespaces.ts";
import { timeOffsetSteps } from "../namespaces/steps.ts";
import { slot } from "../plan/build.ts";
import { perform } from "../plan/perform.ts";
import type { Step } from "../plan/step.ts";
import { schedulingSteps } from "../process/scheduling.ts";
import type { Spec } from "../spec/config.ts";

/*
 * What the runtime does to init from outside, because only it has the right to.
 */

const pid = slot("pid");
const directory = slot("/proc/PID");

/** Before init executes: the id maps, without which it would have no capability afterwards. */
export function stepsBeforeExecution(spec: Spec, { created }: NamespacePlan): Step[] {
  return created.has("user") ? stepsForIdMaps(spec.linux) : [];
}

/** Of a process in a new user namespace: its id maps. @param path the part of config.json that has them */
export function stepsForIdMaps(maps: IdMaps, path?: string): Step[] {
  return idMapSteps(maps, directory, path);
}

/** When init asks for it: the offsets of its time namespace. */
export function stepsForTimeOffsets({ linux }: Spec): Step[] {
  return timeOffsetSteps(linux.timeOffsets ?? {}, directory);
}

/**
 * Once init is ready: oom_score_adj, scheduler, I/O priority. Not before it has executed: until then it shares its memory with
 * the runtime, and the kernel gives an oom_score_adj to all who do.
 */
export function stepsBeforeStart(spec: Spec): Step[] {
  return spec.process === undefined ? [] : schedulingSteps(spec.process, pid, directory);
}

/** Performs such steps on a process. @throws BerthError */
export function performOn(process: number, steps: readonly Step[]): void {
  if (steps.length === 0) return;
  scoped((scope) => {
    const path = `/proc/${process}`;
    const fd = scope.keep(open(path, O_PATH | O_DIRECTORY));
    // A write must not end up elsewhere: CVE-2025-52881.
    if (fileSystemOf(fd) !== PROC_SUPER_MAGIC) throw new BerthError("proc", `"${path}" is not on a procfs`);
    perform(
      steps,
      new Map([
        [pid, process],
        [directory, fd],
      ]),
    );
  });
}
