import { locateCgroup, prepareCgroup } from "../cgroups/cgroup.ts";
import { refuseUsed } from "../cgroups/create.ts";
import { loadLimitsFor } from "../cgroups/limits/load.ts";
import { loadV1 } from "../cgroups/v1/load.ts";
import { absolute } from "../linux/directory.ts";
import { rename, writeAtomically } from "../linux/file.ts";
import { environment, syscall } from "../linux/native.ts";
import { type Scope, scoped } from "../linux/scope.ts";
import { sendDescriptor } from "../linux/socket.ts";
import type { Spawned } from "../linux/spawn.ts";
import { loadSeccomp } from "../process/seccomp/load.ts";
import type { Spec } from "../spec/config.ts";
import { asksForIdMaps } from "../spec/mount-id-map.ts";
import { asksForSpecial } from "../spec/special.ts";
import {
  type ContainerRecord,
  checkId,
  closeState,
  reserve,
  START_SOCKET,
  START_SOCKET_CREATING,
  type StateDirectory,
  writeRecord,
} from "../state/store.ts";
import type { UnitRoom } from "../systemd/room.ts";
import { beginInit } from "./begin-init.ts";
import { type Bundle, forCaller, locateRootfs, readBundle } from "./bundle.ts";
import { isService, preserve } from "./caller.ts";
import { type ConsoleReceiver, checkTerminal, connectConsole, connectTo } from "./console.ts";
import { type Making, newRecord } from "./making.ts";
import { release } from "./release.ts";
import type { Service } from "./service.ts";
import { setUp } from "./set-up.ts";

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
    (await import("./take-back.ts")).takeBack(making);
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
  const console = foreground ?? connectConsole(options.consoleSocket, scope);
  const pidfdReceiver =
    options.pidfdSocket === undefined
      ? undefined
      : scope.keep(connectTo("--pidfd-socket", options.pidfdSocket));
  if (making.unit !== undefined) making.unit.refuseTaken();
  else if (making.record.cgroup !== null) refuseUsed(making.record.cgroup);
  // Before anything is made outside of the state directory: a create that is killed leaves enough for `delete --force`.
  writeRecord(directory, making.record);
  makeCgroup(making);

  const beginning = beginInit(making, scope);
  const child = setUp(making, beginning, console);
  if (pidfdReceiver !== undefined) sendDescriptor(pidfdReceiver, child.pidfd, "standard");
  if (options.pidFile !== undefined) writeAtomically(absolute(options.pidFile), String(child.pid), 0o666);
  rename(START_SOCKET_CREATING, START_SOCKET, directory.fd);
  release(beginning.sync);
  return { directory, record: making.record, spec: bundle.spec, child };
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
