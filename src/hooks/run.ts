import { BerthError, hasCode, messageOf } from "../errors.ts";
import { now } from "../linux/clock.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  POLLIN,
  SIGKILL,
} from "../linux/constants.ts";
import { ENOENT, ENOEXEC } from "../linux/errno.ts";
import { readSome, rewind } from "../linux/file.ts";
import { pipe } from "../linux/pipe.ts";
import { poll, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import { type Scope, scoped } from "../linux/scope.ts";
import {
  hideExecutor,
  openExecutor,
  type Spawned,
  type SpawnRequest,
  sealedMemfd,
  spawn,
} from "../linux/spawn.ts";
import { fromUtf8, utf8 } from "../linux/text.ts";
import { serving, stringArray } from "../plan/build.ts";
import { failureOf, type Program, type ProgramPlace, programSteps, startProgram } from "../plan/program.ts";
import type { Step } from "../plan/step.ts";
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
export function hookSteps(path: string, hook: Hook, bundle: string | undefined): Step[] {
  const { call } = serving("hooks", path, `"${hook.path}"`);
  const args = hook.args === undefined || hook.args.length === 0 ? [hook.path] : hook.args;
  return programSteps("hooks", path, `"${hook.path}"`, [
    ...(bundle === undefined ? [] : [call("chdir", [bundle])]),
    call("execve", [hook.path, stringArray(args), stringArray(hook.env ?? [])], {
      what: "execute the hook",
      hints: {
        [ENOENT]:
          "the file, or the interpreter that it names, is missing in the namespace where this hook runs",
        [ENOEXEC]: 'the file is no program for this machine and has no "#!" line',
      },
    }),
  ]);
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
  const steps = hookSteps(path, hook, place.kind === "runtime" ? place.bundle : undefined);
  // The state goes in as a file: a hook that never reads it cannot hold berth up.
  const input = scope.keep(sealedMemfd("berth-state", utf8(JSON.stringify(state))));
  rewind(input);
  const [outputRead, outputWrite] = pipe().map(scope.keep) as [number, number];
  const child = startProgram(
    "berth-hook",
    steps,
    [input, outputWrite, outputWrite],
    scope,
    place.kind === "runtime" ? undefined : (scope) => containerPlace(path, place, scope),
    spawnInCgroup,
  );
  scope.drop(outputWrite);
  awaitHook(run, child, outputRead);
}

function containerPlace(
  path: string,
  { pidfd, cgroup, namespaces }: Extract<HookPlace, { kind: "container" }>,
  scope: Scope,
): ProgramPlace {
  const type = namespaces & JOINED;
  return {
    joins: type === 0 ? [] : [{ fd: pidfd, type, subject: `${path}: the container's namespaces` }],
    cgroup,
    becomeRoot: (type & CLONE_NEWUSER) !== 0,
    executor: scope.keep(hideExecutor(openExecutor())),
  };
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
function awaitHook(run: HookRun, child: Program, output: number): void {
  const { sync } = child;
  const { path, hook, watched } = run;
  const subject = `${path} "${hook.path}"`;
  const deadline = hook.timeout === undefined ? undefined : now() + hook.timeout * 1000;
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
    const left = deadline === undefined ? undefined : deadline - now();
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
      said = (said + fromUtf8(part)).slice(-SHOWN_OUTPUT);
    }
    if (ready.has(sync)) {
      const failure = failureOf(child);
      if (failure !== undefined) kill(failure);
      open.delete(sync);
    }
    // What it said before its end is in the pipe by now; a child of its own may go on to write for ever.
    if (ready.has(child.pidfd)) {
      said = (said + fromUtf8(readAvailable(output))).slice(-SHOWN_OUTPUT);
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
