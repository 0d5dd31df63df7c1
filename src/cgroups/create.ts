import { BerthError } from "../errors.ts";
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_PATH } from "../linux/constants.ts";
import { tryMkdir, tryRmdir } from "../linux/directory.ts";
import { check, EACCES, EAGAIN, EEXIST, ENOENT, EROFS, systemError } from "../linux/errno.ts";
import { close, open, readText, tryOpenInRoot, withDescriptor } from "../linux/file.ts";
import { isDirectory } from "../linux/status.ts";
import { serving, slot, struct } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import { enableControllers } from "./controllers.ts";
import { cgroupEvents } from "./events.ts";
import { kill } from "./kill.ts";
import { isGone, members } from "./members.ts";
import { type CgroupPlace, directoryOf, pathsTo, RESOLVE_CGROUP } from "./path.ts";
import { remove } from "./remove.ts";

/** A container's cgroup, while the container is being created. */
export interface Cgroup extends CgroupPlace {
  /** An O_PATH descriptor of its directory, as clone3's CLONE_INTO_CGROUP takes it. The owner closes it. */
  readonly directory: number;
  /** The cgroups that did not exist before, from the top down, by their path below the mount. */
  readonly made: readonly string[];
}

const DIRECTORY = O_PATH | O_DIRECTORY;
const MODE = 0o755;
/** cgroup-v2.rst "Threads". */
const THREADED: readonly string[] = ["cpu", "cpuset", "perf_event", "pids"];
const HINTS: Readonly<Partial<Record<number, string>>> = {
  [EACCES]: "making cgroups takes root, or a cgroup that was delegated to this user",
  [EROFS]: "the cgroup file system is mounted read-only: berth needs a writable one",
  [EAGAIN]:
    "a cgroup above limits how many there may be: see its cgroup.max.descendants and cgroup.max.depth",
};

/**
 * Makes a container's cgroup and those above it, as far as they are missing. After a failure, those that it made are gone.
 * @throws BerthError when it cannot, and "cgroup-in-use" for a cgroup that is there and holds processes, is frozen or threaded
 */
export function createCgroup(place: CgroupPlace): Cgroup {
  directoryOf(place);
  return withDescriptor(open(place.mount, DIRECTORY), (mount) => {
    const paths = pathsTo(place.path);
    const made: string[] = [];
    let directory = -1;
    try {
      makeDirectories(mount, paths, made);
      directory = check(
        tryOpenInRoot(mount, place.path.slice(1), DIRECTORY, 0, RESOLVE_CGROUP),
        `linux.cgroupsPath: open cgroup "${place.path}"`,
      );
      // A cgroup that is new all the way from the root can neither hold anything nor be frozen or threaded from above.
      if (made.length < paths.length) refuseUnfit(place, made.length > 0);
      return { ...place, directory, made };
    } catch (error) {
      if (directory >= 0) close(directory);
      removeMade(place.mount, made);
      throw error;
    }
  });
}

/**
 * Opens a cgroup that another has just made for the container alone.
 * @throws BerthError
 */
export function openCgroup(place: CgroupPlace): Cgroup {
  directoryOf(place);
  const directory = withDescriptor(open(place.mount, DIRECTORY), (mount) =>
    check(
      tryOpenInRoot(mount, place.path.slice(1), DIRECTORY, 0, RESOLVE_CGROUP),
      `linux.cgroupsPath: open cgroup "${place.path}"`,
    ),
  );
  return { ...place, directory, made: [place.path] };
}

/** From the top down; each gives its controllers to the next. */
function makeDirectories(mount: number, paths: readonly string[], made: string[]): void {
  let controllers = true;
  for (let i = 0, again = 0; i < paths.length; i++) {
    const path = paths[i] as string;
    if (controllers) controllers = enableControllers(mount, i === 0 ? "" : (paths[i - 1] as string));
    const result = tryMkdir(path.slice(1), MODE, mount);
    if (result === 0) made.push(path);
    else if (result === -ENOENT && again++ < 3) {
      // One above was there and went: another create, that had made it, failed and took it back. Once more from the top.
      i = -1;
      controllers = true;
    } else if (result !== -EEXIST) {
      throw systemError(-result, `linux.cgroupsPath: make cgroup "${path}"`, { hint: HINTS[-result] });
    }
  }
}

