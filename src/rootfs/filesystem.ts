import {
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_STRICTATIME,
} from "../linux/constants.ts";
import { EACCES, EBUSY, EINVAL, ENODEV, ENOENT, EPERM } from "../linux/errno.ts";
import { addressOf } from "../plan/build.ts";
import type { Label, Step } from "../plan/step.ts";
import { labelOptionSteps, labelRootSteps } from "./mount-label.ts";
import { afterwards, type MountOptions } from "./mount-options.ts";
import { optionHints } from "./option-hints.ts";
import type { Scope } from "./scope.ts";
import { STATX } from "./structs.ts";
import { statusOf } from "./target.ts";

/**
 * File systems whose superblock the kernel shares between its mounts, or that are to change to read-only later: for these
 * "ro" is a matter of the mount alone. For all others it is told to the superblock too, as mount(8) does: a damaged or
 * write-protected disk mounts no other way.
 */
const MOUNT_ONLY_READ_ONLY: ReadonlySet<string> = new Set([
  "binfmt_misc",
  "bpf",
  "cgroup",
  "cgroup2",
  "configfs",
  "debugfs",
  "devpts",
  "devtmpfs",
  "efivarfs",
  "fusectl",
  "hugetlbfs",
  "mqueue",
  "proc",
  "pstore",
  "ramfs",
  "securityfs",
  "selinuxfs",
  "sysfs",
  "tmpfs",
  "tracefs",
]);

/** fsconfig(2) takes no longer string, its final NUL included. */
const MAX_VALUE = 256;

/** A new mount of a file system. */
export interface FileSystem {
  readonly type: string;
  readonly source: string | undefined;
  readonly options: MountOptions;
  /** MOUNT_ATTR_* */
  readonly attributes: number;
}

/** The MOUNT_ATTR_* that a new mount gets; it has no submounts, so the recursive options are like the others. */
export function newMountAttributes({ attributes, recursiveAttributes }: MountOptions): number {
  return afterwards(attributes, recursiveAttributes).set;
}

/** Whether only mount(2) can make this mount: a flag that fsconfig(2) lacks, or a value too long for it. */
export function needsMount2({ options, source }: Pick<FileSystem, "options" | "source">): boolean {
  const tooLong = (text: string | undefined) => text !== undefined && 3 * text.length >= MAX_VALUE;
  return options.mountFlags !== 0 || tooLong(source) || options.data.some(({ value }) => tooLong(value));
}

/**
 * Makes a mount of a new file system in `slots.mount`, attached nowhere. Each parameter is a step of its own, so that the
 * one which the file system refuses can be named.
 * @param instead where to go on when the kernel refuses with one of these errnos
 */
export function fileSystemSteps(
  scope: Scope,
  { type, source, options, attributes }: FileSystem,
  instead: { readonly errnos: readonly number[]; readonly to: Label } | undefined = undefined,
): Step[] {
  const { serving, slots } = scope;
  const { context } = slots;
  const on: Readonly<Record<number, Label>> =
    instead === undefined ? {} : Object.fromEntries(instead.errnos.map((errno) => [errno, instead.to]));
  const text = options.data.map((option) => option.text).join(",");
  const hints = fileSystemHints(type);
  const readOnly = (attributes & MOUNT_ATTR_RDONLY) !== 0 && !MOUNT_ONLY_READ_ONLY.has(type);
  const flags = readOnly ? [...options.superblock, "ro"] : options.superblock;
  const set = (key: string, value: string | undefined, what: string): Step =>
    value === undefined
      ? serving.call("fsconfig", [context, FSCONFIG_SET_FLAG, key, 0, 0], {
          what,
          hints: optionHints(type, key),
        })
      : serving.call("fsconfig", [context, FSCONFIG_SET_STRING, key, value, 0], {
          what,
          hints: optionHints(type, key),
        });
  return [
    serving.call("fsopen", [type, FSOPEN_CLOEXEC], {
      store: context,
      on,
      what: `file system "${type}"`,
      hints,
    }),
    ...(source === undefined ? [] : [set("source", source, `${type} source "${source}"`)]),
    ...options.data.map(({ key, value, text }) => set(key, value, `${type} option "${text}"`)),
    ...flags.map((flag) => set(flag, undefined, `${type} option "${flag}"`)),
    ...labelOptionSteps(scope, type, options),
    serving.call("fsconfig", [context, FSCONFIG_CMD_CREATE, 0, 0, 0], {
      on,
      what: text === "" ? `create ${type}` : `create ${type} with options "${text}"`,
      hints,
    }),
    serving.call("fsmount", [context, FSMOUNT_CLOEXEC, attributes], {
      store: slots.mount,
      on,
      what: `mount ${type}`,
      hints,
    }),
    ...labelRootSteps(scope, type),
  ];
}

function fileSystemHints(type: string): Readonly<Record<number, string>> {
  const visible = `in a user namespace ${type} can be mounted only where the host's own is not partly covered`;
  const owner: Readonly<Record<string, string>> = {
    proc: `the container needs a pid namespace that belongs to its user namespace; ${visible}`,
    sysfs: `the container needs a network namespace that belongs to its user namespace; ${visible}`,
    mqueue: "the container needs an ipc namespace that belongs to its user namespace",
  };
  return {
    [ENODEV]: `the kernel has no file system "${type}"; a bind mount needs the option bind or rbind`,
    [EPERM]:
      owner[type] ?? `${type} cannot be mounted without CAP_SYS_ADMIN on the host, or in a user namespace`,
    [EINVAL]:
      type === "devpts"
        ? "gid= and uid= must be ids that the container's user namespace maps"
        : `${type} does not accept one of its options`,
    [ENOENT]: "the source does not exist",
    [EACCES]: "the device is write-protected, or the source cannot be reached",
    [EBUSY]: "the source is in use with other options",
  };
}

/**
 * Gives a new tmpfs the permissions of the directory in `slots.target`, which it is going to cover, as runc and crun do
 * when its options have no mode. Eight bytes of the status travel through an event counter: a Plan loads from the begin of
 * a slot only. The kernel takes no more than sixteen bits of them as a mode.
 */
export function inheritMode(scope: Scope): Step[] {
  const { serving, slots } = scope;
  const { register, status, value } = slots;
  return [
    statusOf(scope, slots.target),
    serving.call("eventfd2", [0, 0], { store: register }),
    serving.call("write", [register, addressOf(status, STATX.mode), 8]),
    serving.call("read", [register, addressOf(value), 8]),
    serving.call("fchmodat", [slots.mount, ".", value], { what: "give the tmpfs the mode of its target" }),
    serving.call("close", [register]),
  ];
}

/** MS_* for MOUNT_ATTR_*. */
export function mountFlags(attributes: number): number {
  const pairs = [
    [MOUNT_ATTR_RDONLY, MS_RDONLY],
    [MOUNT_ATTR_NOSUID, MS_NOSUID],
    [MOUNT_ATTR_NODEV, MS_NODEV],
    [MOUNT_ATTR_NOEXEC, MS_NOEXEC],
    [MOUNT_ATTR_NOATIME, MS_NOATIME],
    [MOUNT_ATTR_STRICTATIME, MS_STRICTATIME],
    [MOUNT_ATTR_NODIRATIME, MS_NODIRATIME],
    [MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW],
  ] as const;
  return pairs.reduce(
    (flags, [attribute, flag]) => ((attributes & attribute) !== 0 ? flags | flag : flags),
    0,
  );
}
