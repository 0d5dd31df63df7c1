import { BerthError, hasCode, isBerthError } from "../errors.ts";
import type { Action } from "../plan/explain.ts";
import type { Step } from "../plan/step.ts";
import type { Spec } from "../spec/config.ts";
import { applyLimits } from "./apply.ts";
import { attachDevices, deviceSteps, replaceDevices } from "./attach.ts";
import { type Cgroup, createCgroup, creationSteps, undoCgroup } from "./create.ts";
import { cgroupOwner, delegate } from "./delegate.ts";
import { compileDevices } from "./device-program.ts";
import { describePolicy, devicePolicy } from "./device-rules.ts";
import { cgroup2Mount, ownCgroup } from "./hierarchy.ts";
import type { Limits, LimitWrite } from "./limits/limit.ts";
import { type CgroupPlace, cgroupPath } from "./path.ts";

/** What matters here about who calls. */
export interface CgroupOptions {
  /** Berth runs without the host's privileges: a container may then do without a cgroup, and has no device program. */
  readonly rootless: boolean;
  /** What linux.resources asks for beside its device rules, see limits/load.ts. */
  readonly limits?: Limits | undefined;
}

/**
 * Which cgroup a container gets. Makes nothing: the state can be written with it before {@link prepareCgroup}, so that a
 * killed create leaves enough for `delete --force`.
 * @throws BerthError "no-cgroup2", "invalid-config"
 */
export function locateCgroup(spec: Spec, id: string, rootless = false): CgroupPlace {
  const path = cgroupPath(spec.linux?.cgroupsPath, id, ownCgroup, rootless);
  return { mount: cgroup2Mount(), path };
}

/**
 * Makes a container's cgroup, sets its limits and restricts devices in it. After a failure, nothing of it is left.
 * @returns undefined when rootless, no cgroup was asked for, and none may be made: then the container stays in the caller's
 * @throws BerthError
 */
export function prepareCgroup(
  spec: Spec,
  place: CgroupPlace,
  { rootless, limits }: CgroupOptions,
): Cgroup | undefined {
  // Before anything is made: a mistake in the rules needs no undoing.
  const program = rootless ? undefined : compileDevices(devicePolicy(spec.linux?.resources?.devices));
  const cgroup = rootless ? createIfPermitted(spec, place, limits) : createCgroup(place);
  if (cgroup === undefined) return undefined;
  const isNew = cgroup.made.includes(cgroup.path);
  try {
    if (limits !== undefined) applyLimits(cgroup, cgroup.directory, limits, !isNew);
    if (rootless) return cgroup;
    // One that was there may still have the program of a container before.
    if (!isNew) replaceDevices(cgroup.directory, program);
    else if (program !== undefined) attachDevices(cgroup.directory, program);
    const owner = cgroupOwner(spec);
    if (owner !== undefined && (owner !== 0 || !isNew)) delegate(cgroup, owner);
    return cgroup;
  } catch (error) {
    undoCgroup(cgroup);
    throw error;
  }
}

/** What {@link prepareCgroup} does, for `berth explain`. @throws BerthError "invalid-config" */
export function cgroupSteps(
  spec: Spec,
  place: CgroupPlace,
  { rootless, limits }: CgroupOptions,
): (Step | Action)[] {
  const actions = [
    cgroupAction(
      "linux.cgroupsPath",
      "cgroup.subtree_control",
      "each cgroup on the way gives its controllers to the next",
    ),
    ...(limits?.writes ?? []).map(describeWrite),
  ];
  const steps = [...creationSteps(place), ...actions];
  if (rootless) return steps;
  const policy = devicePolicy(spec.linux?.resources?.devices);
  const code = compileDevices(policy);
  const program = code === undefined ? [] : deviceSteps(code, describePolicy(policy));
  const owner = cgroupOwner(spec);
  const given =
    owner === undefined || owner === 0
      ? []
      : [
          cgroupAction(
            "linux.cgroupsPath",
            place.path,
            `give it to user ${owner}, with the files of /sys/kernel/cgroup/delegate`,
          ),
        ];
  return [...steps, ...program, ...given];
}

/** One of the writes that limits are, for `berth explain`. */
export function describeWrite({ path, file, value, otherwise }: LimitWrite): Action {
  const or =
    otherwise === undefined ? "" : `, or "${otherwise.value}" to ${otherwise.file} where that is missing`;
  return cgroupAction(path, file, `write "${value}"${or}`);
}

/** What is done to a cgroup, for `berth explain`. */
export function cgroupAction(path: string, subject: string, what: string): Action {
  return { kind: "action", phase: "cgroup", path, subject, what };
}

function createIfPermitted(spec: Spec, place: CgroupPlace, limits: Limits | undefined): Cgroup | undefined {
  try {
    return createCgroup(place);
  } catch (error) {
    const refused = hasCode(error, "EACCES") || hasCode(error, "EPERM") || hasCode(error, "EROFS");
    if (!refused || !isBerthError(error)) throw error;
    const asked = limits !== undefined && limits.writes.length > 0;
    if (!asked && (spec.linux?.cgroupsPath ?? "") === "") return undefined;
    throw new BerthError(
      error.code,
      `rootless needs no limits + no cgrouppath when no permission is granted for cgroups: ${error.message}`,
      {
        hint: asked ? "leave linux.resources out, or have a cgroup delegated to this user" : error.hint,
        cause: error,
      },
    );
  }
}
