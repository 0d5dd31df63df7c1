import { BerthError, hasCode } from "../errors.ts";
import { CLONE_NEWTIME, CLONE_NEWUSER, POLLIN, SIGKILL } from "../linux/constants.ts";
import { readText, type Scope, scopedAsync, writeAtomically } from "../linux/file.ts";
import { type Exit, poll, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import { sendDescriptor, socketPair } from "../linux/socket.ts";
import {
  beginSpawn,
  emptyMemfd,
  hideExecutor,
  openExecutor,
  type Spawned,
  type SpawnRequest,
  type Starting,
  seal,
  spawn,
} from "../linux/spawn.ts";
import { copyWindowSize } from "../linux/terminal.ts";
import { type Encoded, encode } from "../plan/encode.ts";
import { type Descriptors, descriptors } from "../plan/protocol.ts";
import { type Executable, HOME_SIZE, lacksHome, planExecutable } from "../process/exec.ts";
import { homeEntry, readContainerFile } from "../process/home.ts";
import { callerLimit } from "../process/limits.ts";
import { inspectStdio } from "../process/stdio.ts";
import type { Process } from "../spec/process.ts";
import { refuseUnsupported } from "../spec/refused.ts";
import type { ContainerRecord } from "../state/store.ts";
import { preserve } from "./caller.ts";
import { type ConsoleReceiver, checkTerminal, connectConsole, connectTo } from "./console.ts";
import {
  type Container,
  explains,
  findContainer,
  openCgroupOfInit,
  openPlace,
  type Place,
  patienceFor,
  stopped,
} from "./exec-container.ts";
import { compileExec, type ExecPlan } from "./exec-plan.ts";
import { type Command, processOfCommand, processOfFile } from "./exec-process.ts";
import { type FailedStep, serveUntilExecuted } from "./exec-serve.ts";
import { awaitProcess, passSignalsOn } from "./foreground.ts";
import { performOn, stepsBeforeStart } from "./init-actions.ts";
import { release } from "./release.ts";

/** What `exec` is asked for. */
export interface ExecOptions {
  /** The directory of all containers' states. */
  readonly root: string;
  readonly id: string;
  /** The process: by a process.json, or by arguments. */
  readonly process: { readonly file: string } | Command;
  readonly detach: boolean;
  readonly pidFile: string | undefined;
  readonly consoleSocket: string | undefined;
  readonly pidfdSocket: string | undefined;
  /** How many descriptors beyond stdio the process inherits. */
  readonly preserveFds: number;
  /** What `--cgroup` says, each time that it is given. */
  readonly cgroup: readonly string[];
  readonly ignorePaused: boolean;
  readonly warn: (message: string) => void;
}

const STDIN = 0;

/**
 * Starts another process in a container, and waits for its end unless it is detached.
 * @returns its exit status, 128 + n when signal n ended it; 0 at once when detached
 * @throws BerthError when it cannot be executed; nothing of it is left then
 */
export async function exec(options: ExecOptions): Promise<number> {
  const container = findContainer(options.root, options.id, options.ignorePaused);
  const given = options.process;
  const file = "file" in given ? await readProcess(given.file, options.warn) : undefined;
  return scopedAsync(async (scope) => {
    const place = openPlace(container, options.cgroup, scope);
    const read = (path: string) => readContainerFile(place.root, path);
    const process =
      "file" in given
        ? processOfFile(file ?? { cwd: "/" }, container.spec)
        : processOfCommand(given, container.spec, read);
    const joining = prepare(options, container, place, process, scope);
    const child = await start(joining, scope);
    if (options.detach) return 0;
    const { pid, pidfd } = child;
    const { master } = joining.terminal;
    return awaitProcess({ pid, pidfd, master, reap: false, afterwards: undefined });
  });
}

async function readProcess(file: string, warn: (message: string) => void): Promise<Process> {
  // Loaded for this only: what checks a process is large.
  const { parseProcess } = await import("../spec/parse.ts");
  const { process, warnings } = await parseProcess(readText(file), file);
  for (const warning of warnings) warn(warning);
  return process;
}

/** A process that is to join a container, with all that can be found wrong before anything is made. */
interface Joining {
  readonly options: ExecOptions;
  readonly container: Container;
  readonly place: Place;
  readonly process: Process;
  readonly executable: Executable;
  readonly fds: Descriptors;
  readonly console: ConsoleReceiver | undefined;
  readonly pidfdReceiver: number | undefined;
  /** Of its terminal, when berth itself serves it. */
  readonly terminal: { master: number | undefined };
}

function prepare(
  options: ExecOptions,
  container: Container,
  place: Place,
  process: Process,
  scope: Scope,
): Joining {
  const { detach, consoleSocket, pidfdSocket, preserveFds } = options;
  refuseUnsupported({ ociVersion: "", root: { path: "" }, linux: { namespaces: [] }, process });
  const executable = withHome(planExecutable(process), process, place.root);
  checkTerminal(process, consoleSocket, !detach);
  preserve(preserveFds);
  const terminal: Joining["terminal"] = { master: undefined };
  const foreground = (master: number) => {
    terminal.master = master;
    // Before the program runs: its first look at the size is the right one.
    copyWindowSize(STDIN, master);
  };
  return {
    options,
    container,
    place,
    process,
    executable,
    fds: descriptors(preserveFds),
    console: detach ? connectConsole(consoleSocket, scope) : foreground,
    pidfdReceiver:
      pidfdSocket === undefined ? undefined : scope.keep(connectTo("--pidfd-socket", pidfdSocket)),
    terminal,
  };
}

/** With HOME from the container's /etc/passwd, if the environment gives none. */
function withHome(executable: Executable, { user }: Process, root: number): Executable {
  if (!lacksHome(executable)) return executable;
  const env = executable.env.filter((entry) => !entry.startsWith("HOME="));
  return { ...executable, env: [...env, homeEntry(root, user?.uid ?? 0, HOME_SIZE)] };
}

/** Starts the process, and returns once it has executed. */
async function start(joining: Joining, scope: Scope): Promise<Spawned> {
  const { container } = joining;
  const [sync, syncOfChild] = socketPair().map(scope.keep) as [number, number];
  const planFd = scope.keep(emptyMemfd("berth-plan"));
  const request = spawnRequest(joining, syncOfChild, planFd, scope);
  // The kernel joins the namespaces while the Plan is compiled.
  const starting = beginSpawn(request);
  const { plan, encoded } = orFinish(starting, () => compilePlan(joining, planFd));
  const child = finish(joining, request, starting, scope);
  scope.keep(child.pidfd);
  scope.drop(syncOfChild);
  try {
    const failed = execute(joining, plan, child, sync);
    if (failed !== undefined) throw await describe(joining, encoded, child, failed);
  } catch (error) {
    const [ended] = poll([{ fd: child.pidfd, events: POLLIN }], patienceFor(error));
    const exit = end(child);
    throw ended === 0 ? error : endedEarly(container.record, exit, error);
  }
  try {
    announce(joining, child);
  } catch (error) {
    end(child);
    throw error;
  }
  return child;
}

/** The error for a process that ended before it executed, whatever it was that berth could not do with it then. */
function endedEarly(record: ContainerRecord, exit: Exit, cause: unknown): BerthError {
  // A container that ends takes its processes with it.
  if (explains(record, cause)) return stopped(record.id);
  const how = exit.kind === "signaled" ? `was killed by signal ${exit.signal}` : `ended with ${exit.status}`;
  return new BerthError("ended-early", `the process ${how} while it was set up`, {
    hint: "somebody killed it, or the memory limit is too low: look for oom_kill in memory.events of its cgroup",
    cause,
  });
}

function spawnRequest({ place, fds }: Joining, sync: number, planFd: number, scope: Scope): SpawnRequest {
  const { pidfd, namespaces } = place;
  const type = namespaces & ~CLONE_NEWTIME;
  return {
    create: 0,
    joins: type === 0 ? [] : [{ fd: pidfd, type, subject: "the container's namespaces" }],
    cgroup: place.cgroup,
    waits: false,
    becomeRoot: (namespaces & CLONE_NEWUSER) !== 0,
    executor: scope.keep(hideExecutor(openExecutor())),
    argv: ["berth-exec", String(fds.sync), String(fds.plan)],
    descriptors: [
      { from: sync, to: fds.sync },
      { from: planFd, to: fds.plan },
      { from: place.root, to: fds.rootfs },
      ...((namespaces & CLONE_NEWTIME) === 0 ? [] : [{ from: pidfd, to: fds.time }]),
    ],
    closeFrom: fds.temporary,
  };
}

/** Compiles the Plan while the process is being started; if that fails, the process is there to be ended. */
function orFinish<T>(starting: Starting, act: () => T): T {
  try {
    return act();
  } catch (error) {
    end(starting.finish());
    throw error;
  }
}

function compilePlan(
  { options, container, place, process, executable, fds }: Joining,
  planFd: number,
): { plan: ExecPlan; encoded: Encoded } {
  const plan = compileExec(container.spec, process, executable, {
    id: options.id,
    namespaces: place.namespaces,
    ownKeyring: container.record.ownKeyring,
    stdio: inspectStdio(),
    callerLimit: callerLimit(),
    descriptors: fds,
  });
  const encoded = encode(plan.steps, fds.sync);
  seal(planFd, "berth-plan", encoded.bytes);
  return { plan, encoded };
}

/** Waits until the process is there. */
function finish(
  { options, container }: Joining,
  request: SpawnRequest,
  starting: Starting,
  scope: Scope,
): Spawned {
  try {
    return starting.finish();
  } catch (error) {
    if (explains(container.record, error)) throw stopped(options.id);
    if (!hasCode(error, "EBUSY") || options.cgroup.length > 0) throw error;
    const cgroup = openCgroupOfInit(container.record);
    if (cgroup === undefined) throw error;
    return spawn({ ...request, cgroup: scope.keep(cgroup) });
  }
}

/** Lets the process go on, and serves it until it has executed. */
function execute(
  { options, container, process, console }: Joining,
  { requests }: ExecPlan,
  child: Spawned,
  sync: number,
): FailedStep | undefined {
  performOn(child.pid, stepsBeforeStart({ ...container.spec, process }));
  // Before the program can run: a signal that ended berth now would leave it behind.
  if (!options.detach) passSignalsOn(child.pidfd);
  release(sync);
  return serveUntilExecuted({ process, requests, child, sync, console });
}

async function describe(
  { process }: Joining,
  encoded: Encoded,
  child: Spawned,
  { step, errno }: FailedStep,
): Promise<BerthError> {
  const { describeFailure } = await import("./failure.ts");
  return describeFailure({ encoded, child, process }, step, errno);
}

/** Tells the caller which process it is. */
function announce({ options, pidfdReceiver }: Joining, child: Spawned): void {
  if (pidfdReceiver !== undefined) sendDescriptor(pidfdReceiver, child.pidfd, "setns");
  if (options.pidFile !== undefined) writeAtomically(options.pidFile, String(child.pid), 0o666);
}

/** Ends the process, if it has not ended by itself. */
function end({ pidfd }: Spawned): Exit {
  tryPidfdSignal(pidfd, SIGKILL);
  return waitPidfd(pidfd);
}
