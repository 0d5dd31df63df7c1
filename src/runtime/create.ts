import { locateCgroup, prepareCgroup } from "../cgroups/cgroup.ts";
import { loadLimitsFor } from "../cgroups/limits/load.ts";
import { loadV1 } from "../cgroups/v1/load.ts";
import { absolute } from "../linux/directory.ts";
import { rename, type Scope, scoped, writeAtomically } from "../linux/file.ts";
import { environment, syscall } from "../linux/native.ts";
import { sendDescriptor } from "../linux/socket.ts";
import { type Spawned, seal } from "../linux/spawn.ts";
import { type Encoded, encode } from "../plan/encode.ts";
import { loadSeccomp, type SeccompFilter } from "../process/seccomp/load.ts";
import type { Spec } from "../spec/config.ts";
import { asksForIdMaps } from "../spec/mount-id-map.ts";
import { asksForSpecial } from "../spec/special.ts";
import {
  type ContainerRecord,
  checkId,
  closeState,
  type FilterRecord,
  reserve,
  START_SOCKET,
  START_SOCKET_CREATING,
  type StateDirectory,
  writeConfig,
  writeRecord,
} from "../state/store.ts";
import type { UnitRoom } from "../systemd/room.ts";
import { beginInit, finishInit, orFinish } from "./begin-init.ts";
import { type Bundle, forCaller, locateRootfs, readBundle } from "./bundle.ts";
import { isService, preserve } from "./caller.ts";
import { type ContainerPlan, compile } from "./compile.ts";
import { type ConsoleReceiver, checkTerminal, connectConsole, connectTo } from "./console.ts";
import { performOn, stepsBeforeStart } from "./init-actions.ts";
import { type Making, newRecord, takeBack } from "./making.ts";
import { release } from "./release.ts";
import { serveUntilReady } from "./serve.ts";
import type { Service } from "./service.ts";

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
    ...(v1 === undefined || cgroup === null ? {} : { v1: v1.places }),
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
  return (await import("./service.ts")).asService(bundle, options, environment, syscall("getpid"));
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
