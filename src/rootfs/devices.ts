import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  RESOLVE_NO_SYMLINKS,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  STATX_BASIC_STATS,
} from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { EBUSY, EEXIST, ENOENT, EPERM } from "../linux/errno.ts";
import { ALL32, addressOf, label, mark, serving } from "../plan/build.ts";
import type { Label, Step } from "../plan/step.ts";
import type { Spec } from "../spec/config.ts";
import type { Device } from "../spec/linux.ts";
import { deviceNumber, rdevValue } from "./device-number.ts";
import { always, closeTemporary, type RootfsContext, type Scope, type Slots } from "./scope.ts";
import { OPEN_HOW_SIZE, openHow, STATX } from "./structs.ts";
import { openInRoot, statusOf, targetSteps } from "./target.ts";

/** A device node to make. */
interface Node {
  /** "linux.devices[2]", or "" for a default one. */
  readonly path: string;
  /** Where in the container; also where the host's own node is looked for. */
  readonly destination: string;
  readonly directory: string;
  readonly name: string;
  /** S_IFCHR, S_IFBLK or S_IFIFO. */
  readonly type: number;
  readonly mode: number;
  readonly major: number;
  readonly minor: number;
  readonly uid: number;
  readonly gid: number;
}

/** The devices that every container has; runtime-spec, config-linux.md "Default Devices". */
const DEFAULT_DEVICES: readonly Device[] = (
  [
    ["/dev/null", 1, 3],
    ["/dev/zero", 1, 5],
    ["/dev/full", 1, 7],
    ["/dev/random", 1, 8],
    ["/dev/urandom", 1, 9],
    ["/dev/tty", 5, 0],
  ] as const
).map(([path, major, minor]) => ({ type: "c", path, major, minor }));

/** Links in /dev; runtime-spec, runtime-linux.md "Dev symbolic links". */
const LINKS = [
  ["/proc/self/fd", "fd"],
  ["/proc/self/fd/0", "stdin"],
  ["/proc/self/fd/1", "stdout"],
  ["/proc/self/fd/2", "stderr"],
] as const;

const TYPES = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO } as const;

function nodeOf(device: Device, path: string): Node {
  const destination = absolute(`/${device.path}`);
  const slash = destination.lastIndexOf("/");
  return {
    path,
    destination,
    directory: destination.slice(0, slash) || "/",
    name: destination.slice(slash + 1),
    type: TYPES[device.type],
    mode: (device.fileMode ?? 0o666) & 0o7777,
    major: device.major ?? 0,
    minor: device.minor ?? 0,
    uid: device.uid ?? 0,
    gid: device.gid ?? 0,
  };
}

/** The nodes to make, by the directory that they lie in. One of linux.devices takes the place of a default one. */
function nodesByDirectory(devices: readonly Device[]): Map<string, Node[]> {
  const nodes = new Map<string, Node>();
  for (const device of DEFAULT_DEVICES) nodes.set(device.path, nodeOf(device, ""));
  devices.forEach((device, i) => {
    const node = nodeOf(device, `linux.devices[${i}]`);
    nodes.set(node.destination, node);
  });
  const directories = new Map<string, Node[]>();
  for (const node of nodes.values()) {
    const neighbours = directories.get(node.directory);
    if (neighbours === undefined) directories.set(node.directory, [node]);
    else neighbours.push(node);
  }
  return directories;
}

/**
 * Device nodes and links. Everything is made by descriptor of a directory that was opened inside the rootfs: a symlink of
 * the image leads nowhere else (CVE-2026-41579).
 * @param fresh directories that hold nothing but what the Plan has made
 * @param mounted where something has been mounted
 */
export function deviceSteps(
  spec: Spec,
  context: RootfsContext,
  slots: Slots,
  fresh: ReadonlySet<string>,
  mounted: ReadonlySet<string>,
): Step[] {
  const { userNamespace, mayMakeDevices = !userNamespace } = context;
  const steps: Step[] = [];
  for (const [directory, nodes] of nodesByDirectory(spec.linux.devices ?? [])) {
    const scope: Scope = {
      context,
      slots,
      path: "linux.devices",
      serving: serving("devices", "", directory),
    };
    const isFresh = fresh.has(directory);
    if (isFresh) steps.push(openInRoot(scope, directory, slots.target));
    else steps.push(...targetSteps(scope, { path: directory, symlinks: "follow", type: "directory" }));
    for (const node of nodes) {
      const own: Scope = {
        ...scope,
        path: node.path,
        serving: serving("devices", node.path, node.destination),
      };
      // In a user namespace the kernel refuses device nodes, and lets nobody open those of its file systems.
      if (!mayMakeDevices && node.type !== S_IFIFO) steps.push(...bindNode(own, node));
      else if (isFresh && !mounted.has(node.destination))
        steps.push(makeNode(own, node), ...ownerSteps(own, node));
      else steps.push(...makeOrVerifyNode(own, node));
    }
    if (directory === "/dev") steps.push(...linkSteps(scope));
    steps.push(closeTemporary(scope));
  }
  return steps;
}

/** Makes a node in the directory of `slots.target`. @param present where to go on when there is a file of this name */
function makeNode({ serving, slots }: Scope, node: Node, present?: Label): Step {
  const { name, type, mode, major, minor } = node;
  const number = type === S_IFIFO ? 0 : deviceNumber(major, minor);
  return serving.call("mknodat", [slots.target, name, type | mode, number], {
    what: "make the device",
    hints: MAKE_HINTS,
    ...(present === undefined ? {} : { on: { [EEXIST]: present } }),
  });
}

