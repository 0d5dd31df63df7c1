import { BerthError } from "../errors.ts";
import {
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  CLONE_NEWUSER,
  O_RDONLY,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  SIGKILL,
} from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { EINVAL, ENOENT, EPERM, systemError } from "../linux/errno.ts";
import { close, open, withDescriptor } from "../linux/file.ts";
import { fileSystemName, tryOpenTree, trySetIdMap } from "../linux/mount.ts";
import { effectiveIds, tryPidfdSignal, waitPidfd } from "../linux/process.ts";
import { scoped } from "../linux/scope.ts";
import { socketPair } from "../linux/socket.ts";
import { spawn } from "../linux/spawn.ts";
import { type IdMaps, mappedId } from "../namespaces/id-maps.ts";
import { type Entry, understandMounts } from "../rootfs/entry.ts";
import type { Spec } from "../spec/config.ts";
import type { IdMapping } from "../spec/linux.ts";
import { type OptionMapping, parseOptionMaps } from "../spec/mount-id-map.ts";
import { hasNewNamespace, namespaceOf } from "../spec/namespaces.ts";
import type { Bundle } from "./bundle.ts";
import { performOn, stepsForIdMaps } from "./init-actions.ts";

/** The id-mapped mounts of a container in the making. */
export interface IdMappedMounts {
  /** Maps the ids of a mount that is attached nowhere. @param number its place in mounts @throws BerthError */
  apply(number: number, mount: number, recursive: boolean): void;
  /** Gives back what was prepared. */
  close(): void;
}

/**
 * Makes the user namespaces whose mappings the mounts of config.json are to have, and tries them on the sources, so that what the
 * kernel or a file system cannot do is known before anything of the container is there.
 * @param rootfs the container's, absolute
 * @throws BerthError that names the mount and its file system
 */
export function prepareIdMaps({ path, spec }: Bundle, rootfs: string): IdMappedMounts {
  const namespaces = new Map<string, number>();
  const byMount = new Map<number, { entry: Entry; namespace: number }>();
  const finish = () => {
    for (const fd of namespaces.values()) close(fd);
  };
  const apply: IdMappedMounts["apply"] = (number, mount, recursive) => {
    const found = byMount.get(number);
    if (found === undefined) throw new BerthError("protocol", `mounts[${number}] has no id mappings`);
    const result = trySetIdMap(mount, found.namespace, recursive);
    if (result < 0) throw refused(-result, found.entry, path);
  };
  try {
    for (const entry of understandMounts(spec.mounts)) {
      if (entry.idMap === undefined) continue;
      if (effectiveIds().uid !== 0) {
        throw new BerthError(
          "unsupported",
          `${entry.path} ${entry.destination.path}: id mappings take root`,
          {
            hint: NEEDS,
          },
        );
      }
      const namespace = namespaceFor(entry, spec, namespaces);
      byMount.set(entry.number, { entry, namespace });
      probe(entry, path, rootfs, (mount) => apply(entry.number, mount, entry.idMap?.recursive === true));
    }
  } catch (error) {
    finish();
    throw error;
  }
  return { apply, close: finish };
}

/** Mounts with the same mappings share a namespace. */
function namespaceFor(entry: Entry, spec: Spec, known: Map<string, number>): number {
  const maps = mapsFor(entry, spec);
  const key = JSON.stringify(maps);
  let fd = known.get(key);
  if (fd === undefined) {
    fd = typeof maps === "string" ? open(maps, O_RDONLY) : makeNamespace(maps, entry.path);
    known.set(key, fd);
  }
  return fd;
}

/** The mappings of a mount, or the path of the user namespace that has them: that which the container joins. */
function mapsFor({ path, mount, idMap }: Entry, spec: Spec): IdMaps | string {
  const { uidMappings = [], gidMappings = [] } = mount;
  if (uidMappings.length > 0) return { uidMappings, gidMappings };
  if (idMap?.text === undefined) {
    if (hasNewNamespace(spec, "user")) return spec.linux;
    return namespaceOf(spec, "user")?.path ?? "/proc/self/ns/user";
  }
  const maps = parseOptionMaps(idMap.text) ?? { uids: [], gids: [] };
  const at = `${path}.options[${idMap.option}]`;
  return {
    uidMappings: maps.uids.map((mapping) => onHost(mapping, spec.linux.uidMappings, at)),
    gidMappings: maps.gids.map((mapping) => onHost(mapping, spec.linux.gidMappings, at)),
  };
}

