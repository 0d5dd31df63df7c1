import { CAP_MKNOD } from "../linux/constants.ts";
import { hasCapability } from "../linux/process.ts";
import { callerLimit } from "../process/limits.ts";
import { inspectStdio } from "../process/stdio.ts";
import type { Bundle } from "./bundle.ts";
import type { CompileContext } from "./compile.ts";

/** What the Plan depends on beside config.json, from what was asked for and from berth's own process. */
export function compileContext(
  options: Pick<CompileContext, "id" | "noPivot" | "noNewKeyring" | "preserveFds">,
  bundle: Bundle,
  rootfs: string,
  cgroup: CompileContext["cgroup"],
  special: CompileContext["special"],
): CompileContext {
  return {
    id: options.id,
    bundle: bundle.path,
    rootfs,
    noPivot: options.noPivot,
    noNewKeyring: options.noNewKeyring,
    preserveFds: options.preserveFds,
    stdio: inspectStdio(),
    callerLimit: callerLimit(),
    mayMakeDevices: hasCapability(CAP_MKNOD),
    cgroup,
    ownPriority: bundle.user !== undefined,
    special,
  };
}
