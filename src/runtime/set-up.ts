import { restrictCgroup } from "../cgroups/cgroup.ts";
import { joinV1 } from "../cgroups/v1/join.ts";
import { processStat } from "../linux/process.ts";
import { type Spawned, seal } from "../linux/spawn.ts";
import type { NamespacePlan } from "../namespaces/namespaces.ts";
import { type Encoded, encode } from "../plan/encode.ts";
import type { SeccompFilter } from "../process/seccomp/load.ts";
import { type FilterRecord, writeConfig, writeRecord } from "../state/store.ts";
import type { UnitRoom } from "../systemd/room.ts";
import type { Beginning } from "./begin-init.ts";
import { type ContainerPlan, compile } from "./compile.ts";
import type { ConsoleReceiver } from "./console.ts";
import { compileContext } from "./context.ts";
import { performOn, stepsBeforeExecution, stepsBeforeStart } from "./init-actions.ts";
import type { Making } from "./making.ts";
import { releaseNew, serveUntilReady } from "./serve.ts";

/**
 * Makes of an init that has begun one that waits for its start: compiles its Plan, and serves it while it carries that out.
 * @returns it; in `making` it is from when it is there
 * @throws BerthError
 */
export function setUp(
  making: Making,
  { starting, sync, planFd }: Beginning,
  console: ConsoleReceiver | undefined,
): Spawned {
  const { options, bundle, directory } = making;
  const { spec } = bundle;
  const { plan, encoded } = orFinish(making, starting, () => {
    writeConfig(directory, bundle.text);
    making.seccomp?.save(options.root);
    const context = compileContext(options, bundle, {
      rootfs: making.record.rootfs,
      cgroup: making.record.cgroup,
      cgroupsOfV1: making.v1?.show(making.record.v1 ?? []),
      special: making.special?.steps,
      seccomp: making.seccomp,
    });
    const plan = compile(spec, context);
    const encoded = encode(plan.init, plan.descriptors.sync, plan.filter?.notice);
    seal(planFd, "berth-plan", encoded.bytes);
    return { plan, encoded };
  });
  if (plan.filter !== undefined) {
    making.record = { ...making.record, filter: filterRecord(plan, encoded, making.seccomp) };
  }
  const child = finishInit(making, starting, sync, plan.namespaces);

  serveUntilReady({
    spec,
    plan,
    encoded,
    record: making.record,
    child,
    sync,
    cgroup: making.cgroup?.directory,
    console,
    special: making.special,
    idMaps: making.idMaps,
  });

  if (bundle.user === undefined) performOn(child.pid, stepsBeforeStart(spec));
  else bundle.user.resetScore();
  return child;
}

/** What `start` must know of a filter. The listener's descriptor is the lowest free one: init has closed all above `sync` by then. */
function filterRecord(
  { filter, descriptors }: ContainerPlan,
  { steps }: Encoded,
  seccomp: SeccompFilter | undefined,
): FilterRecord {
  return {
    notice: descriptors.notice,
    listener: seccomp?.notifies === true ? descriptors.sync + 1 : null,
    step: filter === undefined ? -1 : steps.indexOf(filter.load),
  };
}

/** Does something while init is being started; if it fails, init is there to be taken back. */
function orFinish<T>(making: Making, starting: Beginning["starting"], act: () => T): T {
  try {
    return act();
  } catch (error) {
    making.child = starting.finish();
    throw error;
  }
}

/** Waits until init is there, and gives it what it needs to begin. */
function finishInit(
  making: Making,
  starting: Beginning["starting"],
  sync: number,
  namespaces: NamespacePlan,
): Spawned {
  const child = starting.finish();
  making.child = child;
  making.record = { ...making.record, pid: child.pid, startTime: processStat(child.pid)?.startTime ?? 0 };
  writeRecord(making.directory, making.record);
  if (making.unit !== undefined) joinUnit(making, making.unit, child.pid);
  if (making.record.v1 !== undefined) joinV1(making.record.v1, child.pid);
  if (making.bundle.user !== undefined) making.bundle.user.writeMaps(child.pid);
  else performOn(child.pid, stepsBeforeExecution(making.bundle.spec, namespaces));
  making.special?.place(child);
  // With a user namespace it waits twice: for its id maps, before it executes, and then like all others for its Plan.
  if (namespaces.created.has("user")) releaseNew(sync);
  releaseNew(sync);
  return child;
}

/** Has systemd make the unit around init, which has done nothing yet. */
function joinUnit(making: Making, unit: UnitRoom, pid: number): void {
  const { bundle, limits } = making;
  making.cgroup = unit.start(pid);
  restrictCgroup(bundle.spec, making.cgroup, { rootless: unit.place.unit.manager === "user", limits });
}
