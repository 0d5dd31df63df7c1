import type { Spec } from "./config.ts";
import type { Process } from "./process.ts";

/** Whether a config.json asks for what only few do, so that its room must be loaded (runtime/special.ts). */
export function asksForSpecial({ process, linux }: Spec): boolean {
  if (linux.memoryPolicy !== undefined || linux.intelRdt !== undefined || isSet(linux.mountLabel))
    return true;
  for (const _ in linux.netDevices) return true;
  return process !== undefined && hasLabel(process);
}

/** The same, of a process that joins a container (runtime/exec-special.ts). */
export function asksForSpecialExec(process: Process): boolean {
  const { initial, final } = process.execCPUAffinity ?? {};
  return hasLabel(process) || isSet(initial) || isSet(final);
}

function hasLabel({ apparmorProfile, selinuxLabel }: Process): boolean {
  return isSet(apparmorProfile) || isSet(selinuxLabel);
}

/** Engines write "" for a label that is not set. */
function isSet(label: string | undefined): boolean {
  return label !== undefined && label !== "";
}
