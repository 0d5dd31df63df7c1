import { MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH } from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM } from "../linux/errno.ts";
import { label, mark, serving } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import { bindSteps, copySymlink } from "./bind.ts";
import { cgroupSteps } from "./cgroup-mount.ts";
import { refuseProc, requireProc } from "./destination.ts";
import { type Entry, isLateReadOnly } from "./entry.ts";
import {
  type FileSystem,
  fileSystemSteps,
  inheritMode,
  needsMount2,
  newMountAttributes,
} from "./filesystem.ts";
import { idMapSteps } from "./id-map.ts";
import type { MountOptions, Propagation } from "./mount-options.ts";
import { mount2Steps, remountSteps } from "./mount2.ts";
import { propagationSteps } from "./propagation.ts";
import { always, closeTemporary, type RootfsContext, type Scope, type Slots } from "./scope.ts";
import { freshTargetSteps, type Target, targetSteps } from "./target.ts";

/**
 * Destinations of tmpfs mounts that the Plan has just made, and that hold nothing but what it makes in them. No symlink of
 * an image can be in them.
 */
export type Fresh = Set<string>;

/** The mounts of config.json, in its order; runtime-spec, config.md "Mounts". @param fresh is filled */
export function mountListSteps(
  entries: readonly Entry[],
  context: RootfsContext,
  slots: Slots,
  fresh: Fresh,
): Step[] {
  const steps: Step[] = [];
  for (const entry of entries) {
    const { path, mount } = entry;
    const scope: Scope = { context, path, slots, serving: serving("mounts", path, mount.destination) };
    steps.push(...entrySteps(scope, entry, fresh), closeTemporary(scope));
    keepFresh(fresh, entry);
  }
  return steps;
}

function keepFresh(fresh: Fresh, entry: Entry): void {
  const { type, options, destination, mount } = entry;
  for (const path of fresh) {
    if (path === destination.path || path.startsWith(`${destination.path}/`)) fresh.delete(path);
  }
  const empty = type === "tmpfs" && !options.remount && !options.extensions.has("tmpcopyup");
  if (empty && !needsMount2({ options, source: mount.source })) fresh.add(destination.path);
}

function entrySteps(scope: Scope, entry: Entry, fresh: Fresh): Step[] {
  const { mount, type, options, destination } = entry;
  if (options.remount) return remountSteps(scope, destination.path, mount.source, type, options);
  if (options.bind) return bindEntry(scope, entry, fresh);
  const late = isLateReadOnly(entry);
  const attributes = newMountAttributes(options) & (late ? ~MOUNT_ATTR_RDONLY : ~0);
  const fileSystem: FileSystem = { type, source: mount.source, options, attributes };
  if (needsMount2(fileSystem)) {
    return [
      ...placeSteps(scope, entry, "directory", fresh),
      ...mount2Steps(scope, destination.path, fileSystem),
    ];
  }
  const covering = type === "tmpfs" ? coveringSteps(scope, destination.path, options) : [];
  return [
    ...detachedSteps(scope, fileSystem),
    ...idMapSteps(scope, entry),
    ...placeSteps(scope, entry, "directory", fresh, covering),
    ...attach(scope, options.propagation),
  ];
}

/** A mount of a file system in `slots.mount`. */
function detachedSteps(scope: Scope, fileSystem: FileSystem): Step[] {
  const { type, source, options } = fileSystem;
  if (type === "cgroup" || type === "cgroup2") return cgroupSteps(scope, source, options);
  if (type === "sysfs" && scope.context.userNamespace) return sysfsOrBind(scope, fileSystem);
  return fileSystemSteps(scope, fileSystem);
}

