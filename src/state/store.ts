import { BerthError } from "../errors.ts";
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  LOCK_EX,
  LOCK_NB,
  O_DIRECTORY,
  O_RDONLY,
} from "../linux/constants.ts";
import { mkdirAll, readDirectory, tryMkdir, tryRmdir } from "../linux/directory.ts";
import { check, EACCES, EAGAIN, EEXIST, ENOENT, ENOTDIR, ENOTEMPTY, systemError } from "../linux/errno.ts";
import { close, readTextIfThere, tryLock, tryOpen, unlinkIfThere, writeAtomically } from "../linux/file.ts";
import { effectiveIds } from "../linux/process.ts";
import { fstat, tryStat } from "../linux/status.ts";

/*
 * The on-disk state: <root>/<id>/ with
 *   state.json      what berth knows of the container; written to a temporary name and renamed
 *   config.json     a copy of the bundle's: a later edit of the bundle changes nothing
 *   .start.sock     while it is being created: the socket on which init will wait for its start
 *   start.sock      the same, once it is created; gone once it was started
 *   notify/         for a service of systemd's: notify.sock, to which its process writes
 * The status is not remembered but derived, see runtime/status.ts.
 *
 * create, start and delete hold a lock on the directory; whoever got it looks whether the directory is still the one.
 */

/** What berth remembers of a container. */
export interface ContainerRecord {
  readonly ociVersion: string;
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  /** Absolute, on the host. */
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  /** The user who created it. */
  readonly uid: number;
  /** Init's, in berth's pid namespace; 0: there is none yet. */
  readonly pid: number;
  /** Of init, in clock ticks since boot: with the pid, it names one process for good. */
  readonly startTime: number;
  /** The cgroup2 mount and the container's path below it; null: it has none. */
  readonly cgroup: {
    readonly mount: string;
    readonly path: string;
    /** The unit that it belongs to, and whose systemd has that; absent: berth made it. */
    readonly unit?: { readonly name: string; readonly manager: "system" | "user" };
  } | null;
  /** Its cgroups in the hierarchies of cgroup v1, if the host has any. */
  readonly v1?: readonly {
    readonly mount: string;
    readonly path: string;
    readonly controllers: readonly string[];
  }[];
  /** What `start` must know of its seccomp filter, if it has one. */
  readonly filter?: FilterRecord;
  /** It has a pid namespace of its own, so that its processes end with init. */
  readonly ownPidNamespace: boolean;
  /** It has a session keyring of its own, which a process that joins it joins too. */
  readonly ownKeyring: boolean;
  readonly annotations: Readonly<Record<string, string>>;
  /** Directories of resctrl that go with it, the innermost first. */
  readonly resctrl?: readonly string[];
}

/** How a filter that is loaded at the start is going to be told of; see plan/protocol.ts. */
export interface FilterRecord {
  /** Init's descriptor of the notice file. */
  readonly notice: number;
  /** The descriptor that the filter's listener will have in init; null: it has none. */
  readonly listener: number | null;
  /** The number of the step that loads it. */
  readonly step: number;
}

/** A container's state directory, open. */
export interface StateDirectory {
  readonly id: string;
  readonly path: string;
  readonly fd: number;
}

export const START_SOCKET = "start.sock";
export const START_SOCKET_CREATING = ".start.sock";
const FILES = [
  "state.json",
  ".state.json",
  "config.json",
  ".config.json",
  START_SOCKET,
  START_SOCKET_CREATING,
];

const VALID_ID = /^[A-Za-z0-9_+.-]+$/;
/** A name in a directory holds this many bytes, and the temporary names need some. */
const MAX_ID = 240;

/**
 * Checks a container id.
 * @throws BerthError "invalid-id"
 */
export function checkId(id: string): void {
  if (VALID_ID.test(id) && id !== "." && id !== ".." && id.length <= MAX_ID) return;
  throw new BerthError("invalid-id", `invalid container ID format: ${JSON.stringify(id)}`, {
    hint: `an id has letters, digits and "_+.-", is not "." or "..", and at most ${MAX_ID} characters`,
  });
}

/** The error for a container that is not there; engines search for its words. */
export function doesNotExist(id: string): BerthError {
  return new BerthError("container-missing", `container "${id}" does not exist: container does not exist`);
}

/**
 * Makes and locks the state directory of a new container.
 * @throws BerthError "container-exists", "invalid-id"
 */
export function reserve(root: string, id: string): StateDirectory {
  checkId(id);
  const path = `${root}/${id}`;
  let made = tryMkdir(path, 0o700);
  if (made === -ENOENT) {
    // Sticky, so that nobody who cleans XDG_RUNTIME_DIR up takes it for forgotten; XDG Base Directory Specification.
    mkdirAll(root, 0o1700);
    refuseForeign(root);
    made = tryMkdir(path, 0o700);
  }
  if (made === -EEXIST) {
    throw new BerthError("container-exists", `container "${id}": container with given ID already exists`, {
      hint: `its state is in "${path}"; "berth delete ${id}" removes it`,
    });
  }
  if (made < 0) {
    throw systemError(-made, `make the state directory "${path}"`, {
      hint:
        made === -EACCES
          ? "a user other than root needs XDG_RUNTIME_DIR, or --root with a directory of its own"
          : undefined,
    });
  }
  const directory = openState(root, id);
  if (directory === undefined || !lock(directory)) throw doesNotExist(id);
  return directory;
}

