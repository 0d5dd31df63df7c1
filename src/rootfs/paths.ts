import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  RESOLVE_NO_MAGICLINKS,
} from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { EACCES, EINVAL, ENOENT, ENOTDIR } from "../linux/errno.ts";
import { ALL32, label, mark, type Serving, serving } from "../plan/build.ts";
import type { Label, Step, Struct } from "../plan/step.ts";
import type { Spec } from "../spec/config.ts";
import { emptySteps } from "./cgroup-mount.ts";
import { readOnlyInTheEnd } from "./entry.ts";
import { always, nullDescriptor, type RootfsContext, type Scope, type Slots } from "./scope.ts";
import { MOUNT_ATTR_SIZE, OPEN_HOW_SIZE, openHow, READ_ONLY } from "./structs.ts";

/*
 * These steps run once the rootfs is "/", so that symlinks stay inside it without RESOLVE_IN_ROOT. Links of /proc would
 * not, and are refused.
 */
const ANYTHING = openHow(O_PATH | O_CLOEXEC, RESOLVE_NO_MAGICLINKS);
const DIRECTORY = openHow(O_PATH | O_CLOEXEC | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);

const CLONE = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
const ATTACH = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

/** Files that every procfs has in this form: that spares the question whether they are directories. */
const PROC_FILES: ReadonlySet<string> = new Set([
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/timer_list",
  "/proc/timer_stats",
]);

/** After so many paths descriptors are closed; each opens two. */
const BATCH = 16;

/** A path that does not exist, or that nobody here could reach, needs no protection. */
const absent = (to: Label) => ({ [ENOENT]: to, [ENOTDIR]: to, [EACCES]: to });

interface Listed {
  readonly path: string;
  readonly listedAs: string;
}

/** The paths of a list, each once. */
function distinct(paths: readonly string[] | undefined, list: string): Listed[] {
  const seen = new Map<string, Listed>();
  paths?.forEach((given, i) => {
    const path = absolute(`/${given}`);
    if (!seen.has(path)) seen.set(path, { path, listedAs: `linux.${list}[${i}]` });
  });
  return [...seen.values()];
}

/** linux.readonlyPaths: each is mounted on itself, read-only. */
export function readonlyPathSteps(spec: Spec, context: RootfsContext, slots: Slots): Step[] {
  return distinct(spec.linux.readonlyPaths, "readonlyPaths").flatMap(({ path, listedAs }, i) => {
    const here = serving("paths", listedAs, path);
    const next = label("next path");
    return [
      here.call("openat2", [AT_FDCWD, path, ANYTHING, OPEN_HOW_SIZE], {
        store: slots.target,
        on: absent(next),
      }),
      here.call("open_tree", [slots.target, "", CLONE | AT_RECURSIVE], { store: slots.mount }),
      here.call("mount_setattr", [slots.mount, "", AT_EMPTY_PATH, READ_ONLY, MOUNT_ATTR_SIZE]),
      here.call("move_mount", [slots.mount, "", slots.target, "", ATTACH], {
        what: "make the path read-only",
      }),
      mark(next),
      ...closeBatch(here, i, context.descriptors.temporary),
    ];
  });
}

/**
 * linux.maskedPaths: a directory is covered with an empty read-only tmpfs, anything else with the host's null device, which
 * was verified and taken by descriptor (CVE-2025-31133). One tmpfs serves all: each costs the kernel a superblock.
 */
export function maskedPathSteps(spec: Spec, context: RootfsContext, slots: Slots): Step[] {
  const masked = distinct(spec.linux.maskedPaths, "maskedPaths");
  if (masked.length === 0) return [];
  const empty = context.descriptors.temporary;
  const nothing = nullDescriptor(context.descriptors);
  const all: Scope = {
    context,
    slots,
    path: "linux.maskedPaths",
    serving: serving("paths", "linux.maskedPaths"),
  };
  const steps: Step[] = [
    all.serving.call("close_range", [empty, ALL32, 0]),
    ...emptySteps(all),
    // The first temporary number was the file system context's, which is done with.
    all.serving.call("dup3", [slots.mount, empty, 0], { on: { [EINVAL]: "next" } }),
  ];
  masked.forEach(({ path, listedAs }, i) => {
    const here: Scope = { ...all, path: listedAs, serving: serving("paths", listedAs, path) };
    const next = label("next path");
    const open = (how: Struct, on: Readonly<Record<number, Label>>) =>
      here.serving.call("openat2", [AT_FDCWD, path, how, OPEN_HOW_SIZE], { store: slots.target, on });
    const coverFile = () => [open(ANYTHING, absent(next)), ...cover(here, nothing, next)];
    if (PROC_FILES.has(path)) steps.push(...coverFile());
    else {
      const file = label("no directory");
      steps.push(
        open(DIRECTORY, { ...absent(next), [ENOTDIR]: file }),
        ...cover(here, empty, next),
        always(here, next),
        mark(file),
        ...coverFile(),
      );
    }
    steps.push(mark(next), ...closeBatch(here.serving, i, empty + 1));
  });
  steps.push(all.serving.call("close_range", [empty, ALL32, 0]));
  return steps;
}

/** Covers `slots.target` with a copy of a mount. Before Linux 6.15 one that is attached nowhere has no copy: it goes itself. */
function cover(scope: Scope, mount: number, done: Label): Step[] {
  const { serving, slots } = scope;
  const itself = label("the mount itself");
  const what = "cover the path";
  return [
    serving.call("open_tree", [mount, "", CLONE], { store: slots.mount, on: { [EINVAL]: itself } }),
    serving.call("move_mount", [slots.mount, "", slots.target, "", ATTACH], { what }),
    always(scope, done),
    mark(itself),
    serving.call("move_mount", [mount, "", slots.target, "", ATTACH], { what }),
  ];
}

function closeBatch(here: Serving, i: number, from: number): Step[] {
  return i % BATCH === BATCH - 1 ? [here.call("close_range", [from, ALL32, 0])] : [];
}

/** What had to be writable until now: tmpfs mounts, /dev, and the root itself (root.readonly). */
export function finalSteps(spec: Spec, context: RootfsContext): Step[] {
  const what = "make the mount read-only";
  const late = readOnlyInTheEnd(spec).map(({ path, destination }) =>
    serving("paths", path, destination.path).call(
      "mount_setattr",
      [AT_FDCWD, destination.path, 0, READ_ONLY, MOUNT_ATTR_SIZE],
      { what, hints: { [EINVAL]: "the mount is not there any more" } },
    ),
  );
  if (spec.root.readonly !== true) return late;
  const root = serving("paths", "root.readonly", "/");
  const { rootfs } = context.descriptors;
  return [
    ...late,
    root.call("mount_setattr", [rootfs, "", AT_EMPTY_PATH, READ_ONLY, MOUNT_ATTR_SIZE], { what }),
  ];
}
