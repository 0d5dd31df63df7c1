import { BerthError } from "../errors.ts";
import { MOUNT_ATTR_RDONLY } from "../linux/constants.ts";
import type { Mount, Spec } from "../spec/config.ts";
import { idMapOf, type MountIdMap } from "../spec/mount-id-map.ts";
import { checkDestination, type Destination } from "./destination.ts";
import { needsMount2, newMountAttributes } from "./filesystem.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";

/** One entry of config.json's mounts, understood. */
export interface Entry {
  /** "mounts[3]" */
  readonly path: string;
  readonly mount: Mount;
  /** The file system; "bind" for a bind mount. */
  readonly type: string;
  readonly options: MountOptions;
  readonly destination: Destination;
  /** Its place in mounts. */
  readonly number: number;
  readonly idMap: MountIdMap | undefined;
}

/** All of config.json's mounts. @throws BerthError "invalid-config" for what can be told from the text alone */
export function understandMounts(mounts: readonly Mount[] | undefined): Entry[] {
  return (mounts ?? []).map(understand);
}

/**
 * Understands entry `i` of mounts, as far as its text alone goes.
 * @throws BerthError "invalid-config"
 */
function understand(mount: Mount, i: number): Entry {
  const path = `mounts[${i}]`;
  const given = parseMountOptions(mount.options ?? []);
  // The kernel has no such file system: with this type and without the option, a bind is what is meant.
  const options = mount.type === "bind" && !given.remount ? { ...given, bind: true } : given;
  const type = options.bind ? "bind" : (mount.type ?? (options.remount ? "none" : undefined));
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
  if (options.extensions.has("tmpcopyup") && needsMount2({ options, source: mount.source })) {
    throw refuse("tmpcopyup is not possible with silent or iversion", "remove one of the options");
  }
  const idMap = idMapOf(mount);
  if (idMap !== undefined && !options.bind && needsMount2({ options, source: mount.source })) {
    throw refuse("an id-mapped mount is not possible with silent or iversion", "remove one of the options");
  }
  return {
    path,
    mount,
    type,
    options,
    destination: checkDestination(path, mount.destination, type, options.bind),
    number: i,
    idMap,
  };
}

/** Whether a mount is writable until everything inside it has been made: a tmpfs, and whatever is /dev. */
export function isLateReadOnly({ type, options, destination }: Entry): boolean {
  return !options.bind && !options.remount && (type === "tmpfs" || destination.path === "/dev");
}

/** The mounts that become read-only in the end, see {@link isLateReadOnly}. */
export function readOnlyInTheEnd(spec: Spec): Entry[] {
  // Mostly there is none, and then nothing is parsed a second time.
  if (!spec.mounts?.some(mayBeLate)) return [];
  const entries = understandMounts(spec.mounts);
  return entries.filter(
    (entry, i) =>
      isLateReadOnly(entry) &&
      (newMountAttributes(entry.options) & MOUNT_ATTR_RDONLY) !== 0 &&
      // Covered by a later one, it cannot be reached any more, and needs not be.
      !entries.slice(i + 1).some((later) => later.destination.path === entry.destination.path),
  );
}

function mayBeLate({ type, destination, options = [] }: Mount): boolean {
  if (type !== "tmpfs" && !destination.includes("dev")) return false;
  return options.some((option) => option === "ro" || option === "rro" || option.includes(","));
}

/** Whether the host's /dev, or some other, is the container's as it stands: then nothing is made in it. */
export function hasForeignDev(entries: readonly Entry[]): boolean {
  return entries.some(({ options, destination }) => options.bind && destination.path === "/dev");
}