/** Where it is made below /tmp, somebody else may have been faster. */
function refuseForeign(root: string): void {
  const { uid } = effectiveIds();
  const status = tryStat(root, AT_FDCWD, AT_SYMLINK_NOFOLLOW);
  if (typeof status === "number" || status.uid === uid) return;
  throw new BerthError(
    "root",
    `"${root}" was made by user ${status.uid}, and is not for the state of this one's containers`,
  );
}

/** Opens the state directory of a container, or answers undefined when there is none. @throws BerthError */
export function openState(root: string, id: string): StateDirectory | undefined {
  checkId(id);
  const path = `${root}/${id}`;
  const fd = tryOpen(path, O_RDONLY | O_DIRECTORY);
  if (fd === -ENOENT || fd === -ENOTDIR) return undefined;
  return { id, path, fd: check(fd, `open the state directory "${path}"`) };
}

/** Opens the state directory of a container. @throws BerthError "container-missing" */
export function findState(root: string, id: string): StateDirectory {
  const directory = openState(root, id);
  if (directory === undefined) throw doesNotExist(id);
  return directory;
}

/**
 * Waits for the container's lock; closing the directory gives it back.
 * @returns false when the directory was removed meanwhile
 */
export function lock(directory: StateDirectory): boolean {
  check(tryLock(directory.fd, LOCK_EX), `lock "${directory.path}"`);
  return isCurrent(directory);
}

/** Takes the container's lock if it is free. @returns whether it was */
export function tryToLock(directory: StateDirectory): boolean {
  const result = tryLock(directory.fd, LOCK_EX | LOCK_NB);
  if (result === -EAGAIN) return false;
  check(result, `lock "${directory.path}"`);
  return true;
}

/**
 * Waits until nobody else pauses or resumes the container. Not the container's lock: a start that holds that may wait for a
 * hook.
 * @returns a descriptor, to be closed to give it back; or undefined when the container is being made or removed
 */
export function lockPausing(directory: StateDirectory): number | undefined {
  const fd = tryOpen("state.json", O_RDONLY, 0, directory.fd);
  if (fd === -ENOENT) return undefined;
  check(fd, `open "${directory.path}/state.json"`);
  check(tryLock(fd, LOCK_EX), `lock "${directory.path}/state.json"`);
  return fd;
}

/** Whether the path still leads to this very directory. */
export function isCurrent(directory: StateDirectory): boolean {
  const named = tryStat(directory.path);
  return typeof named !== "number" && named.inode === fstat(directory.fd).inode;
}

/** Closes the directory, and with it gives back the lock. */
export function closeState(directory: StateDirectory): void {
  close(directory.fd);
}

/** Saves what berth knows of the container. @throws BerthError */
export function writeRecord(directory: StateDirectory, record: ContainerRecord): void {
  writeAtomically("state.json", JSON.stringify(record), 0o600, directory.fd);
}

/** What was saved, or undefined when the container's creation did not get that far. @throws BerthError */
export function readRecord(directory: StateDirectory): ContainerRecord | undefined {
  const text = readTextIfThere("state.json", directory.fd);
  if (text === undefined) return undefined;
  try {
    // Written by berth, and in a directory that only it may write: not checked again.
    return JSON.parse(text) as ContainerRecord;
  } catch (cause) {
    throw new BerthError("state", `"${directory.path}/state.json" is damaged`, {
      hint: `"berth delete --force ${directory.id}" removes what is left of the container`,
      cause,
    });
  }
}

/** Saves the container's config.json. @throws BerthError */
export function writeConfig(directory: StateDirectory, text: string): void {
  writeAtomically("config.json", text, 0o600, directory.fd);
}

/** The container's config.json as it was at its creation. @throws BerthError */
export function readConfig(directory: StateDirectory): string {
  const text = readTextIfThere("config.json", directory.fd);
  if (text === undefined) throw new BerthError("state", `"${directory.path}/config.json" is missing`);
  return text;
}

/** Removes the state directory. @throws BerthError when something else lies in it */
export function removeState(directory: StateDirectory): void {
  let result = -ENOTEMPTY;
  // An update that is under way may write the config.json once more; none begins without a state.json.
  for (let attempt = 0; result === -ENOTEMPTY && attempt < 5; attempt++) {
    for (const file of FILES) unlinkIfThere(file, directory.fd);
    result = tryRmdir(directory.path);
    if (result !== -ENOTEMPTY) break;
    unlinkIfThere("notify/notify.sock", directory.fd);
    tryRmdir("notify", directory.fd);
    result = tryRmdir(directory.path);
  }
  if (result !== -ENOENT) check(result, `remove the state directory "${directory.path}"`);
}

/** The ids of all containers below a root, sorted; undefined when there is no such directory. */
export function listIds(root: string): string[] | undefined {
  const status = tryStat(root);
  if (typeof status === "number") return undefined;
  return readDirectory(root)
    .filter(({ name, type }) => (type === 4 || type === 0) && VALID_ID.test(name))
    .map(({ name }) => name)
    .sort();
}