/**
 * Has every cgroup above one that is there give its controllers to the next, as far as may be: systemd does so with those that it
 * knows, of which hugetlb and rdma are none.
 */
export function enableAbove(place: CgroupPlace): void {
  withDescriptor(open(place.mount, DIRECTORY), (mount) => {
    for (const path of ["", ...pathsTo(place.path).slice(0, -1)]) {
      if (!enableControllers(mount, path)) return;
    }
  });
}

/** The calls that {@link createCgroup} makes, for `berth explain`. */
export function creationSteps(place: CgroupPlace): Step[] {
  const mount = slot("cgroup2");
  const on = (subject: string) => serving("cgroup", "linux.cgroupsPath", subject);
  const how = struct(24, [
    { name: "flags", offset: 0, size: 8, value: DIRECTORY | O_CLOEXEC },
    { name: "resolve", offset: 16, size: 8, value: RESOLVE_CGROUP },
  ]);
  return [
    on(place.mount).call("openat", [AT_FDCWD, place.mount, DIRECTORY | O_CLOEXEC, 0], { store: mount }),
    ...pathsTo(place.path).map((path) =>
      on(path).call("mkdirat", [mount, path.slice(1), MODE], { on: { [EEXIST]: "next" } }),
    ),
    on(place.path).call("openat2", [mount, place.path.slice(1), how, 24], { store: slot("cgroup") }),
  ];
}

/**
 * Refuses a cgroup that others use, before anything is remembered of it: when a create is killed, `delete --force` ends what is in the
 * cgroup that the create has remembered.
 * @throws BerthError "cgroup-in-use"
 */
export function refuseUsed(place: CgroupPlace): void {
  if (!isDirectory(directoryOf(place))) return;
  try {
    refuseUnfit(place, false);
  } catch (error) {
    // Removed meanwhile, it is going to be made anew.
    if (!isGone(error)) throw error;
  }
}

/** Nobody else may be in the cgroup: delete kills what is in there; and a frozen one would stop init for ever. */
function refuseUnfit(place: CgroupPlace, isNew: boolean): void {
  const refuse = (message: string, hint: string) => new BerthError("cgroup-in-use", message, { hint });
  const where = `linux.cgroupsPath "${place.path}"`;
  const events = cgroupEvents(place);
  if (events?.populated === true) {
    const count = members(place).length;
    const found = count === 0 ? "processes of another pid namespace" : `${count} process(es)`;
    throw refuse(
      `${where}: container's cgroup is not empty: ${found} found`,
      "give each container a cgroup of its own; members are listed in its cgroup.procs",
    );
  }
  if (events?.frozen === true) {
    throw refuse(
      `${where}: container's cgroup unexpectedly frozen`,
      "write 0 to the cgroup.freeze of this cgroup, or of the one above it that is frozen",
    );
  }
  const type = readText(`${directoryOf(place)}/cgroup.type`).trim();
  if (type !== "domain" && type !== "domain threaded") {
    throw refuse(
      `${where}: the cgroup is of type "${type}", and only a domain can hold processes`,
      "a cgroup above it is threaded, or has processes beside controllers for those below it: choose another place",
    );
  }
  if (isNew) return;
  // The kernel's rule: processes are in the leaves, except for controllers that can tell threads apart.
  const given = readText(`${directoryOf(place)}/cgroup.subtree_control`)
    .trim()
    .split(" ");
  const barring = given.filter((name) => name !== "" && !THREADED.includes(name));
  if (barring.length > 0) {
    throw refuse(
      `${where}: the cgroup gives controllers to those below it (${barring.join(", ")}), and so cannot hold processes`,
      "name a cgroup of the container's own, such as one below it",
    );
  }
}

/** Removes cgroups that were made and not used, from the bottom up. One that another uses by now stays. */
function removeMade(mount: string, made: readonly string[]): void {
  for (const path of [...made].reverse()) tryRmdir(directoryOf({ mount, path }));
}

/**
 * Takes back what {@link createCgroup} did: kills what is in the cgroup, removes it if it was made, and also those above
 * it that were made, unless others use them by now. Closes its descriptor.
 * @throws BerthError
 */
export function undoCgroup(cgroup: Cgroup): void {
  close(cgroup.directory);
  if (cgroup.made.includes(cgroup.path)) {
    remove(cgroup);
    removeMade(cgroup.mount, cgroup.made.slice(0, -1));
  } else {
    kill(cgroup);
  }
}
