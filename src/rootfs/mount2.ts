import { MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_REMOUNT, MS_SYNCHRONOUS } from "../linux/constants.ts";
import { EBUSY, EINVAL, EPERM } from "../linux/errno.ts";
import type { Step } from "../plan/step.ts";
import { attributeSteps } from "./bind.ts";
import { type FileSystem, mountFlags, newMountAttributes } from "./filesystem.ts";
import { contextFor } from "./mount-label.ts";
import type { MountOptions } from "./mount-options.ts";
import { propagationSteps } from "./propagation.ts";
import type { Scope } from "./scope.ts";
import { openInRoot } from "./target.ts";

/** Superblock flags for mount(2), by fsconfig(2)'s name; a "no" one clears. */
const FLAGS: Readonly<Record<string, { readonly set: number; readonly clear: number }>> = {
  sync: { set: MS_SYNCHRONOUS, clear: 0 },
  async: { set: 0, clear: MS_SYNCHRONOUS },
  dirsync: { set: MS_DIRSYNC, clear: 0 },
  mand: { set: MS_MANDLOCK, clear: 0 },
  nomand: { set: 0, clear: MS_MANDLOCK },
  lazytime: { set: MS_LAZYTIME, clear: 0 },
  nolazytime: { set: 0, clear: MS_LAZYTIME },
};

function allFlags(options: MountOptions, attributes: number): number {
  const superblock = options.superblock.reduce((flags, name) => {
    const { set = 0, clear = 0 } = FLAGS[name] ?? {};
    return (flags & ~clear) | set;
  }, 0);
  return superblock | options.mountFlags | mountFlags(attributes);
}

/**
 * Mounts with mount(2) onto `slots.target`, for what fsconfig(2) cannot pass on (see needsMount2). The target is the working
 * directory and so a descriptor here too. A tmpfs mounted this way keeps the mode that its options give it.
 */
export function mount2Steps(scope: Scope, path: string, fileSystem: FileSystem): Step[] {
  const { serving, slots } = scope;
  const { type, source, options, attributes } = fileSystem;
  const context = contextFor(scope, type, options);
  // A context has commas of its own, which the quotes keep.
  const label = context === undefined ? [] : [`context="${context}"`];
  const data = [...options.data.map(({ text }) => text), ...label].join(",");
  const args = [source ?? type, ".", type, allFlags(options, attributes), data === "" ? 0 : data];
  return [
    serving.call("fchdir", [slots.target]),
    serving.call("mount", args, {
      what: data === "" ? `mount ${type}` : `mount ${type} with options "${data}"`,
      hints: {
        [EINVAL]: `${type} does not accept one of its options`,
        [EPERM]: "the mount needs CAP_SYS_ADMIN",
      },
    }),
    ...(options.propagation.length === 0
      ? []
      : [
          openInRoot(scope, path, slots.mount),
          ...propagationSteps(serving, slots.mount, options.propagation),
        ]),
  ];
}

/** "remount": changes the mount that is at the destination already; with "bind", only what the options name. */
export function remountSteps(
  scope: Scope,
  path: string,
  source: string | undefined,
  type: string,
  options: MountOptions,
): Step[] {
  const { serving, slots } = scope;
  const data = options.data.map(({ text }) => text).join(",");
  const flags = MS_REMOUNT | allFlags(options, newMountAttributes(options));
  const hints = { [EINVAL]: "nothing is mounted there", [EBUSY]: "a file there is open for writing" };
  return [
    openInRoot(scope, path, slots.mount),
    ...(options.bind
      ? [
          ...attributeSteps(scope, slots.mount, options.attributes, false),
          ...attributeSteps(scope, slots.mount, options.recursiveAttributes, true),
        ]
      : [
          serving.call("fchdir", [slots.mount]),
          serving.call("mount", [source ?? type, ".", type, flags, data === "" ? 0 : data], {
            what: "remount",
            hints,
          }),
        ]),
    ...propagationSteps(serving, slots.mount, options.propagation),
  ];
}