/** "@": the second number is an id in the container. */
function onHost(mapping: OptionMapping, mappings: readonly IdMapping[] | undefined, at: string): IdMapping {
  const { containerID, hostID, size, relative } = mapping;
  if (!relative) return { containerID, hostID, size };
  const first = mappedId(hostID, mappings);
  const last = mappedId(hostID + size - 1, mappings);
  if (first === undefined || last !== first + size - 1) {
    throw new BerthError(
      "invalid-config",
      `${at}: "@${containerID}-${hostID}-${size}": no single mapping of linux.uidMappings or gidMappings covers ids ${hostID} to ${hostID + size - 1}`,
    );
  }
  return { containerID, hostID: first, size };
}

/** A descriptor of a new user namespace with these maps. Its only process ends at once; the descriptor keeps it. */
function makeNamespace(maps: IdMaps, path: string): number {
  return scoped((scope) => {
    const [ours, theirs] = socketPair().map(scope.keep) as [number, number];
    const child = spawn({
      create: CLONE_NEWUSER,
      joins: [],
      cgroup: undefined,
      // For a byte that never comes: it executes nothing.
      waits: true,
      becomeRoot: false,
      executor: ours,
      argv: ["", "", ""],
      descriptors: [{ from: theirs, to: 3 }],
      closeFrom: 4,
    });
    scope.keep(child.pidfd);
    try {
      performOn(child.pid, stepsForIdMaps(maps, path));
      return open(`/proc/${child.pid}/ns/user`, O_RDONLY);
    } finally {
      tryPidfdSignal(child.pidfd, SIGKILL);
      waitPidfd(child.pidfd);
    }
  });
}

/**
 * Maps the ids of a copy of the source, which nobody sees. Not of one inside the rootfs: other mounts may be there by the time.
 */
function probe(
  { mount, options, path, destination }: Entry,
  bundle: string,
  rootfs: string,
  apply: (mount: number) => void,
): void {
  if (!options.bind) return;
  const source = absolute(mount.source ?? "", bundle);
  if (`${source}/`.startsWith(`${rootfs}/`)) return;
  const flags =
    OPEN_TREE_CLONE |
    OPEN_TREE_CLOEXEC |
    (options.recursive ? AT_RECURSIVE : 0) |
    (options.extensions.has("src-nofollow") ? AT_SYMLINK_NOFOLLOW : 0);
  const tree = tryOpenTree(source, flags);
  // An earlier mount may bring it.
  if (tree === -ENOENT) return;
  if (tree < 0) {
    throw systemError(-tree, `${path} ${destination.path}: bind source "${source}"`, {
      hint: tree === -EPERM ? NEEDS : undefined,
    });
  }
  withDescriptor(tree, apply);
}

const NEEDS =
  "an id-mapped mount needs CAP_SYS_ADMIN in the user namespace that owns the file system, which for most is the host's";

function refused(
  errno: number,
  { path, type, mount, destination, options }: Entry,
  bundle: string,
): BerthError {
  const source = absolute(mount.source ?? "", bundle);
  const fileSystem = options.bind ? (fileSystemName(source) ?? "unknown") : type;
  const below = options.recursive ? ", or one mounted below it," : "";
  const hints: Readonly<Record<number, string>> = {
    [EPERM]: `${NEEDS}; nor can a mount be mapped that is id-mapped already`,
    [EINVAL]: `the file system "${fileSystem}"${below} does not support id-mapped mounts in this kernel`,
  };
  const what = options.bind ? `bind of "${source}"` : "mount";
  return systemError(errno, `${path} ${destination.path}: map the ids of the ${what} (${fileSystem})`, {
    hint: hints[errno],
  });
}
