import { serving } from "../plan/build.ts";
import type { Requests } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import type { Process } from "../spec/process.ts";
import { cwdSteps } from "./cwd.ts";
import { type Executable, findSteps } from "./exec.ts";
import { type IdentityContext, identitySteps } from "./identity.ts";
import { ownLimitSteps } from "./limits.ts";
import { ownerSteps, type Stdio } from "./stdio.ts";

/** What these steps depend on beside `process`. */
export interface BecomeContext extends IdentityContext {
  readonly stdio: readonly Stdio[];
  /** What its user id is on the host. */
  readonly hostUid: number;
  readonly requests: Requests;
}

/**
 * Steps by which a process becomes what config.json's `process` says, from its limits to the executable that it finds: the
 * same for a container's own and for one that joins it. Its root, session and terminal are there by then.
 */
export function becomeSteps(process: Process, executable: Executable, context: BecomeContext): Step[] {
  const uid = process.user?.uid ?? 0;
  const cwd = cwdSteps(process.cwd);
  return [
    ...ownLimitSteps(process.rlimits ?? [], context.requests),
    ...cwd.beforeUser,
    ...ownerSteps(context.stdio, uid, context.hostUid, process.terminal === true),
    ...identitySteps(process, context, cwd.afterUser),
    serving("identity", "process.user.umask").call("umask", [process.user?.umask ?? 0o022]),
    ...findSteps(executable),
  ];
}
