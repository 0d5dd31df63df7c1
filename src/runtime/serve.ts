import { BerthError, hasCode, isBerthError } from "../errors.ts";
import { runHooks } from "../hooks/run.ts";
import { MS_SLAVE, WNOWAIT } from "../linux/constants.ts";
import { check, EACCES, EPERM, systemError } from "../linux/errno.ts";
import { close, readSome, readTextIfThere, withDescriptor, writeAll } from "../linux/file.ts";
import { tryOpenTree, trySetPropagation } from "../linux/mount.ts";
import { pidfdGetfd, waitPidfd } from "../linux/process.ts";
import { sendDescriptor } from "../linux/socket.ts";
import type { Spawned } from "../linux/spawn.ts";
import { utf8 } from "../linux/text.ts";

import { differingNamespaces } from "../namespaces/differing.ts";
import { isMapped, mappedId } from "../namespaces/id-maps.ts";

import { slot } from "../plan/build.ts";
import type { Encoded } from "../plan/encode.ts";
import { perform } from "../plan/perform.ts";
import { MESSAGE_SIZE, REQUEST, type Request } from "../plan/protocol.ts";
import { HOME_SIZE } from "../process/exec.ts";
import { homeEntry } from "../process/home.ts";
import { rlimitSteps } from "../process/limits.ts";
import { copyUp } from "../rootfs/copy-up.ts";
import { type ContainerRoot, makePathInRoot } from "../rootfs/make-path.ts";
import type { Spec } from "../spec/config.ts";
import type { ContainerRecord } from "../state/store.ts";
import type { ContainerPlan } from "./compile.ts";
import { describeFailure } from "./failure.ts";
import type { IdMappedMounts } from "./id-maps.ts";
import { performOn, stepsForTimeOffsets } from "./init-actions.ts";
import { DONE, release } from "./release.ts";
import type { Special } from "./special.ts";
import { hookState } from "./status.ts";

/** A container in the making. */
export interface Creation {
  readonly spec: Spec;
  readonly plan: ContainerPlan;
  readonly encoded: Encoded;
  readonly record: ContainerRecord;
  readonly child: Spawned;
  /** The runtime's end of the socket pair. */
  readonly sync: number;
  /** Descriptor of the cgroup's directory. */
  readonly cgroup: number | undefined;
  /** Takes the console's master; without one, a terminal has nobody to talk to. */
  readonly console: ((master: number) => void) | undefined;
  readonly special: Pick<Special, "moveDevices"> | undefined;
  /** Of a container that has some. */
  readonly idMaps: IdMappedMounts | undefined;
}

/**
 * Serves init's requests, as plan/protocol.ts lists them, until it is ready.
 * @throws BerthError for the step of the Plan that failed, or what a request came to
 */
export function serveUntilReady(creation: Creation): void {
  for (;;) {
    const message = unlessGone(creation, () => readSome(creation.sync, MESSAGE_SIZE));
    if (message.length === 0) throw endedEarly(creation);
    const view = new DataView(message.buffer);
    const [first, second] = [view.getUint32(0, true), view.getUint32(4, true)];
    if (first !== REQUEST)
      throw describeFailure({ ...creation, process: creation.spec.process }, first, second);
    const request = creation.plan.requests[second];
    if (request === undefined || request.kind === "executing")
      throw new BerthError("protocol", `init asked for request ${second}, which its Plan has not`);
    if (request.kind === "ready") return;
    const answer = serve(creation, request);
    if (answer !== undefined) unlessGone(creation, () => writeAll(creation.sync, answer, "answer init"));
  }
}

/** Talks to init, which may be killed at any moment. @throws BerthError that says what became of it */
function unlessGone<T>(creation: Creation, talk: () => T): T {
  try {
    return talk();
  } catch (error) {
    throw hasCode(error, "EPIPE") || hasCode(error, "ECONNRESET") ? endedEarly(creation) : error;
  }
}

/** Lets a new init go on. Whether it is gone already finds out who reads from it next. */
export function releaseNew(sync: number): void {
  try {
    release(sync);
  } catch (error) {
    if (!hasCode(error, "EPIPE")) throw error;
  }
}

