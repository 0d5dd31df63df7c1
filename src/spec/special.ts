import type { Spec } from "./config.ts";

/** Whether a config.json asks for what only few do, so that its room must be loaded (runtime/special.ts). */
export function asksForSpecial({ process, linux }: Spec): boolean {
  if (linux.memoryPolicy !== undefined || linux.intelRdt !== undefined || isSet(linux.mountLabel))
    return true;
  for (const _ in linux.netDevices) return true;
  return process !== undefined && (isSet(process.apparmorProfile) || isSet(process.selinuxLabel));
}

/** Engines write "" for a label that is not set. */
function isSet(label: string | undefined): boolean {
  return label !== undefined && label !== "";
}
