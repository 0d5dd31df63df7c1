import {
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLOSE_RANGE_CLOEXEC,
  PR_SET_PDEATHSIG,
  SIGKILL,
} from "../linux/constants.ts";
import { mappedId } from "../namespaces/id-maps.ts";
import { ALL32, serving } from "../plan/build.ts";
import { createRequests, type Descriptors, type Request } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import { becomeSteps } from "../process/become.ts";
import { type Executable, execSteps } from "../process/exec.ts";
import { prioritySteps } from "../process/scheduling.ts";
import type { FilterSteps, SeccompFilter } from "../process/seccomp/load.ts";
import { keyringSteps, personalitySteps, secludeSteps, sessionStep } from "../process/session.ts";
import { nullSteps, type Stdio } from "../process/stdio.ts";
import { joinedTerminalSteps } from "../process/terminal.ts";
import type { Spec } from "../spec/config.ts";
import type { Process } from "../spec/process.ts";
import type { SpecialExec } from "./exec-special.ts";

/** What the Plan of a process that joins a container depends on beside the process and the container's config.json. */
export interface ExecContext {
  readonly id: string;
  /** CLONE_NEW*: the namespaces that the process is not in by berth's own; all but the time namespace are joined already. */
  readonly namespaces: number;
  /** The container has a session keyring of its own. */
  readonly ownKeyring: boolean;
  readonly stdio: readonly Stdio[];
  readonly descriptors: Descriptors;
  /** The highest capability that the kernel knows. */
  readonly lastCapability: number;
  /** The caller is not root, see CompileContext. */
  readonly ownPriority: boolean;
  /** Of the container's linux.seccomp. */
  readonly seccomp?: SeccompFilter | undefined;
  readonly special?: SpecialExec | undefined;
}

/** The Plan of a process that joins a container, and what it will ask for. */
export interface ExecPlan {
  readonly steps: readonly Step[];
  readonly requests: readonly Request[];
  /** How it loads its seccomp filter, if it has one. */
  readonly filter: FilterSteps | undefined;
}

/**
 * Compiles the Plan of a process that joins a container. It begins in the container's namespaces, with the root of their mount
 * namespace as root, in its cgroup, as root of the user namespace. Pure: it looks at nothing but its arguments.
 * @param spec the config.json of the container
 */
export function compileExec(
  spec: Spec,
  process: Process,
  executable: Executable,
  context: ExecContext,
): ExecPlan {
  const fds = context.descriptors;
  const requests = createRequests(fds.sync);
  const userNamespace = (context.namespaces & CLONE_NEWUSER) !== 0;
  const uid = process.user?.uid ?? 0;
  const filter = context.seccomp?.steps(fds);
  const executing = { kind: "executing" } as const;
  const steps = [
    ...joinSteps(spec, context),
    ...(context.special?.first ?? []),
    ...secludeSteps(true),
    sessionStep(),
    ...(context.ownKeyring ? (context.special?.beforeKeyring ?? []) : []),
    ...(context.ownKeyring ? keyringSteps(context.id, userNamespace) : []),
    ...(process.terminal === true
      ? joinedTerminalSteps(process, fds, requests)
      : nullSteps(context.stdio, fds, true)),
    ...personalitySteps(spec.linux.personality),
    ...(context.special?.beforeUser ?? []),
    ...(context.ownPriority ? prioritySteps(process, 0) : []),
    ...becomeSteps(process, executable, {
      stdio: context.stdio,
      userNamespace,
      hostUid: mappedId(uid, spec.linux.uidMappings) ?? uid,
      filtered: filter !== undefined,
      lastCapability: context.lastCapability,
      requests,
    }),
    ...lastSteps(fds),
    // Before a filter may forbid it to speak, the runtime must have taken its notice.
    ...(filter === undefined
      ? [requests.tell(serving("start", ""), executing)]
      : [...filter.before, ...requests.ask(serving("start", ""), executing), ...filter.last]),
    ...execSteps(executable, undefined),
  ];
  return { steps, requests: requests.list, filter };
}

/** The first steps: nothing outlives the runtime, nothing leaks into what is executed later, and the root is the container's. */
function joinSteps({ linux }: Spec, { namespaces, descriptors: fds }: ExecContext): Step[] {
  const { call } = serving("namespaces", "linux.namespaces");
  const steps: Step[] = [
    call("close_range", [fds.sync, ALL32, CLOSE_RANGE_CLOEXEC]),
    call("prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]),
  ];
  if ((namespaces & CLONE_NEWTIME) !== 0) {
    // Not with the others: setns refuses it to a process that shares its memory, as it did until it executed.
    steps.push(call("setns", [fds.time, CLONE_NEWTIME], { what: "join the time namespace" }));
  }
  if (!linux.namespaces.some(({ type, path }) => type === "mount" && (path ?? "") === "")) {
    // The container shares its mounts with others, and has only changed its root.
    const root = serving("pivot", "root.path", "/");
    steps.push(root.call("fchdir", [fds.rootfs]), root.call("chroot", ["."]), root.call("chdir", ["/"]));
  }
  return steps;
}

/** Lets go of everything but the connection to the runtime, and of the runtime itself. */
function lastSteps(fds: Descriptors): Step[] {
  const { call } = serving("start", "");
  return [call("close_range", [fds.sync + 1, ALL32, 0]), call("prctl", [PR_SET_PDEATHSIG, 0, 0, 0, 0])];
}
