import { BerthError } from "../errors.ts";
import {
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../linux/constants.ts";

/** How a cgroup below the mount is opened: cgroupfs has no symlinks; that nothing is mounted over a part of the path is what is left to check. */
export const RESOLVE_CGROUP = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

/** Which cgroup: all that later commands need, and what the state keeps. */
export interface CgroupPlace {
  /** Where cgroup2 is mounted on the host. */
  readonly mount: string;
  /** Path below it, absolute: "/docker/abc". Never "/". */
  readonly path: string;
}

/**
 * The cgroup's path in the host's file system.
 * @throws BerthError for the root or a path that leads out, so that no damaged state makes us kill or remove the host's own
 */
export function directoryOf({ mount, path }: CgroupPlace): string {
  if (!/^\/[^/]/.test(path) || path.split("/").includes("..")) {
    throw new BerthError("invalid-state", `"${path}" is not the path of a container's cgroup`);
  }
  return mount + path;
}

/** "/a", "/a/b", "/a/b/c" for the last of them. */
export function pathsTo(path: string): string[] {
  const parts = path.split("/").slice(1);
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join("/")}`);
}

/**
 * Where `linux.cgroupsPath` leads in the v2 hierarchy; config-linux.md "Cgroups Path".
 *
 * An absolute path starts at the mount. A relative one starts, as with runc, at the parent of the runtime's own cgroup:
 * that one holds processes, and a cgroup with processes cannot give controllers to its children. None at all: "/ID", or,
 * for a caller who may make none there, "ID": a user may own the cgroup above its own.
 *
 * @param rootless the caller has not the rights of the host's root
 * @param own the runtime's own cgroup, only asked for when it matters
 * @throws BerthError "invalid-config"
 */
export function cgroupPath(
  cgroupsPath: string | undefined,
  id: string,
  own: () => string,
  rootless = false,
): string {
  const none = rootless ? id : `/${id}`;
  const wanted = cgroupsPath === undefined || cgroupsPath === "" ? none : cgroupsPath;
  const refuse = (why: string, hint?: string) =>
    new BerthError("invalid-config", `linux.cgroupsPath "${wanted}": ${why}`, { hint });
  if (/^[^/:]*:[^/:]*:[^/:]+$/.test(wanted)) {
    throw refuse(
      'has the form "slice:prefix:name" of the systemd cgroup driver',
      "use --systemd-cgroup for it, or give the path of a cgroup, such as /group/name",
    );
  }
  // Also keeps line breaks out, which cgroupfs refuses in a name.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\0-\x1f\x7f]/.test(wanted)) throw refuse("has a control character");
  const parts = wanted.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw refuse('must not have ".." in it');
  if (parts.length === 0) throw refuse("names no cgroup of its own");
  const below = wanted.startsWith("/") ? "" : parentOf(own());
  return `${below}/${parts.join("/")}`;
}

/** "" for a cgroup right below the root, and for the root. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
