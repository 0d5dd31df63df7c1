import { joinV1 } from "../cgroups/v1/join.ts";
import { BerthError, hasCode } from "../errors.ts";
import { CLONE_NEWTIME, CLONE_NEWUSER, SIGKILL } from "../linux/constants.ts";
import { writeAtomically } from "../linux/file.ts";
import { awaitReadable, type Exit, lastCapability, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import type { Scope } from "../linux/scope.ts";
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
import { type Encoded, encode } from "../plan/encode.ts";
import type { Descriptors } from "../plan/protocol.ts";
import { type Executable, HOME_SIZE, lacksHome, planExecutable } from "../process/exec.ts";
import { homeEntry } from "../process/home.ts";
import type { ScoreKeeper } from "../process/own-score.ts";
import type { SeccompFilter } from "../process/seccomp/load.ts";
import { inspectStdio } from "../process/stdio.ts";
import type { Process } from "../spec/process.ts";
import type { ContainerRecord } from "../state/store.ts";
import type { Unit } from "../systemd/room.ts";
import type { ConsoleReceiver } from "./console.ts";
import {
  type Container,
  explains,
  openCgroupOfInit,
  type Place,
  patienceFor,
  stopped,
} from "./exec-container.ts";
import { compileExec, type ExecPlan } from "./exec-plan.ts";
import { type FailedStep, serveUntilExecuted } from "./exec-serve.ts";
import type { SpecialExec } from "./exec-special.ts";
import type { FilteredStart } from "./filtered-start.ts";
import { passSignalsOn } from "./foreground.ts";
import { performOn, stepsBeforeStart } from "./init-actions.ts";
import { release } from "./release.ts";
import { hookState } from "./status.ts";

/** A process that is to join a container, with all that can be found wrong before anything is made. */
export interface Joining {
  readonly detach: boolean;
  readonly pidFile: string | undefined;
  /** The caller has chosen the cgroup. */
  readonly ownCgroup: boolean;
  readonly container: Container;
  readonly place: Place;
  readonly process: Process;
  readonly fds: Descriptors;
  readonly console: ConsoleReceiver | undefined;
  readonly pidfdReceiver: number | undefined;
  /** Of a caller who is not root: how the process gets its OOM score. */
  readonly score: ScoreKeeper | undefined;
  readonly warn: (message: string) => void;
  /** What few processes need; undefined: this one needs none of it. */
  readonly special: SpecialExec | undefined;
  /** Of the container's linux.seccomp. */
  readonly seccomp: SeccompFilter | undefined;
}

/**
 * Starts a process in a container, and returns once it has executed.
 * @throws BerthError; nothing of it is left then
 */
export async function start(joining: Joining, scope: Scope): Promise<Spawned> {
  const { container } = joining;
  const [sync, syncOfChild] = socketPair().map(scope.keep) as [number, number];
  const planFd = scope.keep(emptyMemfd("berth-plan"));
  const request = spawnRequest(joining, syncOfChild, planFd, scope);
  joining.score?.takeScore(joining.process.oomScoreAdj, joining.warn);
  // The kernel joins the namespaces while the Plan is compiled.
  const starting = beginSpawn(request);
  const { plan, encoded } = orFinish(starting, () => compilePlan(joining, planFd));
  const child = await finish(joining, request, starting, scope);
  scope.keep(child.pidfd);
  scope.drop(syncOfChild);
  let failed: FailedStep | undefined;
  try {
    failed = execute(joining, plan, child, sync, await filteredExec(joining, plan, encoded, child));
  } catch (error) {
    const ended = awaitReadable(child.pidfd, patienceFor(error));
    const exit = end(child);
    throw ended ? endedEarly(container.record, exit, error) : error;
  }
  try {
    // A process whose step failed waits to be looked at, and has not ended.
    if (failed !== undefined) throw await describe(joining, encoded, child, failed);
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

function spawnRequest(
  { container, place, fds, special }: Joining,
  sync: number,
  planFd: number,
  scope: Scope,
): SpawnRequest {
  const { pidfd } = container;
  const { namespaces } = place;
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
      ...(special === undefined ? [] : [{ from: special.proc, to: fds.proc }]),
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
  { container, place, process, fds, score, special, seccomp }: Joining,
  planFd: number,
): { plan: ExecPlan; encoded: Encoded } {
  const executable = withHome(planExecutable(process), process, place.root);
  const plan = compileExec(container.spec, process, executable, {
    id: container.record.id,
    namespaces: place.namespaces,
    ownKeyring: container.record.ownKeyring,
    stdio: inspectStdio(),
    descriptors: fds,
    lastCapability: lastCapability(),
    ownPriority: score !== undefined,
    special,
    seccomp,
  });
  const encoded = encode(plan.steps, fds.sync, plan.filter?.notice);
  seal(planFd, "berth-plan", encoded.bytes);
  return { plan, encoded };
}

/** With HOME from the container's /etc/passwd, if the environment gives none. */
function withHome(executable: Executable, { user }: Process, root: number): Executable {
  if (!lacksHome(executable)) return executable;
  const env = executable.env.filter((entry) => !entry.startsWith("HOME="));
  return { ...executable, env: [...env, homeEntry(root, user?.uid ?? 0, HOME_SIZE)] };
}

/** Waits until the process is there. */
async function finish(
  { container, ownCgroup }: Joining,
  request: SpawnRequest,
  starting: Starting,
  scope: Scope,
): Promise<Spawned> {
  try {
    return starting.finish();
  } catch (error) {
    if (explains(container.record, error)) throw stopped(container.record.id);
    const { unit } = container.record.cgroup ?? {};
    if (hasCode(error, "EACCES") && !ownCgroup && unit?.manager === "user") {
      return spawnInUnit(unit, { ...request, cgroup: undefined });
    }
    if (!hasCode(error, "EBUSY") || ownCgroup) throw error;
    const cgroup = openCgroupOfInit(container.record);
    if (cgroup === undefined) throw error;
    return spawn({ ...request, cgroup: scope.keep(cgroup) });
  }
}

/** Starts the process in berth's cgroup, and has it moved to one that berth itself may not reach from there. */
async function spawnInUnit(unit: Unit, request: SpawnRequest): Promise<Spawned> {
  const child = spawn(request);
  try {
    (await import("../systemd/attach.ts")).attachToUnit(unit, child.pid);
    return child;
  } catch (error) {
    end(child);
    throw error;
  }
}

/** Lets the process go on, and serves it until it has executed. */
function execute(
  { detach, container, process, console, score }: Joining,
  { requests }: ExecPlan,
  child: Spawned,
  sync: number,
  filtered: (() => FilteredStart) | undefined,
): FailedStep | undefined {
  if (container.record.v1 !== undefined) joinV1(container.record.v1, child.pid);
  if (score === undefined) performOn(child.pid, stepsBeforeStart({ ...container.spec, process }));
  else score.resetScore();
  // Before the program can run: a signal that ended berth now would leave it behind.
  if (!detach) passSignalsOn(child.pidfd);
  release(sync);
  return serveUntilExecuted({ process, requests, child, sync, console, filtered });
}

/** What a seccomp filter makes different; undefined without one: then nothing of it is loaded. */
async function filteredExec(
  { container: { record, spec }, fds, seccomp }: Joining,
  { filter }: ExecPlan,
  { steps }: Encoded,
  { pid, pidfd }: Spawned,
): Promise<(() => FilteredStart) | undefined> {
  if (filter === undefined || seccomp === undefined) return undefined;
  const { beginFilteredStart } = await import("./filtered-start.ts");
  const listener = seccomp.notifies ? fds.sync + 1 : null;
  const known = { notice: fds.notice, listener, step: steps.indexOf(filter.load) };
  return () => beginFilteredStart({ pid, pidfd, state: hookState(record, "running") }, known, spec);
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
function announce({ pidFile, pidfdReceiver }: Joining, child: Spawned): void {
  if (pidfdReceiver !== undefined) sendDescriptor(pidfdReceiver, child.pidfd, "setns");
  if (pidFile !== undefined) writeAtomically(pidFile, String(child.pid), 0o666);
}

/** Ends the process, if it has not ended by itself. */
function end({ pidfd }: Spawned): Exit {
  tryPidfdSignal(pidfd, SIGKILL);
  return waitPidfd(pidfd);
}
