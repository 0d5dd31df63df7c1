import { BerthError } from "../errors.ts";
import { O_DIRECTORY, O_PATH } from "../linux/constants.ts";
import { ENOENT, errnoText } from "../linux/errno.ts";
import { open, readTextIfThere, tryOpenInRoot, withDescriptor } from "../linux/file.ts";
import { type CgroupPlace, directoryOf, RESOLVE_CGROUP } from "./path.ts";

/**
 * The cgroup below a container's that `exec --cgroup` names: "sub", "/sub" and "a/b" are all below it.
 * @throws BerthError for one that leads out of it, and for those of cgroup v1 ("cpu:sub")
 */
export function subCgroup(place: CgroupPlace, wanted: readonly string[]): CgroupPlace {
  const [path = "", ...more] = wanted;
  const refuse = (why: string, hint?: string) =>
    new BerthError("invalid-option", `invalid --cgroup argument: ${path}${why}`, { hint });
  if (path.includes(":")) {
    const hint = "controllers are named for cgroup v1 only: give the path alone, as in --cgroup sub";
    throw refuse(" (names a controller)", hint);
  }
  if (more.length > 0) throw refuse(" (given more than once)");
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) {
    throw new BerthError("invalid-option", `bad sub cgroup path: ${path}`, {
      hint: "the process must stay in the container's cgroup",
    });
  }
  return { ...place, path: [place.path, ...parts].join("/") };
}

/**
 * Opens a cgroup, for clone3 to start a process in.
 * @returns a descriptor; undefined when there is no such cgroup @throws BerthError
 */
export function tryOpenCgroup(place: CgroupPlace): number | undefined {
  directoryOf(place);
  const fd = withDescriptor(open(place.mount, O_PATH | O_DIRECTORY), (mount) =>
    tryOpenInRoot(mount, place.path.slice(1), O_PATH | O_DIRECTORY, 0, RESOLVE_CGROUP),
  );
  if (fd === -ENOENT) return undefined;
  if (fd < 0) throw new BerthError("cgroup", `open cgroup "${place.path}": ${errnoText(-fd)}`);
  return fd;
}

/**
 * The cgroup that a container's init is in, when that is one below the container's: a container that runs systemd makes them for its
 * processes, and then its own holds none (cgroup-v2.rst "No Internal Process Constraint").
 */
export function cgroupOfInit(place: CgroupPlace, pid: number): CgroupPlace | undefined {
  const text = readTextIfThere(`/proc/${pid}/cgroup`) ?? "";
  const path = /^0::(\/.*)$/m.exec(text)?.[1];
  return path?.startsWith(`${place.path}/`) ? { ...place, path } : undefined;
}
