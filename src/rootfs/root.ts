import { BerthError } from "../errors.ts";
import {
  AT_FDCWD,
  AT_RECURSIVE,
  MOVE_MOUNT_F_EMPTY_PATH,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  O_CLOEXEC,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  S_IFCHR,
  S_IFMT,
} from "../linux/constants.ts";
import { EACCES, EINVAL, ENODEV, ENOENT, ENOTDIR, EPERM } from "../linux/errno.ts";
import { label, mark, type Serving, serving } from "../plan/build.ts";
import type { Slot, Step } from "../plan/step.ts";
import type { RootfsPropagation } from "../spec/linux.ts";
import { rdevValue } from "./device-number.ts";
import { propagationSteps } from "./propagation.ts";
import { always, nullDescriptor, type RootfsContext, type Scope, type Slots } from "./scope.ts";
import { STATX } from "./structs.ts";
import { statusOf } from "./target.ts";

/**
 * What becomes of the copies of the host's mounts, before anything is mounted. By default they follow the host and nothing
 * goes back. "shared" keeps them shared with the host, so that a volume can be too. Unbindable mounts could not be bound
 * into the container, so that this waits until the root has changed.
 */
const BEFORE: Readonly<Record<RootfsPropagation, number>> = {
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  unbindable: MS_PRIVATE,
  runbindable: MS_PRIVATE | MS_REC,
};

/** What the container's root gets in the end. It was made private or a slave before; only these two are more than that. */
const AFTER: Readonly<Partial<Record<RootfsPropagation, { type: number; recursive: boolean }>>> = {
  shared: { type: MS_SHARED, recursive: false },
  rshared: { type: MS_SHARED, recursive: true },
  unbindable: { type: MS_UNBINDABLE, recursive: false },
  runbindable: { type: MS_UNBINDABLE, recursive: true },
};

/** Whether mounts of this namespace may still be shared with the host after {@link BEFORE}. */
export function maySpreadToHost(propagation: RootfsPropagation | undefined): boolean {
  const before = BEFORE[propagation ?? "rslave"];
  return (before & MS_REC) === 0 || (before & MS_SHARED) !== 0;
}

/**
 * Takes the rootfs as a mount of its own to the descriptor `rootfs`, and the host's /dev/null to {@link nullDescriptor}.
 * @throws BerthError "invalid-config" for a propagation that --no-pivot rules out
 */
export function rootSteps(
  propagation: RootfsPropagation | undefined,
  context: RootfsContext,
  slots: Slots,
): Step[] {
  if (context.noPivot && (propagation === "private" || propagation === "rprivate")) {
    throw new BerthError(
      "invalid-config",
      `linux.rootfsPropagation "${propagation}" is not possible with --no-pivot`,
      {
        hint: "leave out --no-pivot, or let the propagation be rslave",
      },
    );
  }
  const host = serving("rootfs", "linux.rootfsPropagation", "/");
  return [
    host.call("mount", [0, "/", 0, BEFORE[propagation ?? "rslave"], 0], {
      what: `make the host's mounts ${propagation ?? "rslave"}`,
      hints: { [EPERM]: "a new mount namespace needs CAP_SYS_ADMIN" },
    }),
    ...(maySpreadToHost(propagation)
      ? separateParent(host, context.rootfs, propagation === "slave" ? "slave" : "private", slots)
      : []),
    ...takeNull(context, slots),
    ...takeRootfs(propagation, context, slots),
  ];
}

/**
 * pivot_root(2) wants the mount that the rootfs lies on not to be shared, and what is mounted on a shared one would appear on
 * the host. Only the root of a mount can be named for that, which some directory above the rootfs is.
 */
function separateParent(host: Serving, rootfs: string, to: "slave" | "private", slots: Slots): Step[] {
  const parts = rootfs.split("/").filter((part) => part !== "");
  const type = to === "slave" ? MS_SLAVE : MS_PRIVATE;
  const made = label(`made ${to}`);
  const steps: Step[] = [];
  for (let n = parts.length; n >= 0; n--) {
    const path = `/${parts.slice(0, n).join("/")}`;
    const no = label("not a mount");
    const what = `make the mount below the rootfs ${to}`;
    steps.push(
      host.call("mount", [0, path, 0, type, 0], { what, ...(n > 0 ? { on: { [EINVAL]: no } } : {}) }),
    );
    if (n > 0) steps.push(always({ serving: host, slots }, made), mark(no));
  }
  return [...steps, mark(made)];
}

