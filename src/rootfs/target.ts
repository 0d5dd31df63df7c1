import {
  AT_EMPTY_PATH,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  STATX_BASIC_STATS,
} from "../linux/constants.ts";
import { EAGAIN, EEXIST, ELOOP, ENOENT, EXDEV } from "../linux/errno.ts";
import { addressOf, label, mark } from "../plan/build.ts";
import type { Label, Slot, Step, Struct } from "../plan/step.ts";
import { always, type Scope } from "./scope.ts";
import { IN_ROOT, OPEN_HOW_SIZE, openHow, STATX } from "./structs.ts";

const IN_ROOT_NO_SYMLINKS = openHow(O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
const IN_ROOT_NOFOLLOW = openHow(O_PATH | O_CLOEXEC | O_NOFOLLOW, RESOLVE_IN_ROOT);
const PLAIN = openHow(O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);

const HINTS = {
  [ELOOP]: "a symlink is not allowed here, or it leads in a circle",
  [EXDEV]: "the path leads through a link of /proc, out of the container's root file system",
};

/**
 * Names `path` inside the rootfs: no symlink and no ".." leads out of it. With RESOLVE_IN_ROOT the kernel gives up with EAGAIN on a
 * ".." (symlinks may have one) while anything on the host is being mounted or renamed, and asks to try again; man 2 openat2.
 * @param on errnos that are no failure
 */
export function openInRoot(
  scope: Scope,
  path: string,
  into: Slot,
  on: Readonly<Record<number, Label>> = {},
  how: Struct = IN_ROOT,
): Step {
  return scope.serving.call("openat2", [scope.context.descriptors.rootfs, path, how, OPEN_HOW_SIZE], {
    store: into,
    on: how === IN_ROOT_NO_SYMLINKS ? on : { [EAGAIN]: "again", ...on },
    what: "open it in the root file system",
    hints: HINTS,
  });
}

/** How symlinks in a target are taken: followed inside the rootfs; the last one kept as it is; or none allowed at all. */
export type Symlinks = "follow" | "keep-last" | "refuse";

const HOW: Readonly<Record<Symlinks, Struct>> = {
  follow: IN_ROOT,
  "keep-last": IN_ROOT_NOFOLLOW,
  refuse: IN_ROOT_NO_SYMLINKS,
};

/** Where a mount goes. */
export interface Target {
  /** Absolute and clean, in the container. */
  readonly path: string;
  readonly symlinks: Symlinks;
  /** What to make when nothing is there; a slot: what its descriptor is, directory or file. */
  readonly type: "directory" | Slot;
}

/**
 * Opens a target into `slots.target`. When it is missing the runtime makes it: only a walk can tell what is missing, and
 * that a symlink which dangles does not lead out of the rootfs.
 * @param existed steps for a target that was there before
 */
export function targetSteps(scope: Scope, target: Target, existed: readonly Step[] = []): Step[] {
  const { slots } = scope;
  const make = label("make it");
  const there = label("there");
  const how = HOW[target.symlinks];
  // The runtime's walk is as good as a second try, unless it matters whether the target was there before.
  const on = existed.length === 0 ? { [ENOENT]: make, [EAGAIN]: make } : { [ENOENT]: make };
  return [
    openInRoot(scope, target.path, slots.target, on, how),
    ...existed,
    always(scope, there),
    mark(make),
    ...askForPath(scope, target),
    openInRoot(scope, target.path, slots.target, {}, how),
    mark(there),
  ];
}

function askForPath(scope: Scope, { path, type }: Target): Step[] {
  const ask = (type: "directory" | "file") =>
    scope.context.requests.ask(scope.serving, { kind: "make-path", path, type, of: scope.path });
  if (typeof type === "string") return ask(type);
  const directory = label("directory");
  const made = label("made");
  return [
    statusOf(scope, type),
    isDirectory(scope, directory),
    ...ask("file"),
    always(scope, made),
    mark(directory),
    ...ask("directory"),
    mark(made),
  ];
}

/** As {@link targetSteps}, for a target right inside of a tmpfs that the Plan has mounted just before and that was empty. */
export function freshTargetSteps(scope: Scope, { path, type }: Target): Step[] {
  const { serving, slots } = scope;
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash + 1);
  const on = { [EEXIST]: "next" } as const;
  const what = "make the mount's target";
  const directory = label("directory");
  const made = label("made");
  const mkdir = serving.call("mkdirat", [slots.parent, name, 0o755], { on, what });
  return [
    openInRoot(scope, path.slice(0, slash) || "/", slots.parent),
    ...(typeof type === "string"
      ? [mkdir]
      : [
          statusOf(scope, type),
          isDirectory(scope, directory),
          serving.call("mknodat", [slots.parent, name, S_IFREG | 0o644, 0], { on, what }),
          always(scope, made),
          mark(directory),
          mkdir,
          mark(made),
        ]),
    serving.call("openat2", [slots.parent, name, PLAIN, OPEN_HOW_SIZE], { store: slots.target }),
  ];
}

function isDirectory({ serving, slots }: Scope, then: Label): Step {
  return serving.when({ slot: slots.status, offset: STATX.mode, mask: S_IFMT, value: S_IFDIR }, then);
}

/** Fills `slots.status` with what a descriptor refers to. */
export function statusOf({ serving, slots }: Scope, fd: Slot): Step {
  return serving.call("statx", [fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, addressOf(slots.status)]);
}
