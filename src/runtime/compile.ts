import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  PR_SET_PDEATHSIG,
  PROC_ROOT_INO,
  PROC_SUPER_MAGIC,
  SIGKILL,
  SOCK_CLOEXEC,
} from "../linux/constants.ts";
import { ECONNRESET, ENOTDIR } from "../linux/errno.ts";
import { mappedId } from "../namespaces/id-maps.ts";
import { kernelSteps } from "../namespaces/kernel.ts";
import { isExposed, type NamespacePlan, planNamespaces } from "../namespaces/namespaces.ts";
import { namespaceSteps } from "../namespaces/steps.ts";
import { ALL32, addressOf, label, mark, serving, slot } from "../plan/build.ts";
import { createRequests, type Descriptors, descriptors, type Request } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import { becomeSteps } from "../process/become.ts";
import { makeCwdSteps } from "../process/cwd.ts";
import { execSteps, homeSteps, lacksHome, planExecutable } from "../process/exec.ts";
import { prioritySteps } from "../process/scheduling.ts";
import type { FilterSteps, SeccompFilter } from "../process/seccomp/load.ts";
import { keyringSteps, personalitySteps, secludeSteps, sessionStep } from "../process/session.ts";
import { nullSteps, type Stdio } from "../process/stdio.ts";
import { terminalSteps } from "../process/terminal.ts";
import type { CgroupOfV1 } from "../rootfs/cgroup-v1-mount.ts";
import { mountSteps, pathSteps, pivotSteps, type RootfsContext } from "../rootfs/rootfs.ts";
import type { Spec } from "../spec/config.ts";
import type { specialSteps } from "./special.ts";

/** What a Plan depends on beside config.json. */
export interface CompileContext {
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  /** Absolute, on the host. */
  readonly rootfs: string;
  readonly noPivot: boolean;
  readonly noNewKeyring: boolean;
  /** How many descriptors beyond stdio the container inherits. */
  readonly preserveFds: number;
  readonly stdio: readonly Stdio[];
  /** Whether berth has CAP_MKNOD, and so a container without a user namespace of its own. */
  readonly mayMakeDevices: boolean;
  /** Whether berth has CAP_SYS_PTRACE, and so reaches an init that is closed to others. */
  readonly mayTrace: boolean;
  /** The highest capability that the kernel knows. */
  readonly lastCapability: number;
  /** Berth itself is in a user namespace, as Podman makes one for users: its containers are too, whatever config.json says. */
  readonly inUserNamespace?: boolean;
  readonly cgroup: { readonly mount: string; readonly path: string } | null;
  /** The caller is not root: over a process whose user is another it has no rights, and init sets its own priorities. */
  readonly ownPriority?: boolean;
  /** The container's cgroups of v1, on a host that has controllers there. */
  readonly cgroupsOfV1?: readonly CgroupOfV1[] | undefined;
  /** Makes the steps of what few containers ask for; undefined: this one asks for none of it. */
  readonly special?: typeof specialSteps | undefined;
  /** Of linux.seccomp. */
  readonly seccomp: SeccompFilter | undefined;
}

/** The Plan of a container: what its init does, and what the runtime must know to serve it. */
export interface ContainerPlan {
  readonly namespaces: NamespacePlan;
  readonly descriptors: Descriptors;
  readonly init: readonly Step[];
  readonly requests: readonly Request[];
  /** How it loads its seccomp filter, if it has one. */
  readonly filter: FilterSteps | undefined;
}

/**
 * Compiles config.json to the Plan of the container's init. Pure: it looks at nothing but its arguments.
 * @throws BerthError when config.json asks for what cannot be
 */
