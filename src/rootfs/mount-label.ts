import { FSCONFIG_SET_STRING } from "../linux/constants.ts";
import { EINVAL, EOPNOTSUPP } from "../linux/errno.ts";
import { byteLength } from "../linux/text.ts";
import type { Step } from "../plan/step.ts";
import type { MountOptions } from "./mount-options.ts";
import type { Scope } from "./scope.ts";

/*
 * linux.mountLabel: the SELinux context that the files of a new file system get; man 8 mount, "context=". A bind mount has the
 * files of another, with the labels that they have.
 */

/** Whose files SELinux labels by itself, each in its way: a context for all of them is refused, or would open them. */
const LABELLED_BY_KERNEL: ReadonlySet<string> = new Set(["proc", "sysfs", "cgroup", "cgroup2", "mqueue"]);

const hints = {
  [EINVAL]: "the SELinux policy that is loaded has no such context, or this file system takes none",
};

/** The label for a new file system of this type, unless its options have one already; undefined: none. */
export function contextFor(scope: Scope, type: string, { data }: MountOptions): string | undefined {
  const { mountLabel = "" } = scope.context;
  if (mountLabel === "" || LABELLED_BY_KERNEL.has(type)) return undefined;
  return data.some(({ key }) => key === "context") ? undefined : mountLabel;
}

/** The step that gives a file system context (fsopen) the label. */
export function labelOptionSteps(scope: Scope, type: string, options: MountOptions): Step[] {
  const label = contextFor(scope, type, options);
  if (label === undefined) return [];
  const what = `linux.mountLabel: ${type} option "context=${label}"`;
  const { serving, slots } = scope;
  return [
    serving.call("fsconfig", [slots.context, FSCONFIG_SET_STRING, "context", label, 0], { what, hints }),
  ];
}

/** Steps that label the root of an mqueue in `slots.mount`, which takes no option for it, as runc and crun do. */
export function labelRootSteps({ context, serving, slots }: Scope, type: string): Step[] {
  const { mountLabel = "" } = context;
  if (mountLabel === "" || type !== "mqueue") return [];
  const length = byteLength(mountLabel);
  return [
    serving.call("fchdir", [slots.mount]),
    serving.call("setxattr", [".", "security.selinux", mountLabel, length, 0], {
      what: `linux.mountLabel: label the mqueue "${mountLabel}"`,
      hints: { ...hints, [EOPNOTSUPP]: "SELinux labels no mqueue on this host" },
    }),
  ];
}