/** @returns the answer to init; undefined: it was sent already */
function serve(
  creation: Creation,
  request: Exclude<Request, { kind: "ready" | "executing" }>,
): Uint8Array | undefined {
  const { spec, plan, child } = creation;
  const root = <T>(use: (fd: number) => T): T =>
    withDescriptor(pidfdGetfd(child.pidfd, plan.descriptors.rootfs), use);
  switch (request.kind) {
    case "make-path":
      naming(request.of, () =>
        root((fd) => makePathInRoot(fd, request.path, request.type, containerRoot(creation))),
      );
      return DONE;
    case "open-tree":
      withDescriptor(openTree(request), (tree) =>
        unlessGone(creation, () => sendDescriptor(creation.sync, tree, "1")),
      );
      return undefined;
    case "id-map":
      withDescriptor(pidfdGetfd(child.pidfd, request.fd), (mount) =>
        creation.idMaps?.apply(request.mount, mount, request.recursive),
      );
      return DONE;
    case "copy-up":
      withDescriptor(pidfdGetfd(child.pidfd, request.from), (from) =>
        withDescriptor(pidfdGetfd(child.pidfd, request.to), (to) =>
          copyUp(from, to, containerRoot(creation)),
        ),
      );
      return DONE;
    case "mounted":
      runCreateHooks(creation);
      return DONE;
    case "limits": {
      const pid = slot("pid");
      perform(rlimitSteps(spec.process?.rlimits ?? [], pid), new Map([[pid, child.pid]]));
      return DONE;
    }
    case "home":
      return utf8(`${root((fd) => homeEntry(fd, request.uid, HOME_SIZE))}\0`);
    case "console": {
      const master = pidfdGetfd(child.pidfd, plan.descriptors.console);
      if (creation.console === undefined) close(master);
      else creation.console(master);
      return DONE;
    }
    case "offsets":
      performOn(child.pid, stepsForTimeOffsets(spec));
      return DONE;
    case "network":
      creation.special?.moveDevices(child, request.socket);
      return DONE;
  }
}

/**
 * Opens what a bind mount is to show, for an init that cannot reach it. It must not spread mounts of the container to the host:
 * unlike those of a mount namespace, copies of the runtime's own mounts stay shared with them.
 */
function openTree({ source, flags, of }: Extract<Request, { kind: "open-tree" }>): number {
  const subject = `${of}: bind source "${source}"`;
  const tree = tryOpenTree(source, flags);
  // Berth has no more rights over the host's mounts than init: what init was told holds.
  if (tree === -EPERM) {
    throw systemError(EACCES, subject, {
      hint: "the container's root user must be able to search every directory that leads to the source",
    });
  }
  check(tree, subject);
  const result = trySetPropagation(tree, MS_SLAVE);
  if (result < 0) close(tree);
  check(result, `${subject}: make it a slave of the host's mount`);
  return tree;
}

/** Adds to an error which part of config.json wanted it. */
function naming(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isBerthError(error)) throw error;
    throw new BerthError(error.code, `${path}: ${error.message}`, { hint: error.hint, cause: error });
  }
}

/** The root of the container's new user namespace. */
function containerRoot({ spec, plan }: Creation): ContainerRoot | undefined {
  if (!plan.namespaces.created.has("user")) return undefined;
  const uid = mappedId(0, spec.linux.uidMappings);
  const gid = mappedId(0, spec.linux.gidMappings);
  if (uid === undefined || gid === undefined) return undefined;
  const has = (uid: number, gid: number) =>
    isMapped(uid, spec.linux.uidMappings) && isMapped(gid, spec.linux.gidMappings);
  return { uid, gid, has };
}

function runCreateHooks({ spec, record, child, cgroup }: Creation): void {
  const hooks = spec.hooks ?? {};
  const outside = hookState(record, "creating");
  const runtime = { kind: "runtime", bundle: record.bundle } as const;
  runHooks("prestart", hooks.prestart, outside, runtime, child.pidfd);
  runHooks("createRuntime", hooks.createRuntime, outside, runtime, child.pidfd);
  const inside = hookState(record, "creating", record.ownPidNamespace ? 1 : record.pid);
  if ((hooks.createContainer ?? []).length === 0) return;
  const namespaces = differingNamespaces(child.pid);
  runHooks(
    "createContainer",
    hooks.createContainer,
    inside,
    { kind: "container", pidfd: child.pidfd, cgroup, namespaces },
    child.pidfd,
  );
}

/** Init is gone and said nothing: either it did not get to execute, or something killed it. */
function endedEarly({ child, cgroup }: Creation): BerthError {
  const failure = child.failure();
  if (failure !== undefined) return failure;
  const exit = waitPidfd(child.pidfd, WNOWAIT);
  if (exit.kind === "signaled") {
    const events = cgroup === undefined ? "" : readTextIfThere("memory.events", cgroup);
    if (/^oom_kill [1-9]/m.test(events ?? "")) {
      return new BerthError("init-killed", "the container's init was OOM-killed (memory limit too low?)");
    }
    return new BerthError(
      "init-killed",
      `the container's init was killed by signal ${exit.signal} while it was set up`,
      { hint: "somebody killed it, or the host is out of memory: the kernel's log tells" },
    );
  }
  return new BerthError(
    "init-ended",
    `the container's init ended with status ${exit.status} while it was set up`,
  );
}