export function compile(spec: Spec, context: CompileContext): ContainerPlan {
  const namespaces = planNamespaces(spec.linux.namespaces);
  const fds = descriptors(context.preserveFds);
  const requests = createRequests(fds.sync);
  const userNamespace = namespaces.has.has("user");
  const inUserNamespace = userNamespace || context.inUserNamespace === true;
  const rootfs: RootfsContext = {
    bundle: context.bundle,
    rootfs: context.rootfs,
    noPivot: context.noPivot,
    userNamespace: inUserNamespace,
    cgroupNamespace: namespaces.has.has("cgroup"),
    mayMakeDevices: context.mayMakeDevices && !inUserNamespace,
    networkNamespace: namespaces.has.has("network"),
    cgroup: context.cgroup,
    cgroupsOfV1: context.cgroupsOfV1,
    mountLabel: spec.linux.mountLabel,
    descriptors: fds,
    requests,
  };
  const { process, hooks = {} } = spec;
  const hooksAfterMounts = [hooks.prestart, hooks.createRuntime, hooks.createContainer].some(
    (list) => list !== undefined && list.length > 0,
  );
  const special = context.special?.(spec, fds, requests);
  const filter = process === undefined ? undefined : context.seccomp?.steps(fds);
  const init: Step[] = [
    ...beginSteps(fds),
    ...namespaceSteps(spec.linux, namespaces, fds, requests),
    // Only now, for a process that is closed may not write its own /proc/self/timens_offsets.
    ...secludeSteps(!namespaces.created.has("pid") && isExposed(namespaces, context.mayTrace)),
    sessionStep(),
    ...(special === undefined || context.noNewKeyring ? [] : special.beforeKeyring),
    ...(context.noNewKeyring ? [] : keyringSteps(context.id, userNamespace)),
    ...(special?.beforeMounts ?? []),
    ...mountSteps(spec, rootfs),
    ...(hooksAfterMounts ? requests.ask(serving("hooks", "hooks"), { kind: "mounted" }) : []),
    ...pivotSteps(spec, rootfs),
    ...(process?.terminal === true ? terminalSteps(process, fds, requests) : []),
    ...(process === undefined ? [] : makeCwdSteps(process.cwd, fds, requests)),
    ...kernelSteps(spec, fds),
    ...pathSteps(spec, rootfs),
    ...(process?.terminal === true ? [] : nullSteps(context.stdio, fds)),
    ...personalitySteps(spec.linux.personality),
    ...(special?.beforeUser ?? []),
  ];
  if (process !== undefined) {
    const executable = planExecutable(process);
    const uid = process.user?.uid ?? 0;
    const home = lacksHome(executable) ? homeSteps(uid, requests) : undefined;
    init.push(
      ...(home?.steps ?? []),
      ...(context.ownPriority === true ? prioritySteps(process, 0) : []),
      ...becomeSteps(process, executable, {
        stdio: context.stdio,
        userNamespace,
        hostUid: mappedId(uid, spec.linux.uidMappings) ?? uid,
        filtered: filter !== undefined,
        lastCapability: context.lastCapability,
        requests,
      }),
      ...startSteps(fds, createReady(fds, requests, filter)),
      ...(filter?.last ?? []),
      ...execSteps(executable, home?.home),
    );
  } else {
    init.push(...startSteps(fds, createReady(fds, requests, undefined)));
  }
  return { namespaces, descriptors: fds, init, requests: requests.list, filter };
}

const STAT_SIZE = 144;

/** The first steps: nothing outlives the runtime, nothing leaks into what is executed later, /proc is what it seems. */
function beginSteps(fds: Descriptors): Step[] {
  const { call, when, fail } = serving("namespaces", "");
  const proc = slot("/proc");
  const status = slot("/proc status", 120);
  const genuine = label("/proc is procfs");
  const root = slot("/proc inode", STAT_SIZE);
  const whole = label("/proc is the root of it");
  return [
    call("close_range", [fds.sync, ALL32, CLOSE_RANGE_CLOEXEC]),
    call("prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]),
    call("umask", [0]),
    call("openat", [AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0], { store: proc }),
    call("fstatfs", [proc, addressOf(status)]),
    when({ slot: status, mask: ALL32, value: PROC_SUPER_MAGIC }, genuine),
    fail(ENOTDIR, "/proc is not a procfs"),
    mark(genuine),
    // Not a part of it that somebody mounted there: its root is inode 1.
    call("newfstatat", [proc, "", addressOf(root), AT_EMPTY_PATH]),
    when({ slot: root, offset: 8, mask: ALL32, value: PROC_ROOT_INO }, whole),
    fail(ENOTDIR, "/proc is not the root of a procfs"),
    mark(whole),
    call("dup3", [proc, fds.proc, O_CLOEXEC]),
    call("close", [proc]),
  ];
}

function createReady(
  fds: Descriptors,
  requests: ReturnType<typeof createRequests>,
  filter: FilterSteps | undefined,
): Step[] {
  const at = serving("start", "");
  return [
    // What is left of the host: nobody may reach it through this process while it waits.
    at.call("close_range", [fds.listen + 1, ALL32, 0]),
    at.call("prctl", [PR_SET_PDEATHSIG, 0, 0, 0, 0]),
    ...(filter?.before ?? []),
    ...requests.ask(at, { kind: "ready" }),
  ];
}

/** Waits for `start`, and from then on reports to it. */
function startSteps(fds: Descriptors, ready: Step[]): Step[] {
  const { call, when, fail } = serving("start", "");
  const connection = slot("connection");
  const go = slot("go");
  const got = slot("got");
  const started = label("started");
  return [
    ...ready,
    call("accept4", [fds.listen, 0, 0, SOCK_CLOEXEC], { store: connection }),
    call("dup3", [connection, fds.sync, O_CLOEXEC]),
    call("close_range", [fds.sync + 1, ALL32, 0]),
    call("read", [fds.sync, addressOf(go), 1], { store: got }),
    when({ slot: got, mask: ALL32, value: 1 }, started),
    fail(ECONNRESET, "wait for start"),
    mark(started),
  ];
}
