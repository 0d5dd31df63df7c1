import { BerthError } from "../errors.ts";
import { MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH } from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM } from "../linux/errno.ts";
import { label, mark, serving } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import type { Mount, Spec } from "../spec/config.ts";
import { bindSteps, copySymlink } from "./bind.ts";
import { cgroupSteps } from "./cgroup-mount.ts";
import { checkDestination, type Destination, refuseProc, requireProc } from "./destination.ts";
import { fileSystemSteps, inheritMode, needsMount2, newMountAttributes } from "./filesystem.ts";
import { type MountOptions, type Propagation, parseMountOptions } from "./mount-options.ts";
import { mount2Steps, remountSteps } from "./mount2.ts";
import { propagationSteps } from "./propagation.ts";
import { always, closeTemporary, type RootfsContext, type Scope, type Slots } from "./scope.ts";
import { type Target, targetSteps } from "./target.ts";

/** One entry of config.json's mounts, understood. */
interface Entry {
  readonly path: string;
  readonly mount: Mount;
  readonly type: string;
  readonly options: MountOptions;
  readonly destination: Destination;
}

/**
 * The mounts of config.json, in its order; runtime-spec, config.md "Mounts".
 * @throws BerthError "invalid-config" for what can be told from the text alone
 */
export function mountListSteps(spec: Spec, context: RootfsContext, slots: Slots): Step[] {
  return (spec.mounts ?? []).flatMap((mount, i) => {
    const entry = understand(mount, i);
    const { path } = entry;
    const scope: Scope = { context, path, slots, serving: serving("mounts", path, mount.destination) };
    return [...entrySteps(scope, entry), closeTemporary(scope)];
  });
}

/** Mounts that are writable until everything inside them has been made, and read-only from then on. */
export function readOnlyInTheEnd(spec: Spec): { readonly path: string; readonly destination: string }[] {
  const entries = (spec.mounts ?? []).map(understand);
  return entries
    .filter(
      (entry, i) =>
        isLateReadOnly(entry) &&
        (newMountAttributes(entry.options) & MOUNT_ATTR_RDONLY) !== 0 &&
        // Covered by a later one, it cannot be reached any more, and needs not be.
        !entries.slice(i + 1).some((later) => later.destination.path === entry.destination.path),
    )
    .map(({ path, destination }) => ({ path, destination: destination.path }));
}

/** Whether the host's /dev, or some other, is the container's as it stands: then nothing is made in it. */
export function hasForeignDev(spec: Spec): boolean {
  return (spec.mounts ?? []).map(understand).some(isBindOnDev);
}

const isBindOnDev = ({ options, destination }: Entry) => options.bind && destination.path === "/dev";

function isLateReadOnly({ type, options, destination }: Entry): boolean {
  return !options.bind && !options.remount && (type === "tmpfs" || destination.path === "/dev");
}

function understand(mount: Mount, i: number): Entry {
  const path = `mounts[${i}]`;
  const given = parseMountOptions(mount.options ?? []);
  // The kernel has no such file system: with this type and without the option, a bind is what is meant.
  const options = mount.type === "bind" && !given.remount ? { ...given, bind: true } : given;
  const type = options.bind ? "bind" : mount.type;
  const refuse = (why: string, hint: string) =>
    new BerthError("invalid-config", `${path} ${mount.destination}: ${why}`, { hint });
  if (type === undefined) {
    throw refuse("type is missing", 'name the file system, or bind a path with the option "bind" or "rbind"');
  }
  const [data] = options.data;
  if (options.bind && data !== undefined) {
    throw refuse(
      `a bind mount takes no option "${data.text}"`,
      "is it misspelt, or meant for a new file system?",
    );
  }
  if (options.bind && !options.remount && mount.source === undefined) {
    throw refuse("a bind mount needs a source", "name the path on the host");
  }
  if (options.extensions.has("tmpcopyup") && type !== "tmpfs") {
    throw refuse(`tmpcopyup is not possible with ${type}`, "only a tmpfs can be filled with what it covers");
  }
  if (options.extensions.has("idmap") || options.extensions.has("ridmap")) {
    throw refuse("id-mapped mounts are not supported yet", 'remove the option "idmap" or "ridmap"');
  }
  return {
    path,
    mount,
    type,
    options,
    destination: checkDestination(path, mount.destination, type, options.bind),
  };
}

function entrySteps(scope: Scope, entry: Entry): Step[] {
  const { mount, type, options, destination } = entry;
  if (options.remount) return remountSteps(scope, destination.path, mount.source, type, options);
  if (options.bind) return bindEntry(scope, entry);
  const late = isLateReadOnly(entry);
  const attributes = newMountAttributes(options) & (late ? ~MOUNT_ATTR_RDONLY : ~0);
  const fileSystem = { type, source: mount.source, options, attributes };
  const target = targetOf(destination, options, "directory");
  const notProc = destination.notProc ? refuseProc(scope, scope.slots.target) : [];
  if (type === "cgroup" || type === "cgroup2") {
    return [
      ...cgroupSteps(scope, mount.source, options),
      ...targetSteps(scope, target),
      ...notProc,
      ...attach(scope, options.propagation),
    ];
  }
  if (needsMount2(fileSystem)) {
    return [...targetSteps(scope, target), ...notProc, ...mount2Steps(scope, destination.path, fileSystem)];
  }
  return [
    ...(type === "sysfs" && scope.context.userNamespace
      ? sysfsOrBind(scope, fileSystem)
      : fileSystemSteps(scope, fileSystem)),
    ...targetSteps(scope, target, type === "tmpfs" ? coveringSteps(scope, destination.path, options) : []),
    ...notProc,
    ...attach(scope, options.propagation),
  ];
}

function targetOf(destination: Destination, options: MountOptions, type: Target["type"]): Target {
  if (destination.refuseSymlinks) return { path: destination.path, type, symlinks: "refuse" };
  const symlinks = options.extensions.has("dest-nofollow") ? "keep-last" : "follow";
  return { path: destination.path, type, symlinks };
}

function bindEntry(scope: Scope, { mount, options, destination }: Entry): Step[] {
  const { context, slots } = scope;
  const source = absolute(mount.source ?? "", context.bundle);
  const { recursive, attributes, recursiveAttributes, extensions } = options;
  const noFollow = extensions.has("src-nofollow");
  const bound: Step[] = [
    ...bindSteps(scope, { source, recursive, noFollow, attributes, recursiveAttributes }),
    ...(destination.sourceIsProc ? requireProc(scope, slots.mount) : []),
    ...targetSteps(scope, targetOf(destination, options, slots.mount)),
    ...(destination.notProc ? refuseProc(scope, slots.target) : []),
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

/** In a user namespace whose network is not its own, the kernel refuses a new sysfs: the host's is shown, read-only. */
function sysfsOrBind(scope: Scope, fileSystem: Parameters<typeof fileSystemSteps>[1]): Step[] {
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
