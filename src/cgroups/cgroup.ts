import { hasCode } from "../errors.ts";
import type { Step } from "../plan/step.ts";
import type { Spec } from "../spec/config.ts";
import { attachDevices, deviceSteps, replaceDevices } from "./attach.ts";
import { type Cgroup, createCgroup, creationSteps, undoCgroup } from "./create.ts";
import { compileDevices } from "./device-program.ts";
import { describePolicy, devicePolicy } from "./device-rules.ts";
import { cgroup2Mount, ownCgroup } from "./hierarchy.ts";
import { type CgroupPlace, cgroupPath } from "./path.ts";

/** What matters here about who calls. */
export interface CgroupOptions {
  /** Berth runs without the host's privileges: a container may then do without a cgroup, and has no device program. */
  readonly rootless: boolean;
}

/**
 * Which cgroup a container gets. Makes nothing: the state can be written with it before {@link prepareCgroup}, so that a
 * killed create leaves enough for `delete --force`.
 * @throws BerthError "no-cgroup2", "invalid-config"
 */
export function locateCgroup(spec: Spec, id: string): CgroupPlace {
  const path = cgroupPath(spec.linux?.cgroupsPath, id, ownCgroup);
  return { mount: cgroup2Mount(), path };
}

/**
 * Makes a container's cgroup and restricts devices in it. After a failure, nothing of it is left.
 * @returns undefined when rootless, no cgroup was asked for, and none may be made: then the container stays in the caller's
 * @throws BerthError
 */
export function prepareCgroup(
  spec: Spec,
  place: CgroupPlace,
  { rootless }: CgroupOptions,
): Cgroup | undefined {
  // Before anything is made: a mistake in the rules needs no undoing.
  const program = rootless ? undefined : compileDevices(devicePolicy(spec.linux?.resources?.devices));
  const cgroup = rootless ? createIfPermitted(spec, place) : createCgroup(place);
  if (rootless || cgroup === undefined) return cgroup;
  try {
    // One that was there may still have the program of a container before.
    if (!cgroup.made.includes(cgroup.path)) replaceDevices(cgroup.directory, program);
    else if (program !== undefined) attachDevices(cgroup.directory, program);
    return cgroup;
  } catch (error) {
    undoCgroup(cgroup);
    throw error;
  }
}

/** What {@link prepareCgroup} does, for `berth explain`. @throws BerthError "invalid-config" */
export function cgroupSteps(spec: Spec, place: CgroupPlace, { rootless }: CgroupOptions): Step[] {
  const steps = creationSteps(place);
  if (rootless) return steps;
  const policy = devicePolicy(spec.linux?.resources?.devices);
  const code = compileDevices(policy);
  return code === undefined ? steps : steps.concat(deviceSteps(code, describePolicy(policy)));
}

function createIfPermitted(spec: Spec, place: CgroupPlace): Cgroup | undefined {
  try {
    return createCgroup(place);
  } catch (error) {
    const refused = hasCode(error, "EACCES") || hasCode(error, "EPERM") || hasCode(error, "EROFS");
    if (refused && (spec.linux?.cgroupsPath ?? "") === "") return undefined;
    throw error;
  }
}
