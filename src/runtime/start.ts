import { BerthError } from "../errors.ts";
import { runHooks } from "../hooks/run.ts";
import { O_DIRECTORY, O_PATH } from "../linux/constants.ts";
import { errnoText } from "../linux/errno.ts";
import { close, open, readSome, tryUnlink, withDescriptor, writeAll } from "../linux/file.ts";
import { environment } from "../linux/native.ts";
import { openProcess } from "../linux/process.ts";
import { scoped } from "../linux/scope.ts";
import { pathThrough, tryConnect } from "../linux/socket.ts";
import { differingNamespaces } from "../namespaces/differing.ts";
import { MESSAGE_SIZE } from "../plan/protocol.ts";
import type { Spec } from "../spec/config.ts";
import { savedSpec } from "../spec/saved.ts";
import {
  type ContainerRecord,
  closeState,
  doesNotExist,
  findState,
  lock,
  readConfig,
  readRecord,
  START_SOCKET,
  type StateDirectory,
  tryToLock,
} from "../state/store.ts";
import { awaitEnd, killAll } from "./destroy.ts";
import { execHint } from "./failure.ts";
import type { FilteredStart } from "./filtered-start.ts";
import type { NotifyProxy } from "./notify.ts";
import { hookState, statusOf } from "./status.ts";

/**
 * Starts a created container: its process is executed; runtime.md "Start". Runs its startContainer and poststart hooks. As a
 * service of systemd's, waits until the container says that it is ready.
 * @throws BerthError when it is not in the state "created", or cannot be executed
 */
export async function start(root: string, id: string): Promise<void> {
  const directory = findState(root, id);
  let notify: NotifyProxy | undefined;
  let record: ContainerRecord | undefined;
  try {
    if (!tryToLock(directory)) {
      // Who holds it may be a create that waits for a hook, and that for this very call.
      record = readRecord(directory);
      if (record !== undefined) checkCreated(directory, record);
    }
    if (!lock(directory)) throw doesNotExist(id);
    record = readRecord(directory);
    checkCreated(directory, record);
    const spec = savedSpec(readConfig(directory));
    notify = await notifyProxy(directory);
    await startContainer(directory, record, spec);
  } finally {
    closeState(directory);
  }
  // Without the container's lock: it runs, and may be dealt with like any other.
  notify?.forwardUntilReady(record);
}

/** What passes on to systemd what the container says, if berth is a service of its. @throws BerthError */
export async function notifyProxy(directory: StateDirectory): Promise<NotifyProxy | undefined> {
  const address = environment.NOTIFY_SOCKET ?? "";
  if (address === "") return undefined;
  return (await import("./notify.ts")).openNotifyProxy(directory, address);
}

function checkCreated(
  directory: StateDirectory,
  record: ContainerRecord | undefined,
): asserts record is ContainerRecord {
  const status = statusOf(directory, record);
  if (status === "created") return;
  const reasons = {
    creating: "cannot start a container that is still being created",
    stopped: "cannot start a container that has stopped",
    running: "cannot start an already running container",
    paused: "cannot start a paused container",
  };
  throw new BerthError("container-status", `container "${directory.id}": ${reasons[status]}`);
}

/**
 * As {@link start}, for a container whose state directory is open and locked.
 * @throws BerthError
 */
export async function startContainer(
  directory: StateDirectory,
  record: ContainerRecord,
  spec: Spec,
): Promise<void> {
  if (spec.process === undefined) {
    throw new BerthError(
      "invalid-config",
      `container "${record.id}": its config.json has no process to start`,
    );
  }
  const pidfd = openProcess(record.pid, record.startTime);
  if (pidfd === undefined) {
    throw new BerthError(
      "container-status",
      `container "${record.id}": cannot start a container that has stopped`,
    );
  }
  try {
    runStartContainerHooks(record, spec, pidfd);
    const filtered = await filteredStart(record, spec, pidfd);
    execute(connect(directory, record), directory, record, spec, filtered);
    const place = { kind: "runtime", bundle: record.bundle } as const;
    runHooks("poststart", spec.hooks?.poststart, hookState(record, "running"), place);
  } catch (error) {
    // runtime.md "Lifecycle", steps 8 to 10. And who hears of the failure must not find init still about to exit.
    killAll(record);
    awaitEnd(record);
    throw error;
  } finally {
    close(pidfd);
  }
}

/** A connection to init, which waits for one. */
function connect(directory: StateDirectory, record: ContainerRecord): number {
  const connection = tryConnect(pathThrough(directory.fd, START_SOCKET), "seqpacket");
  if (connection >= 0) return connection;
  throw new BerthError(
    "start",
    `container "${record.id}": its init does not answer: ${errnoText(-connection)}`,
    {
      hint: `it may have been killed; "berth delete ${record.id}" removes the container`,
    },
  );
}

/** What a seccomp filter makes different; undefined without one: then nothing of it is loaded. */
async function filteredStart(
  record: ContainerRecord,
  spec: Spec,
  pidfd: number,
): Promise<FilteredStart | undefined> {
  if (record.filter === undefined) return undefined;
  const { beginFilteredStart } = await import("./filtered-start.ts");
  const state = hookState(record, "created");
  return beginFilteredStart({ pid: record.pid, pidfd, state }, record.filter, spec);
}

/** Tells init to execute, and waits until it has. */
function execute(
  connection: number,
  directory: StateDirectory,
  record: ContainerRecord,
  spec: Spec,
  filtered: FilteredStart | undefined,
): void {
  withDescriptor(connection, () => {
    // First, so that a start which is killed now leaves no container behind that runs and counts as created.
    tryUnlink(START_SOCKET, directory.fd);
    writeAll(connection, Uint8Array.of(1), "tell init to start");
    filtered?.handOver(connection);
    // Its connection closes when execve succeeds: end of file is the good news.
    let message = readSome(connection, MESSAGE_SIZE, "wait for init");
    if (message.length === 0 && filtered !== undefined) message = filtered.notice();
    if (message.length === 0) return;
    const view = new DataView(message.buffer);
    const errno = view.getUint32(4, true);
    throw filtered?.failure(view.getUint32(0, true), errno) ?? executionFailed(record, spec, errno);
  });
}

function executionFailed(record: ContainerRecord, { process }: Spec, errno: number): BerthError {
  const name = process?.args?.[0] ?? "";
  const hint = process === undefined ? undefined : execHint(record.pid, process, errno);
  return new BerthError("exec-failed", `process.args[0] "${name}": exec: ${errnoText(errno)}`, { hint });
}

function runStartContainerHooks(record: ContainerRecord, { hooks, process }: Spec, pidfd: number): void {
  const { startContainer } = hooks ?? {};
  if (startContainer === undefined || startContainer.length === 0) return;
  scoped((scope) => {
    const { cgroup } = record;
    const place = {
      kind: "container",
      pidfd,
      cgroup:
        cgroup === null ? undefined : scope.keep(open(cgroup.mount + cgroup.path, O_PATH | O_DIRECTORY)),
      namespaces: differingNamespaces(record.pid),
    } as const;
    // These hooks are part of the container: without an environment of their own they get its.
    const withEnv = startContainer.map((hook) => ({ ...hook, env: hook.env ?? process?.env ?? [] }));
    runHooks(
      "startContainer",
      withEnv,
      hookState(record, "created", record.ownPidNamespace ? 1 : record.pid),
      place,
      pidfd,
    );
  });
}