const MAKE_HINTS = { [EPERM]: "making a device needs CAP_MKNOD, and a device cgroup that allows it" };

function ownerSteps({ serving, slots }: Scope, { name, uid, gid }: Node): Step[] {
  if (uid === 0 && gid === 0) return [];
  const args = [slots.target, name, uid, gid, AT_SYMLINK_NOFOLLOW];
  return [serving.call("fchownat", args, { what: "give the device its owner" })];
}

/** A node that is there already must be the right one, of an earlier run perhaps; mode and owner are put right. */
function makeOrVerifyNode(scope: Scope, node: Node): Step[] {
  const { serving, slots } = scope;
  const { name, mode, uid, gid } = node;
  const present = label("present");
  const replace = label("replace");
  const made = label("made");
  const done = label("done");
  const status = [slots.target, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, addressOf(slots.status)];
  return [
    makeNode(scope, node, present),
    always(scope, made),
    mark(present),
    serving.call("statx", status),
    ...verify(scope, node, "a file that is not this device is there already"),
    serving.unless({ slot: slots.status, offset: STATX.mode, mask: 0o7777, value: mode }, replace),
    serving.unless({ slot: slots.status, offset: STATX.uid, mask: ALL32, value: uid }, replace),
    serving.when({ slot: slots.status, offset: STATX.gid, mask: ALL32, value: gid }, done),
    mark(replace),
    // Made anew: chmod would follow a symlink that took its place.
    serving.call("unlinkat", [slots.target, name, 0], {
      what: "replace the device",
      hints: { [EBUSY]: "something is mounted there" },
    }),
    makeNode(scope, node),
    mark(made),
    ...ownerSteps(scope, node),
    mark(done),
  ];
}

/** Fails unless `slots.status` is that of the device. */
function verify({ serving, slots }: Scope, { type, major, minor }: Node, hint: string): Step[] {
  const rightType = label("right type");
  const rightNumber = label("right number");
  const kind = type === S_IFCHR ? "character device" : type === S_IFBLK ? "block device" : "fifo";
  const what = type === S_IFIFO ? "verify the fifo" : `verify ${kind} ${major}:${minor}`;
  const steps: Step[] = [
    serving.when({ slot: slots.status, offset: STATX.mode, mask: S_IFMT, value: type }, rightType),
    serving.fail(EEXIST, what, { 0: hint }),
    mark(rightType),
  ];
  if (type === S_IFIFO) return steps;
  return [
    ...steps,
    serving.when(
      { slot: slots.status, offset: STATX.rdev, mask: -1, value: rdevValue(major, minor) },
      rightNumber,
    ),
    serving.fail(EEXIST, what, { 0: hint }),
    mark(rightNumber),
  ];
}

const KEEP_LAST = openHow(O_PATH | O_CLOEXEC | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);

/**
 * Shows the host's node instead of a new one, which is what a user namespace allows. It is verified by descriptor, so that
 * it does not matter what the host's path leads to. Mode and owner are the host's and stay so: the inode is the host's.
 */
function bindNode(scope: Scope, node: Node): Step[] {
  const { serving, slots } = scope;
  const { name, destination } = node;
  return [
    serving.call("mknodat", [slots.target, name, S_IFREG | 0o644, 0], {
      on: { [EEXIST]: "next" },
      what: "make the file that the host's device covers",
    }),
    serving.call("openat2", [slots.target, name, KEEP_LAST, OPEN_HOW_SIZE], { store: slots.parent }),
    serving.call("open_tree", [AT_FDCWD, destination, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC], {
      store: slots.mount,
      what: "take the host's device",
      hints: {
        [ENOENT]: "this process may not make devices, and the host has none with this name to show instead",
      },
    }),
    statusOf(scope, slots.mount),
    ...verify(scope, node, "the host's node of this name is another device"),
    serving.call(
      "move_mount",
      [slots.mount, "", slots.parent, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH],
      { what: "attach the host's device" },
    ),
    serving.call("close", [slots.mount]),
    serving.call("close", [slots.parent]),
  ];
}

function linkSteps(scope: Scope): Step[] {
  const { serving, slots } = scope;
  const noCore = label("no /proc/kcore");
  const present = label("present");
  const done = label("done");
  const link = (to: string, name: string) =>
    serving.call("symlinkat", [to, slots.target, name], {
      on: { [EEXIST]: "next" },
      what: `make the symlink /dev/${name}`,
    });
  const ptmx = ["pts/ptmx", slots.target, "ptmx"] as const;
  const what = "make the symlink /dev/ptmx";
  return [
    ...LINKS.map(([to, name]) => link(to, name)),
    serving.call("faccessat2", [AT_FDCWD, "/proc/kcore", 0, 0], { on: { [ENOENT]: noCore } }),
    link("/proc/kcore", "core"),
    mark(noCore),
    // A ptmx of the image would be the host's: terminals are to come from the container's own devpts.
    serving.call("symlinkat", ptmx, { what, on: { [EEXIST]: present } }),
    always(scope, done),
    mark(present),
    serving.call("unlinkat", [slots.target, "ptmx", 0], { what, on: { [EBUSY]: done } }),
    serving.call("symlinkat", ptmx, { what }),
    mark(done),
  ];
}