/** CVE-2025-31133: what covers the masked paths is verified to be the null device, by descriptor. */
function takeNull(context: RootfsContext, slots: Slots): Step[] {
  const nothing = serving("rootfs", "", "/dev/null");
  const scope: Scope = { context, slots, path: "", serving: nothing };
  const isDevice = label("a character device");
  const isNull = label("the null device");
  const hints = { 0: "masked paths are covered with the host's null device, character device 1:3" };
  const what = "take the host's null device";
  return [
    nothing.call("open_tree", [AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC], {
      store: slots.mount,
      what,
    }),
    statusOf(scope, slots.mount),
    nothing.when({ slot: slots.status, offset: STATX.mode, mask: S_IFMT, value: S_IFCHR }, isDevice),
    nothing.fail(ENODEV, what, hints),
    mark(isDevice),
    nothing.when({ slot: slots.status, offset: STATX.rdev, mask: -1, value: rdevValue(1, 3) }, isNull),
    nothing.fail(ENODEV, what, hints),
    mark(isNull),
    ...moveDescriptor(nothing, slots.mount, nullDescriptor(context.descriptors)),
  ];
}

function takeRootfs(
  propagation: RootfsPropagation | undefined,
  context: RootfsContext,
  slots: Slots,
): Step[] {
  const root = serving("rootfs", "root.path", context.rootfs);
  const flags = OPEN_TREE_CLONE | AT_RECURSIVE | OPEN_TREE_CLOEXEC;
  // A root that is to follow the host stays the slave that its copy is.
  const isSlave = propagation === "slave" || propagation === "rslave";
  return [
    root.call("open_tree", [AT_FDCWD, context.rootfs, flags], {
      store: slots.mount,
      what: "open the root file system",
      hints: ROOT_HINTS,
    }),
    ...(isSlave ? [] : propagationSteps(root, slots.mount, [{ type: MS_PRIVATE, recursive: false }])),
    root.call("move_mount", [slots.mount, "", AT_FDCWD, context.rootfs, MOVE_MOUNT_F_EMPTY_PATH], {
      what: "make the root file system a mount",
      hints: { [ENOTDIR]: ROOT_HINTS[ENOTDIR] },
    }),
    ...moveDescriptor(root, slots.mount, context.descriptors.rootfs),
  ];
}

const ROOT_HINTS = {
  [ENOENT]: "root.path is relative to the bundle",
  [ENOTDIR]: "root.path must be a directory",
  [EACCES]: "the container's root user must be able to search every directory that leads to the rootfs",
  [EINVAL]: "the rootfs lies on a mount that is unbindable",
};

/** Gives a descriptor a fixed number; it may have that one already, which dup3(2) answers with EINVAL. */
export function moveDescriptor(serving: Serving, from: Slot, to: number): Step[] {
  const same = label("same");
  return [
    serving.call("dup3", [from, to, O_CLOEXEC], { on: { [EINVAL]: same } }),
    serving.call("close", [from]),
    mark(same),
  ];
}

/** Opens the rootfs for a container that shares the host's mounts: it is no mount then, only a directory. */
export function plainRootSteps(context: RootfsContext, slots: Slots): Step[] {
  const root = serving("rootfs", "root.path", context.rootfs);
  return [
    root.call("open_tree", [AT_FDCWD, context.rootfs, OPEN_TREE_CLOEXEC], {
      store: slots.mount,
      what: "open the root file system",
      hints: ROOT_HINTS,
    }),
    ...moveDescriptor(root, slots.mount, context.descriptors.rootfs),
  ];
}

/** The propagation of the container's own root, once it is that. */
export function rootPropagationSteps(propagation: RootfsPropagation | undefined, rootfs: number): Step[] {
  const after = propagation === undefined ? undefined : AFTER[propagation];
  if (after === undefined) return [];
  return propagationSteps(serving("paths", "linux.rootfsPropagation", "/"), rootfs, [after]);
}
