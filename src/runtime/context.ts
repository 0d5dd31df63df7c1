import { CAP_MKNOD, CAP_SYS_PTRACE } from "../linux/constants.ts";
import { isInFirstUserNamespace } from "../linux/ids.ts";
import { hasCapability, lastCapability } from "../linux/process.ts";
import { inspectStdio } from "../process/stdio.ts";
import type { Bundle } from "./bundle.ts";
import type { CompileContext } from "./compile.ts";

/** What the Plan depends on beside config.json, from what was asked for, what was made, and from berth's own process. */
export function compileContext(
  options: Pick<CompileContext, "id" | "noPivot" | "noNewKeyring" | "preserveFds">,
  bundle: Bundle,
  made: Pick<CompileContext, "rootfs" | "cgroup" | "cgroupsOfV1" | "special" | "seccomp">,
): CompileContext {
  return {
    id: options.id,
    bundle: bundle.path,
    ...made,
    noPivot: options.noPivot,
    noNewKeyring: options.noNewKeyring,
    preserveFds: options.preserveFds,
    stdio: inspectStdio(),
    mayMakeDevices: hasCapability(CAP_MKNOD),
    mayTrace: hasCapability(CAP_SYS_PTRACE),
    lastCapability: lastCapability(),
    inUserNamespace: !isInFirstUserNamespace(),
    ownPriority: bundle.user !== undefined,
  };
}
