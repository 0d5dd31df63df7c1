import { BerthError } from "../errors.ts";
import { O_DIRECTORY, O_PATH, PROC_SUPER_MAGIC } from "../linux/constants.ts";
import { open } from "../linux/file.ts";
import type { Scope } from "../linux/scope.ts";
import { fileSystemOf } from "../linux/status.ts";
import { perform } from "../plan/perform.ts";
import type { Descriptors } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import { affinitySteps } from "../process/affinity.ts";
import { checkLabels, keyLabelSteps, labelSteps } from "../process/labels.ts";
import type { Process } from "../spec/process.ts";

/*
 * What few processes ask for that join a container: labels of security modules, CPUs of their own. Loaded only then.
 */

/** What such a process needs beside what all do. */
export interface SpecialExec {
  /** A descriptor of the host's /proc, checked to be one: the child has it as `proc`. */
  readonly proc: number;
  /** In the cgroup, before anything else. */
  readonly first: readonly Step[];
  readonly beforeKeyring: readonly Step[];
  readonly beforeUser: readonly Step[];
}

/**
 * Looks whether this host has what `process` asks for, and moves berth itself, and so its child, to the first of its CPUs.
 * @throws BerthError "unsupported", or of the part that cannot be had
 */
export function prepareExec(process: Process, { proc }: Descriptors, scope: Scope): SpecialExec {
  checkLabels(process, undefined);
  const fd = scope.keep(open("/proc", O_PATH | O_DIRECTORY));
  if (fileSystemOf(fd) !== PROC_SUPER_MAGIC) throw new BerthError("proc", '"/proc" is not a procfs');
  const { initial, final } = process.execCPUAffinity ?? {};
  perform(affinitySteps("initial", initial));
  return {
    proc: fd,
    first: affinitySteps("final", final),
    beforeKeyring: keyLabelSteps(process, proc),
    beforeUser: labelSteps(process, proc),
  };
}
