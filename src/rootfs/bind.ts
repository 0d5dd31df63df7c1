import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from "../linux/constants.ts";
import { EACCES, EEXIST, EINVAL, ENOENT, EPERM } from "../linux/errno.ts";
import { addressOf, label, mark, slot } from "../plan/build.ts";
import type { Label, Slot, Step } from "../plan/step.ts";
import { type Attributes, isEmpty } from "./mount-options.ts";
import { always, type Scope } from "./scope.ts";
import { MOUNT_ATTR_SIZE, mountAttr } from "./structs.ts";
import { openInRoot } from "./target.ts";

/** What is to be shown a second time. */
export interface Bind {
  /** Absolute path on the host. */
  readonly source: string;
  /** Submounts too. */
  readonly recursive: boolean;
  /** Whether a last component that is a symlink is bound itself. */
  readonly noFollow?: boolean;
  /** config.json names it; the runtime opens it when the root of the container's user namespace cannot reach it. */
  readonly isOwnSource?: boolean;
  readonly attributes: Attributes;
  readonly recursiveAttributes: Attributes;
}

/**
 * Makes a copy of a host path's mount in `slots.mount`, attached nowhere, and changes its attributes there: the container
 * never sees it otherwise. An attribute that no option names stays what it is at the source.
 * @param on errnos of a missing source that are no failure
 */
export function bindSteps(
  scope: Scope,
  { source, recursive, noFollow = false, attributes, recursiveAttributes, isOwnSource = false }: Bind,
  on: Readonly<Record<number, Label>> = {},
): Step[] {
  const flags =
    OPEN_TREE_CLONE |
    OPEN_TREE_CLOEXEC |
    (recursive ? AT_RECURSIVE : 0) |
    (noFollow ? AT_SYMLINK_NOFOLLOW : 0);
  const { serving, slots, context } = scope;
  const unreachable = label("unreachable");
  const opened = label("opened");
  const asks = isOwnSource && context.userNamespace;
  return [
    serving.call("open_tree", [AT_FDCWD, source, flags], {
      store: slots.mount,
      on: asks ? { [EACCES]: unreachable } : on,
      what: `bind source "${source}"`,
      hints: {
        [ENOENT]: "a bind mount's source must exist on the host; berth does not create it",
        [EACCES]: "the container's root user must be able to search every directory that leads to the source",
        [EINVAL]: "the source is unbindable, or it has submounts that only rbind can show",
        [EPERM]: "a bind mount needs CAP_SYS_ADMIN",
      },
    }),
    ...(asks
      ? [
          serving.jump(opened),
          mark(unreachable),
          ...context.requests.askDescriptor(
            serving,
            { kind: "open-tree", source, flags, of: scope.path },
            slots.mount,
          ),
          mark(opened),
        ]
      : []),
    ...attributeSteps(scope, slots.mount, attributes, false),
    ...attributeSteps(scope, slots.mount, recursiveAttributes, true),
  ];
}

/** Changes the attributes of a mount, given by the descriptor of its root. */
export function attributeSteps(
  { serving }: Scope,
  mount: Slot,
  attributes: Attributes,
  recursive: boolean,
): Step[] {
  if (isEmpty(attributes)) return [];
  const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return [
    serving.call("mount_setattr", [mount, "", flags, mountAttr(attributes), MOUNT_ATTR_SIZE], {
      what: "set the mount's options",
      hints: {
        [EPERM]:
          "in a user namespace, what the host has set on the source (ro, nosuid, nodev, noexec, its atime option) cannot be cleared",
        [EINVAL]: "the kernel or the file system does not know one of these options",
      },
    }),
  ];
}

/** Longest target of a symlink, its NUL included. */
const PATH_MAX = 4096;

/**
 * "copy-symlink": a source that is a symlink is made anew in the container instead of being followed.
 * @param otherwise where to go on when it is none
 */
export function copySymlink(scope: Scope, source: string, target: string, otherwise: Label): Step[] {
  const { serving, slots, context } = scope;
  const link = slot("link", PATH_MAX);
  const old = slot("old", PATH_MAX);
  const name = target.slice(target.lastIndexOf("/") + 1);
  const parent = target.slice(0, target.lastIndexOf("/")) || "/";
  const ask = label("ask");
  const opened = label("opened");
  const present = label("present");
  const done = label("done");
  const make = serving.call("symlinkat", [addressOf(link), slots.parent, name], {
    on: { [EEXIST]: present },
    what: "make the symlink",
  });
  return [
    serving.call("readlinkat", [AT_FDCWD, source, addressOf(link), PATH_MAX - 1], {
      on: { [EINVAL]: otherwise },
      what: `read the symlink "${source}"`,
    }),
    openInRoot(scope, parent, slots.parent, { [ENOENT]: ask }),
    always(scope, opened),
    mark(ask),
    ...context.requests.ask(serving, { kind: "make-path", path: parent, type: "directory", of: scope.path }),
    openInRoot(scope, parent, slots.parent),
    mark(opened),
    make,
    always(scope, done),
    mark(present),
    // The container ran before on the same rootfs. Anything but a symlink is not ours to remove.
    serving.call("readlinkat", [slots.parent, name, addressOf(old), PATH_MAX], {
      what: "replace the symlink",
      hints: { [EINVAL]: "the destination exists and is no symlink" },
    }),
    serving.call("unlinkat", [slots.parent, name, 0], { what: "replace the symlink" }),
    serving.call("symlinkat", make.args, { what: "make the symlink" }),
    mark(done),
  ];
}
