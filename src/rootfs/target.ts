import {
  AT_EMPTY_PATH,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
  S_IFDIR,
  S_IFMT,
  STATX_BASIC_STATS,
} from "../linux/constants.ts";
import { EAGAIN, EEXIST, ELOOP, ENOENT, EXDEV } from "../linux/errno.ts";
import { addressOf, label, mark } from "../plan/build.ts";
import type { Label, Slot, Step, Struct } from "../plan/step.ts";
import { always, type Scope } from "./scope.ts";
import { IN_ROOT, OPEN_HOW_SIZE, openHow, STATX } from "./structs.ts";

/**
 * With RESOLVE_IN_ROOT the kernel gives up with EAGAIN on a ".." (symlinks may have one) while anything on the host is being
 * mounted or renamed, and asks to try again; man 2 openat2. A Plan has no loops, so the tries are written out.
 */
const TRIES = 4;

const IN_ROOT_NO_SYMLINKS = openHow(O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
const IN_ROOT_NOFOLLOW = openHow(O_PATH | O_CLOEXEC | O_NOFOLLOW, RESOLVE_IN_ROOT);

const HINTS = {
  [ELOOP]: "a symlink is not allowed here, or it leads in a circle",
  [EXDEV]: "the path leads through a link of /proc, out of the container's root file system",
};

/** Names `path` inside the rootfs: no symlink and no ".." leads out of it. */
export function openInRoot(
  scope: Scope,
  path: string,
  into: Slot,
  on: Readonly<Record<number, Label | "next">> = {},
  how: Struct = IN_ROOT,
): Step[] {
  const { serving, context } = scope;
  const args = [context.descriptors.rootfs, path, how, OPEN_HOW_SIZE];
  const what = `open "${path}" in the root file system`;
  const detail = { store: into, what, hints: HINTS };
  if (how === IN_ROOT_NO_SYMLINKS) return [serving.call("openat2", args, { ...detail, on })];
  const opened = label("opened");
  const steps: Step[] = [];
  for (let left = TRIES - 1; left > 0; left--) {
    const again = label("try again");
    steps.push(
      serving.call("openat2", args, { ...detail, on: { ...on, [EAGAIN]: again } }),
      always(scope, opened),
      mark(again),
    );
  }
  steps.push(serving.call("openat2", args, { ...detail, on }), mark(opened));
  return steps;
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
 * Opens a target into `slots.target`, and makes it first when it is missing.
 * @param existed steps for a target that was there before
 */
export function targetSteps(scope: Scope, target: Target, existed: readonly Step[] = []): Step[] {
  const { slots } = scope;
  const missing = label("missing");
  const there = label("there");
  const how = HOW[target.symlinks];
  return [
    ...openInRoot(scope, target.path, slots.target, { [ENOENT]: missing }, how),
    ...existed,
    always(scope, there),
    mark(missing),
    ...(typeof target.type === "string"
      ? makeDirectory(scope, target.path, how)
      : makeLike(scope, target.path, target.type)),
    ...openInRoot(scope, target.path, slots.target, {}, how),
    mark(there),
  ];
}

/** Makes the last component; whenever that does not do (no parent, a dangling symlink), the runtime walks the path. */
function makeDirectory(scope: Scope, path: string, how: Struct): Step[] {
  const { serving, slots, context } = scope;
  const ask = label("ask");
  const made = label("made");
  const slash = path.lastIndexOf("/");
  const parentHow = how === IN_ROOT_NO_SYMLINKS ? how : IN_ROOT;
  return [
    ...openInRoot(scope, path.slice(0, slash) || "/", slots.parent, { [ENOENT]: ask }, parentHow),
    serving.call("mkdirat", [slots.parent, path.slice(slash + 1), 0o755], {
      on: { [EEXIST]: ask },
      what: "make the mount's target",
    }),
    always(scope, made),
    mark(ask),
    ...context.requests.ask(serving, { kind: "make-path", path, type: "directory", of: scope.path }),
    mark(made),
  ];
}

/** Makes a directory or an empty file: what is mounted says which, and only when the Plan runs. */
function makeLike(scope: Scope, path: string, like: Slot): Step[] {
  const { serving, slots, context } = scope;
  const directory = label("directory");
  const made = label("made");
  const ask = (type: "directory" | "file") =>
    context.requests.ask(serving, { kind: "make-path", path, type, of: scope.path });
  return [
    statusOf(scope, like),
    serving.when({ slot: slots.status, offset: STATX.mode, mask: S_IFMT, value: S_IFDIR }, directory),
    ...ask("file"),
    always(scope, made),
    mark(directory),
    ...ask("directory"),
    mark(made),
  ];
}

/** Fills `slots.status` with what a descriptor refers to. */
export function statusOf({ serving, slots }: Scope, fd: Slot): Step {
  return serving.call("statx", [fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, addressOf(slots.status)]);
}