function bindEntry(scope: Scope, entry: Entry, fresh: Fresh): Step[] {
  const { context, slots } = scope;
  const { mount, options, destination } = entry;
  const source = absolute(mount.source ?? "", context.bundle);
  const { recursive, attributes, recursiveAttributes, extensions } = options;
  const noFollow = extensions.has("src-nofollow");
  const bound: Step[] = [
    ...bindSteps(scope, { source, recursive, noFollow, attributes, recursiveAttributes, isOwnSource: true }),
    ...idMapSteps(scope, entry),
    ...(destination.sourceIsProc ? requireProc(scope, slots.mount) : []),
    ...placeSteps(scope, entry, slots.mount, fresh),
    ...attach(scope, options.propagation),
  ];
  if (!extensions.has("copy-symlink")) return bound;
  const noLink = label("no symlink");
  const done = label("done");
  return [
    ...copySymlink(scope, source, destination.path, noLink),
    always(scope, done),
    mark(noLink),
    ...bound,
    mark(done),
  ];
}

/** Opens the destination into `slots.target`, and checks it. @param existed steps for one that was there before */
function placeSteps(
  scope: Scope,
  { destination, options }: Entry,
  type: Target["type"],
  fresh: Fresh,
  existed: readonly Step[] = [],
): Step[] {
  const { path, refuseSymlinks, notProc } = destination;
  const keepLast = options.extensions.has("dest-nofollow");
  const symlinks = refuseSymlinks ? "refuse" : keepLast ? "keep-last" : "follow";
  const target: Target = { path, type, symlinks };
  if (fresh.has(path.slice(0, path.lastIndexOf("/")))) return freshTargetSteps(scope, target);
  return [...targetSteps(scope, target, existed), ...(notProc ? refuseProc(scope, scope.slots.target) : [])];
}

/** In a user namespace whose network is not its own, the kernel refuses a new sysfs: the host's is shown, read-only. */
function sysfsOrBind(scope: Scope, fileSystem: FileSystem): Step[] {
  const bind = label("bind /sys");
  const done = label("done");
  const none = { set: 0, clear: 0 };
  return [
    ...fileSystemSteps(scope, fileSystem, { errnos: [EPERM], to: bind }),
    always(scope, done),
    mark(bind),
    ...bindSteps(scope, {
      source: "/sys",
      recursive: true,
      attributes: none,
      // Below it lie the host's cgroups, which the user may own (CVE-2023-25809).
      recursiveAttributes: { set: fileSystem.attributes | MOUNT_ATTR_RDONLY, clear: 0 },
    }),
    mark(done),
  ];
}

/** What a tmpfs takes over from a directory that was there before. */
function coveringSteps(scope: Scope, path: string, { data, extensions }: MountOptions): Step[] {
  const steps = data.some(({ key }) => key === "mode") ? [] : inheritMode(scope);
  if (!extensions.has("tmpcopyup")) return steps;
  const { serving, slots, context } = scope;
  // Numbers that the few descriptors of one mount do not reach.
  const from = context.descriptors.temporary + 8;
  const to = from + 1;
  const copy = context.requests.ask(serving, { kind: "copy-up", path, of: scope.path, from, to });
  return [
    ...steps,
    serving.call("dup3", [slots.target, from, 0]),
    serving.call("dup3", [slots.mount, to, 0]),
    ...copy,
  ];
}

/** Puts `slots.mount` onto `slots.target`, both by descriptor: no path is resolved again (CVE-2021-30465). */
function attach(scope: Scope, propagation: readonly Propagation[]): Step[] {
  const { serving, slots } = scope;
  const onto = [
    slots.mount,
    "",
    slots.target,
    "",
    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
  ] as const;
  const kinds = "a directory can only cover a directory, and a file only a file";
  return [
    serving.call("move_mount", onto, {
      what: "attach the mount",
      hints: {
        [EINVAL]: kinds,
        [ENOTDIR]: kinds,
        [ELOOP]: "a mount cannot be put inside itself",
        [ENOENT]: "the destination was removed",
      },
    }),
    ...propagationSteps(serving, slots.mount, propagation),
  ];
}
