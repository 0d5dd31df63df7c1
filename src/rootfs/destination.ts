import { BerthError } from "../errors.ts";
import { PROC_SUPER_MAGIC } from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { EINVAL } from "../linux/errno.ts";
import { ALL32, addressOf, label, mark } from "../plan/build.ts";
import type { Slot, Step } from "../plan/step.ts";
import type { Scope } from "./scope.ts";

/** What runtimes mount over a file of /proc: lxcfs' views of the container's own resources, and two of CRIU's and FIPS'. */
const PROC_FILES: ReadonlySet<string> = new Set([
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/loadavg",
  "/proc/meminfo",
  "/proc/slabinfo",
  "/proc/stat",
  "/proc/swaps",
  "/proc/uptime",
  "/proc/sys/crypto/fips_enabled",
  "/proc/sys/kernel/ns_last_pid",
]);

/** Where a mount goes, and what must hold there. */
export interface Destination {
  /** Absolute and clean, in the container. */
  readonly path: string;
  /** No symlink may lead there: a container that shares a volume could move /proc elsewhere with one (CVE-2023-27561). */
  readonly refuseSymlinks: boolean;
  /** It may lead anywhere but onto a procfs. */
  readonly notProc: boolean;
  /** What is bound there must be a procfs. */
  readonly sourceIsProc: boolean;
}

/**
 * Checks a destination by its text. A false /proc makes the runtime believe that it has set an LSM label or a sysctl
 * (CVE-2019-16884, CVE-2019-19921), so that nothing but a procfs goes there and nothing below it but a few files.
 * @throws BerthError "invalid-config"
 */
export function checkDestination(
  path: string,
  destination: string,
  type: string,
  bind: boolean,
): Destination {
  const clean = absolute(`/${destination}`);
  const refuse = (why: string, hint: string) =>
    new BerthError("invalid-config", `${path} ${destination}: ${why}`, { hint });
  if (clean === "/") {
    throw refuse("a mount cannot cover the root of the container", "set root.path to what is to be the root");
  }
  if (clean === "/proc") {
    if (!bind && type !== "proc") {
      throw refuse(`${type} cannot be mounted on /proc`, 'use type "proc", or bind a procfs');
    }
    return { path: clean, refuseSymlinks: true, notProc: false, sourceIsProc: bind };
  }
  if (clean.startsWith("/proc/")) {
    if (!PROC_FILES.has(clean)) {
      throw refuse("nothing can be mounted there, inside /proc", `allowed are ${[...PROC_FILES].join(", ")}`);
    }
    return { path: clean, refuseSymlinks: true, notProc: false, sourceIsProc: false };
  }
  const kernel = !bind && (type === "proc" || type === "sysfs");
  return { path: clean, refuseSymlinks: kernel, notProc: !kernel, sourceIsProc: false };
}

/** Fails when a symlink of the image has led `fd` into a procfs after all. */
export function refuseProc(scope: Scope, fd: Slot): Step[] {
  const fine = label("not a procfs");
  return [
    fileSystemOf(scope, fd),
    scope.serving.unless({ slot: scope.slots.statfs, mask: ALL32, value: PROC_SUPER_MAGIC }, fine),
    scope.serving.fail(EINVAL, "the destination leads into a procfs", {
      0: "nothing but a few files may be mounted inside /proc; is there a symlink in the image?",
    }),
    mark(fine),
  ];
}

/** Fails when `fd` is not in a procfs. */
export function requireProc(scope: Scope, fd: Slot): Step[] {
  const fine = label("a procfs");
  return [
    fileSystemOf(scope, fd),
    scope.serving.when({ slot: scope.slots.statfs, mask: ALL32, value: PROC_SUPER_MAGIC }, fine),
    scope.serving.fail(EINVAL, "the source is not a procfs", {
      0: 'only a procfs may be bound to /proc; use type "proc"',
    }),
    mark(fine),
  ];
}

function fileSystemOf({ serving, slots }: Scope, fd: Slot): Step {
  return serving.call("fstatfs", [fd, addressOf(slots.statfs)]);
}
