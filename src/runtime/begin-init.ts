import { restrictCgroup } from "../cgroups/cgroup.ts";
import { joinV1 } from "../cgroups/v1/join.ts";
import { CAP_SYS_PTRACE } from "../linux/constants.ts";
import type { Scope } from "../linux/file.ts";
import { hasCapability, processStat } from "../linux/process.ts";
import { listenAt, pathThrough, socketPair } from "../linux/socket.ts";
import {
  beginSpawn,
  emptyMemfd,
  hideExecutor,
  openExecutor,
  type Spawned,
  type Starting,
} from "../linux/spawn.ts";
import {
  isExposed,
  type NamespacePlan,
  openNamespaces,
  planNamespaces,
  userNamespaceFirst,
} from "../namespaces/namespaces.ts";
import { refuseOwnSettings } from "../namespaces/own.ts";
import { descriptors } from "../plan/protocol.ts";
import { START_SOCKET_CREATING, writeRecord } from "../state/store.ts";
import type { UnitRoom } from "../systemd/room.ts";
import type { CompileContext } from "./compile.ts";
import { compileContext } from "./context.ts";
import { performOn, stepsBeforeExecution } from "./init-actions.ts";
import type { Making } from "./making.ts";
import { releaseNew } from "./serve.ts";

/** An init that is being started. */
export interface Beginning {
  readonly starting: Starting;
  /** The runtime's end of the socket pair. */
  readonly sync: number;
  /** To be filled with the Plan. */
  readonly planFd: number;
  readonly context: CompileContext;
}

/** Begins to start init in its namespaces and cgroup. */
export function beginInit(making: Making, scope: Scope): Beginning {
  const { options, bundle, record } = making;
  const namespaces = planNamespaces(bundle.spec.linux.namespaces);
  const fds = descriptors(options.preserveFds);
  const [sync, syncOfInit] = socketPair().map(scope.keep) as [number, number];
  const planFd = scope.keep(emptyMemfd("berth-plan"));
  const listen = scope.keep(listenAt(pathThrough(making.directory.fd, START_SOCKET_CREATING)));
  const joined = openNamespaces(namespaces.joined);
  for (const { fd } of joined) scope.keep(fd);
  if (joined.length > 0) refuseOwnSettings(bundle.spec, joined);
  const time = joined.find((entry) => entry.joined.type === "time");
  const executor = scope.keep(openExecutor());
  bundle.user?.takeScore(bundle.spec.process?.oomScoreAdj, options.warn);
  const starting = beginSpawn({
    create: namespaces.cloneFlags,
    joins: (bundle.user === undefined ? joined : userNamespaceFirst(joined)).filter(
      (entry) => entry !== time,
    ),
    cgroup: making.cgroup?.directory,
    waits: namespaces.created.has("user"),
    becomeRoot: namespaces.has.has("user"),
    staysOpen: bundle.user !== undefined && namespaces.created.has("user"),
    executor: isExposed(namespaces, hasCapability(CAP_SYS_PTRACE)) ? hideExecutor(executor) : executor,
    argv: ["berth-init", String(fds.sync), String(fds.plan)],
    descriptors: [
      { from: syncOfInit, to: fds.sync },
      { from: planFd, to: fds.plan },
      { from: listen, to: fds.listen },
      ...(time === undefined ? [] : [{ from: time.fd, to: fds.time }]),
    ],
    closeFrom: fds.temporary,
  });
  scope.drop(syncOfInit);
  const context = compileContext(options, bundle, {
    rootfs: record.rootfs,
    cgroup: record.cgroup,
    cgroupsOfV1: making.v1?.show(record.v1 ?? []),
    special: making.special?.steps,
    seccomp: making.seccomp,
  });
  return { starting, sync, planFd, context };
}

/** Does something while init is being started; if it fails, init is there to be taken back. */
export function orFinish<T>(making: Making, starting: Starting, act: () => T): T {
  try {
    return act();
  } catch (error) {
    making.child = starting.finish();
    throw error;
  }
}

/** Waits until init is there, and gives it what it needs to begin. */
export function finishInit(
  making: Making,
  starting: Starting,
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
