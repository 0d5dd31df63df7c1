import { locateCgroup, prepareCgroup, restrictCgroup } from "../cgroups/cgroup.ts";
import { type Cgroup, undoCgroup } from "../cgroups/create.ts";
import type { Limits } from "../cgroups/limits/limit.ts";
import { loadLimitsFor } from "../cgroups/limits/load.ts";
import { joinV1 } from "../cgroups/v1/join.ts";
import { loadV1, type MadeV1, type V1Room } from "../cgroups/v1/load.ts";
import { undoV1 } from "../cgroups/v1/remove.ts";
import { messageOf } from "../errors.ts";
import { runPoststopHooks } from "../hooks/run.ts";
import { CAP_SYS_PTRACE, SIGKILL } from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { rename, type Scope, scoped, writeAtomically } from "../linux/file.ts";
import { syscall } from "../linux/native.ts";
import { effectiveIds, hasCapability, processStat, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import { listenAt, pathThrough, sendDescriptor, socketPair } from "../linux/socket.ts";
import {
  beginSpawn,
  emptyMemfd,
  hideExecutor,
  openExecutor,
  type Spawned,
  type Starting,
  seal,
} from "../linux/spawn.ts";
import {
  isExposed,
  type NamespacePlan,
  openNamespaces,
  planNamespaces,
  userNamespaceFirst,
} from "../namespaces/namespaces.ts";
import { refuseOwnSettings } from "../namespaces/own.ts";
import { type Encoded, encode } from "../plan/encode.ts";
import { descriptors } from "../plan/protocol.ts";
import { loadSeccomp, type SeccompFilter } from "../process/seccomp/load.ts";
import type { Spec } from "../spec/config.ts";
import { asksForIdMaps } from "../spec/mount-id-map.ts";
import { asksForSpecial } from "../spec/special.ts";
import {
  type ContainerRecord,
  checkId,
  closeState,
  type FilterRecord,
  removeState,
  reserve,
  START_SOCKET,
  START_SOCKET_CREATING,
  type StateDirectory,
  writeConfig,
  writeRecord,
} from "../state/store.ts";
import type { UnitRoom } from "../systemd/room.ts";
import { type Bundle, forCaller, locateRootfs, readBundle } from "./bundle.ts";
import { isService, preserve } from "./caller.ts";
import { type CompileContext, type ContainerPlan, compile } from "./compile.ts";
import { type ConsoleReceiver, checkTerminal, connectConsole, connectTo } from "./console.ts";
import { compileContext } from "./context.ts";
import type { IdMappedMounts } from "./id-maps.ts";
import { performOn, stepsBeforeExecution, stepsBeforeStart } from "./init-actions.ts";
import { release } from "./release.ts";
import { releaseNew, serveUntilReady } from "./serve.ts";
import type { Service } from "./service.ts";
import type { Special } from "./special.ts";
import { hookState } from "./status.ts";

/** What `create` and `run` are asked for. */
export interface CreateOptions {
  /** The directory of all containers' states. */
  readonly root: string;
  readonly id: string;
  readonly bundle: string;
  /** Another file than the bundle's config.json. */
  readonly config?: string | undefined;
  readonly pidFile?: string | undefined;
  readonly consoleSocket?: string | undefined;
  readonly pidfdSocket?: string | undefined;
  readonly noPivot: boolean;
  readonly noNewKeyring: boolean;
  /** How many descriptors beyond stdio the container inherits. */
  readonly preserveFds: number;
  /** Who makes its cgroup; "disabled": the container stays in the caller's. */
  readonly cgroups: "cgroupfs" | "systemd" | "disabled";
  /** The caller has not the rights of the host's root: no device rules, and no cgroup where none may be made. */
  readonly rootless: boolean;
  readonly warn: (message: string) => void;
}

/** A container that waits for its start. Its state directory is open and locked. */
export interface Created {
  readonly directory: StateDirectory;
  readonly record: ContainerRecord;
  readonly spec: Spec;
  readonly child: Spawned;
}

/**
 * Creates a container: all of it but the execution of its process; runtime.md "Create". After a failure nothing is left.
 * @throws BerthError
 */
export async function create(options: CreateOptions): Promise<void> {
  const { directory } = await createContainer(options);
  closeState(directory);
}

/**
 * As {@link create}, for a caller that goes on with the container.
 * @param foreground takes the master of the container's terminal, if it has one; absent: the console socket does
 * @throws BerthError
 */
export async function createContainer(asked: CreateOptions, foreground?: ConsoleReceiver): Promise<Created> {
  const read = await forCaller(await readBundle(asked.bundle, asked.config, asked.warn), asked.warn);
  checkTerminal(read.spec.process, asked.consoleSocket, foreground !== undefined);
  const service = isService() ? await understandService(read, asked) : undefined;
  const { bundle, options } = service ?? { bundle: read, options: asked };
  preserve(options.preserveFds);
  const rootfs = locateRootfs(bundle);
  const unit = options.cgroups === "systemd" ? await understandUnit(bundle, options.id) : undefined;
  const cgroup =
    options.cgroups === "disabled"
      ? null
      : (unit?.place ?? locateCgroup(bundle.spec, options.id, options.rootless));
  const v1 = unit === undefined ? await loadV1(bundle.spec, options.id, cgroup) : undefined;
  const limits = await loadLimitsFor(bundle.spec, cgroup, v1?.controllers ?? [], options.warn);
  const special = asksForSpecial(bundle.spec)
    ? (await import("./special.ts")).prepareSpecial(bundle.spec, options.id)
    : undefined;
  const idMaps = asksForIdMaps(bundle.spec)
    ? (await import("./id-maps.ts")).prepareIdMaps(bundle, rootfs)
    : undefined;
  const seccomp = await loadSeccomp(
    bundle.spec,
    bundle.text,
    options.root,
    bundle.spec.process?.noNewPrivileges === true,
    options.warn,
  );
  const directory = reserve(options.root, options.id);
  const record = {
    ...newRecord(options, bundle, rootfs, cgroup, special?.resctrl),
    ...(v1 === undefined ? {} : { v1: v1.places }),
  };
  const making: Making = {
    options,
    bundle,
    directory,
    limits,
    v1,
    unit,
    special,
    idMaps,
    seccomp,
    record,
  };
  try {
    if (service?.notify === true) (await import("./notify.ts")).makeNotifyDirectory(directory);
    return scoped((scope) => make(making, foreground, scope));
  } catch (error) {
    takeBack(making);
    throw error;
  } finally {
    special?.close();
    idMaps?.close();
    unit?.close();
  }
}

async function understandUnit({ spec }: Bundle, id: string): Promise<UnitRoom> {
  // Before it becomes part of a unit's name.
  checkId(id);
  return (await import("../systemd/driver.ts")).planUnit(spec, id);
}

async function understandService(bundle: Bundle, options: CreateOptions): Promise<Service> {
  return (await import("./service.ts")).asService(bundle, options, process.env, syscall("getpid"));
}

/** A creation under way, and what must be taken back if it fails. */
interface Making {
  readonly options: CreateOptions;
  readonly bundle: Bundle;
  readonly directory: StateDirectory;
  readonly limits: Limits | undefined;
  readonly v1: V1Room | undefined;
  /** What systemd is to make, rather than berth. */
  readonly unit: UnitRoom | undefined;
  readonly special: Special | undefined;
  readonly idMaps: IdMappedMounts | undefined;
  readonly seccomp: SeccompFilter | undefined;
  record: ContainerRecord;
  cgroup?: Cgroup;
  v1Made?: MadeV1;
  child?: Spawned;
}

function newRecord(
  { id, noNewKeyring }: CreateOptions,
  { path, spec }: Bundle,
  rootfs: string,
  cgroup: ContainerRecord["cgroup"],
  resctrl: readonly string[] = [],
): ContainerRecord {
  return {
    ociVersion: spec.ociVersion,
    id,
    bundle: path,
    rootfs,
    created: new Date().toISOString(),
    uid: effectiveIds().uid,
    pid: 0,
    startTime: 0,
    cgroup,
    ownPidNamespace: spec.linux.namespaces.some(({ type, path: joined }) => type === "pid" && !joined),
    ownKeyring: !noNewKeyring,
    annotations: spec.annotations ?? {},
    ...(resctrl.length === 0 ? {} : { resctrl }),
  };
}

function make(making: Making, foreground: ConsoleReceiver | undefined, scope: Scope): Created {
  const { options, bundle, directory } = making;
  const { spec } = bundle;
  const console = foreground ?? connectConsole(options.consoleSocket, scope);
  const pidfdReceiver =
    options.pidfdSocket === undefined
      ? undefined
      : scope.keep(connectTo("--pidfd-socket", options.pidfdSocket));
  making.unit?.refuseTaken();
  // Before anything is made outside of the state directory: a create that is killed leaves enough for `delete --force`.
  writeRecord(directory, making.record);
  makeCgroup(making);

  // The kernel makes the namespaces while the Plan is compiled.
  const { starting, sync, planFd, context } = beginInit(making, scope);
  const { plan, encoded } = orFinish(making, starting, () => {
    writeConfig(directory, bundle.text);
    making.seccomp?.save(options.root);
    const plan = compile(spec, context);
    return { plan, encoded: encode(plan.init, plan.descriptors.sync, plan.filter?.notice) };
  });
  if (plan.filter !== undefined) {
    making.record = { ...making.record, filter: filterRecord(plan, encoded, making.seccomp) };
  }
  seal(planFd, "berth-plan", encoded.bytes);
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
  if (pidfdReceiver !== undefined) sendDescriptor(pidfdReceiver, child.pidfd, "standard");
  if (options.pidFile !== undefined) writeAtomically(absolute(options.pidFile), String(child.pid), 0o666);
  rename(START_SOCKET_CREATING, START_SOCKET, directory.fd);
  release(sync);
  return { directory, record: making.record, spec, child };
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

function makeCgroup(making: Making): void {
  const { bundle, options, record, limits, v1, unit } = making;
  // A unit can only begin with a process: see joinUnit.
  if (record.cgroup === null || unit !== undefined) return;
  const cgroup = prepareCgroup(bundle.spec, record.cgroup, { rootless: options.rootless, limits });
  if (cgroup === undefined) making.record = { ...record, cgroup: null };
  else making.cgroup = cgroup;
  if (v1 === undefined) return;
  making.v1Made = v1.make();
  making.record = { ...making.record, v1: making.v1Made.places };
}

interface Beginning {
  readonly starting: Starting;
  /** The runtime's end of the socket pair. */
  readonly sync: number;
  /** To be filled with the Plan. */
  readonly planFd: number;
  readonly context: CompileContext;
}

/** Begins to start init in its namespaces and cgroup. */
function beginInit(making: Making, scope: Scope): Beginning {
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
    cgroupsOfV1: record.v1,
    special: making.special?.steps,
    seccomp: making.seccomp,
  });
  return { starting, sync, planFd, context };
}

/** Does something while init is being started; if it fails, init is there to be taken back. */
function orFinish<T>(making: Making, starting: Starting, act: () => T): T {
  try {
    return act();
  } catch (error) {
    making.child = starting.finish();
    throw error;
  }
}

/** Waits until init is there, and gives it what it needs to begin. */
function finishInit(making: Making, starting: Starting, sync: number, namespaces: NamespacePlan): Spawned {
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

/** Undoes a failed creation: process, cgroup, state; then the poststop hooks, as after any end (runtime.md "Lifecycle"). */
function takeBack(making: Making): void {
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
