import { type BerthError, hasCode } from "../errors.ts";
import { CLOSE_RANGE_CLOEXEC, POLLIN, PR_SET_PDEATHSIG, SIGKILL } from "../linux/constants.ts";
import { ENOENT } from "../linux/errno.ts";
import { joined, readSome, writeAll } from "../linux/file.ts";
import { environment } from "../linux/native.ts";
import { pipe } from "../linux/pipe.ts";
import { type Exit, poll, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import { type Scope, scoped } from "../linux/scope.ts";
import { socketPair } from "../linux/socket.ts";
import { openExecutor, type Spawned, type SpawnRequest, sealedMemfd, spawn } from "../linux/spawn.ts";
import { fromUtf8 } from "../linux/text.ts";
import { serving, stringArray } from "./build.ts";
import { type Encoded, encode } from "./encode.ts";
import { stepError } from "./perform.ts";
import { MESSAGE_SIZE } from "./protocol.ts";
import type { Phase, Step } from "./step.ts";

// Programs that are no containers: hooks, and tools of the host's. The executor runs them, by a Plan of their own.

/** Descriptors of the program's executor, after its stdio. */
const SYNC = 3;
const PLAN = 4;

/** The Plan of a program that ends with berth and inherits nothing but stdio. `last` executes it. */
export function programSteps(phase: Phase, path: string, subject: string, last: readonly Step[]): Step[] {
  const { call } = serving(phase, path, subject);
  return [
    call("close_range", [SYNC, 0xffff_ffff, CLOSE_RANGE_CLOEXEC]),
    call("prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]),
    ...last,
  ];
}

/** A program that was started. */
export interface Program extends Spawned {
  /** Says which step of its Plan failed ({@link failureOf}), or ends when the program begins. */
  readonly sync: number;
  readonly plan: Encoded;
}

/** Where else than in berth's own namespaces and cgroup a program is to run. */
export type ProgramPlace = Pick<SpawnRequest, "joins" | "cgroup" | "becomeRoot" | "executor" | "staysOpen">;

/** Starts a program, with these descriptors as its stdio. @throws BerthError */
export function startProgram(
  name: string,
  steps: readonly Step[],
  [stdin, stdout, stderr]: readonly [number, number, number],
  scope: Scope,
  place: (scope: Scope) => ProgramPlace = berthPlace,
  start: (request: SpawnRequest) => Spawned = spawn,
): Program {
  const plan = encode(steps, SYNC);
  const [sync, theirs] = socketPair().map(scope.keep) as [number, number];
  const planFd = scope.keep(sealedMemfd("berth-plan", plan.bytes));
  const child = start({
    ...place(scope),
    create: 0,
    waits: false,
    argv: [name, String(SYNC), String(PLAN)],
    descriptors: [
      { from: stdin, to: 0 },
      { from: stdout, to: 1 },
      { from: stderr, to: 2 },
      { from: theirs, to: SYNC },
      { from: planFd, to: PLAN },
    ],
    closeFrom: PLAN + 1,
  });
  scope.keep(child.pidfd);
  scope.drop(theirs);
  try {
    writeAll(sync, Uint8Array.of(1), "start a program");
  } catch (error) {
    // It was killed: its end tells how.
    if (!hasCode(error, "EPIPE")) throw error;
  }
  return { ...child, sync, plan };
}

function berthPlace(scope: Scope): ProgramPlace {
  const executor = scope.keep(openExecutor());
  // In berth's own namespaces nobody gains by reaching it; and an init whose id maps the tool writes shares berth's memory, and its
  // /proc files would be root's.
  return { joins: [], cgroup: undefined, becomeRoot: false, staysOpen: true, executor };
}

/** What `sync` says once there is something to read: which step failed, or undefined, that the program has begun. */
export function failureOf({ sync, plan }: Program): BerthError | undefined {
  const message = hear(sync);
  if (message.length === 0) return undefined;
  const view = new DataView(message.buffer);
  return stepError(plan.steps[view.getUint32(0, true)], view.getUint32(4, true));
}

function hear(sync: number): Uint8Array {
  try {
    return readSome(sync, MESSAGE_SIZE);
  } catch (error) {
    // It was killed before it read what it was sent, and has nothing to say.
    if (hasCode(error, "ECONNRESET")) return new Uint8Array(0);
    throw error;
  }
}

/** How a tool ended, and what it said. */
export interface Answer {
  readonly exit: Exit;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a tool of the host's with berth's environment and nothing to read, and waits for its end.
 * @param argv absolute path, and arguments
 * @throws BerthError when it cannot be executed
 */
export function runTool(argv: readonly [path: string, ...rest: string[]], path = ""): Answer {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value ?? ""}`);
  const { call } = serving("identity", path, argv[0]);
  const execute = call("execve", [argv[0], stringArray(argv), stringArray(variables)], {
    what: "execute it",
    hints: { [ENOENT]: 'the interpreter that its "#!" line names is missing' },
  });
  return scoped((scope) => {
    const [nothing, closed] = pipe().map(scope.keep) as [number, number];
    const [stdout, stdoutOfTool] = pipe().map(scope.keep) as [number, number];
    const [stderr, stderrOfTool] = pipe().map(scope.keep) as [number, number];
    scope.drop(closed);
    const steps = programSteps("identity", path, argv[0], [execute]);
    const tool = startProgram("berth-tool", steps, [nothing, stdoutOfTool, stderrOfTool], scope);
    scope.drop(stdoutOfTool);
    scope.drop(stderrOfTool);
    // First: an executor that failed stays until it is let go, with both pipes open.
    const failure = failureOf(tool);
    if (failure !== undefined) {
      tryPidfdSignal(tool.pidfd, SIGKILL);
      waitPidfd(tool.pidfd);
      throw failure;
    }
    const said = readToEnds([stdout, stderr]);
    const exit = waitPidfd(tool.pidfd);
    return { exit, stdout: said[0] ?? "", stderr: said[1] ?? "" };
  });
}

/** Reads several descriptors side by side, so that none fills up, each to its end. */
function readToEnds(fds: readonly number[]): string[] {
  const parts = fds.map((): Uint8Array[] => []);
  const open = new Set(fds.keys());
  while (open.size > 0) {
    const waiting = [...open];
    const ready = poll(waiting.map((i) => ({ fd: fds[i] ?? -1, events: POLLIN })));
    waiting.forEach((i, place) => {
      if (ready[place] === 0) return;
      const part = readSome(fds[i] ?? -1);
      if (part.length === 0) open.delete(i);
      else parts[i]?.push(part);
    });
  }
  return parts.map((list) => fromUtf8(joined(list)));
}
