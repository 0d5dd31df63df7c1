import { BerthError, hasCode, messageOf } from "../errors.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLOSE_RANGE_CLOEXEC,
  POLLIN,
  PR_SET_PDEATHSIG,
  SIGKILL,
} from "../linux/constants.ts";
import { ENOENT, ENOEXEC } from "../linux/errno.ts";
import { readSome, rewind, type Scope, scoped, writeAll } from "../linux/file.ts";
import { pipe } from "../linux/pipe.ts";
import { poll, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import { socketPair } from "../linux/socket.ts";
import {
  hideExecutor,
  openExecutor,
  type Spawned,
  type SpawnRequest,
  sealedMemfd,
  spawn,
} from "../linux/spawn.ts";
import { serving, stringArray } from "../plan/build.ts";
import { type Encoded, encode } from "../plan/encode.ts";
import { stepError } from "../plan/perform.ts";
import { MESSAGE_SIZE } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import { type CallerLimit, callerLimit, openFilesSteps } from "../process/limits.ts";
import type { Hook, HookName } from "../spec/config.ts";
import type { State } from "../spec/state.ts";

/** In which namespaces a hook runs: the runtime's, or those of the container whose init has this pidfd. */
export type HookPlace =
  | { readonly kind: "runtime"; readonly bundle: string }
  | {
      readonly kind: "container";
      readonly pidfd: number;
      readonly cgroup: number | undefined;
      /** CLONE_NEW*: those in which the container is and berth is not. */
      readonly namespaces: number;
    };

/** What setns takes from a pidfd at once: all but the time namespace, which wants a process of its own address space. */
const JOINED =
  CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

/** How much of a hook's output its error shows, in characters from its end. */
const SHOWN_OUTPUT = 2000;

/** Descriptors of the hook's executor, after its stdio. */
const SYNC = 3;
const PLAN = 4;

/**
 * Runs the hooks of one kind, one after the other; config.md "POSIX-platform Hooks". Each gets the state on stdin, and exactly
 * its own environment.
 * @param watched a pidfd whose end makes waiting pointless: that of the container's init
 * @throws BerthError at the first hook that cannot run, fails, or outlives its timeout; the rest is not run
 */
export function runHooks(
  name: HookName,
  hooks: readonly Hook[] | undefined,
  state: State,
  place: HookPlace,
  watched?: number,
): void {
  (hooks ?? []).forEach((hook, i) => {
    scoped((scope) => {
      runHook({ path: `hooks.${name}[${i}]`, hook, state, place, watched, scope });
    });
  });
}

/**
 * Runs the poststop hooks: one that fails is only warned about, and the next one runs all the same; config.md "Poststop".
 * @param bundle absolute
 */
export function runPoststopHooks(
  hooks: readonly Hook[] | undefined,
  state: State,
  bundle: string,
  warn: (message: string) => void,
): void {
  (hooks ?? []).forEach((hook, i) => {
    try {
      scoped((scope) => {
        const place = { kind: "runtime", bundle } as const;
        runHook({ path: `hooks.poststop[${i}]`, hook, state, place, watched: undefined, scope });
      });
    } catch (error) {
      warn(messageOf(error));
    }
  });
}

/** The Plan of a hook, run by the same executor as a container's. */
export function hookSteps(path: string, hook: Hook, bundle: string | undefined, limit?: CallerLimit): Step[] {
  const { call } = serving("hooks", path, `"${hook.path}"`);
  const args = hook.args === undefined || hook.args.length === 0 ? [hook.path] : hook.args;
  return [
    call("close_range", [SYNC, 0xffff_ffff, CLOSE_RANGE_CLOEXEC]),
    call("prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]),
    ...openFilesSteps(limit),
    ...(bundle === undefined ? [] : [call("chdir", [bundle])]),
    call("execve", [hook.path, stringArray(args), stringArray(hook.env ?? [])], {
      what: "execute the hook",
      hints: {
        [ENOENT]:
          "the file, or the interpreter that it names, is missing in the namespace where this hook runs",
        [ENOEXEC]: 'the file is no program for this machine and has no "#!" line',
      },
    }),
  ];
}

interface HookRun {
  readonly path: string;
  readonly hook: Hook;
  readonly state: State;
  readonly place: HookPlace;
  readonly watched: number | undefined;
  readonly scope: Scope;
}

function runHook(run: HookRun): void {
  const { path, hook, state, place, scope } = run;
  const plan = encode(
    hookSteps(path, hook, place.kind === "runtime" ? place.bundle : undefined, callerLimit()),
    SYNC,
  );
  // The state goes in as a file: a hook that never reads it cannot hold berth up.
  const input = scope.keep(sealedMemfd("berth-state", new TextEncoder().encode(JSON.stringify(state))));
  rewind(input);
  const [outputRead, outputWrite] = pipe().map(scope.keep) as [number, number];
  const [sync, syncOfHook] = socketPair().map(scope.keep) as [number, number];
  const planFd = scope.keep(sealedMemfd("berth-plan", plan.bytes));
  const inContainer = place.kind === "container";
  const type = inContainer ? place.namespaces & JOINED : 0;
  const child = spawnInCgroup({
    create: 0,
    joins:
      inContainer && type !== 0
        ? [{ fd: place.pidfd, type, subject: `${path}: the container's namespaces` }]
        : [],
    cgroup: inContainer ? place.cgroup : undefined,
    waits: false,
    becomeRoot: (type & CLONE_NEWUSER) !== 0,
    executor: scope.keep(inContainer ? hideExecutor(openExecutor()) : openExecutor()),
    argv: ["berth-hook", String(SYNC), String(PLAN)],
    descriptors: [
      { from: input, to: 0 },
      { from: outputWrite, to: 1 },
      { from: outputWrite, to: 2 },
      { from: syncOfHook, to: SYNC },
      { from: planFd, to: PLAN },
    ],
    closeFrom: PLAN + 1,
  });
  scope.keep(child.pidfd);
  scope.drop(outputWrite);
  scope.drop(syncOfHook);
  writeAll(sync, Uint8Array.of(1), "start the hook");
  awaitHook(run, plan, child, sync, outputRead);
}

/** A user's berth may have been called from where it cannot move a process into a cgroup that was delegated to that user. */
function spawnInCgroup(request: SpawnRequest): Spawned {
  try {
    return spawn(request);
  } catch (error) {
    if (request.cgroup === undefined || !hasCode(error, "EACCES")) throw error;
    return spawn({ ...request, cgroup: undefined });
  }
}

/** Waits for the hook's end, reading what it says, and turns anything but success into an error. */
function awaitHook(run: HookRun, plan: Encoded, child: Spawned, sync: number, output: number): void {
  const { path, hook, watched } = run;
  const subject = `${path} "${hook.path}"`;
  const deadline = hook.timeout === undefined ? undefined : performance.now() + hook.timeout * 1000;
  const open = new Set(
    watched === undefined ? [sync, output, child.pidfd] : [sync, output, child.pidfd, watched],
  );
  let said = "";
  const kill = (error: BerthError): never => {
    tryPidfdSignal(child.pidfd, SIGKILL);
    waitPidfd(child.pidfd);
    throw error;
  };
  for (;;) {
    const left = deadline === undefined ? undefined : deadline - performance.now();
    if (left !== undefined && left <= 0) {
      kill(
        new BerthError(
          "hook",
          `${subject}: still running after its timeout of ${hook.timeout} s; killed${told(said)}`,
          {
            hint: `raise ${path}.timeout, or find what the hook waits for`,
          },
        ),
      );
    }
    const polled = [...open];
    const ready = new Set(
      poll(
        polled.map((fd) => ({ fd, events: POLLIN })),
        left,
      ).flatMap((events, i) => (events === 0 ? [] : polled[i])),
    );
    if (ready.has(output) && !ready.has(child.pidfd)) {
      const part = readSome(output);
      if (part.length === 0) open.delete(output);
      said = (said + new TextDecoder().decode(part)).slice(-SHOWN_OUTPUT);
    }
    if (ready.has(sync)) {
      const message = readSome(sync, MESSAGE_SIZE);
      if (message.length === 0) open.delete(sync);
      else {
        const view = new DataView(message.buffer);
        kill(stepError(plan.steps[view.getUint32(0, true)], view.getUint32(4, true)));
      }
    }
    // What it said before its end is in the pipe by now; a child of its own may go on to write for ever.
    if (ready.has(child.pidfd)) {
      said = (said + new TextDecoder().decode(readAvailable(output))).slice(-SHOWN_OUTPUT);
      break;
    }
    if (watched !== undefined && ready.has(watched)) {
      kill(new BerthError("hook", `${subject}: the container's init ended while the hook ran`));
    }
  }
  const exit = waitPidfd(child.pidfd);
  if (exit.kind === "exited" && exit.status === 0) return;
  const how = exit.kind === "exited" ? `exit status ${exit.status}` : `killed by signal ${exit.signal}`;
  throw new BerthError("hook", `${subject}: ${how}${told(said)}`);
}

/** What is in the pipe now, as far as one pipe holds. */
function readAvailable(output: number): Uint8Array {
  const [ready] = poll([{ fd: output, events: POLLIN }], 0);
  return ready === 0 ? new Uint8Array(0) : readSome(output);
}

/** On one line, and without what would act on the reader's terminal. */
function told(output: string): string {
  const text = output
    .trim()
    .replace(/\s*\n\s*/g, " | ")
    .replace(/[\p{Cc}\p{Cf}]/gu, "?");
  return text === "" ? "" : `; it said: ${text}`;
}
