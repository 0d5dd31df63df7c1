import { BerthError } from "../errors.ts";
import {
  F_ADD_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_EXEC,
  MOUNT_ATTR_RDONLY,
  O_PATH,
  O_RDONLY,
  PR_SET_DUMPABLE,
} from "./constants.ts";
import { check, EACCES, EAGAIN, EBADF, EINVAL, ENOMEM, EROFS, systemError } from "./errno.ts";
import { close, duplicate, open, readAll, withDescriptor, writeAll } from "./file.ts";
import { scratch, setU64 } from "./memory.ts";
import { addressOf, libexec, spawnNative, syscall } from "./native.ts";
import { waitAny } from "./process.ts";
import { writeUtf8 } from "./text.ts";

/** A memfd with this content that nobody can change any more. @throws BerthError */
export function sealedMemfd(name: string, content: Uint8Array): number {
  return seal(emptyMemfd(name), name, content);
}

/** A memfd, to be filled by {@link seal}. @throws BerthError */
export function emptyMemfd(name: string): number {
  return check(tryMemfd(name, 0), `make the memory file "${name}"`);
}

/** Fills a memfd, for good. @returns it @throws BerthError */
export function seal(fd: number, name: string, content: Uint8Array): number {
  writeAll(fd, content, `fill the memory file "${name}"`);
  check(
    syscall("fcntl", fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
    `seal the memory file "${name}"`,
  );
  return fd;
}

function tryMemfd(name: string, flags: number): number {
  const base = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const fd = syscall("memfd_create", scratch().text(name), base | flags);
  // Kernels before 6.3 do not know MFD_EXEC, and every memfd of theirs is executable.
  return fd === -EINVAL && flags === MFD_EXEC ? syscall("memfd_create", scratch().text(name), base) : fd;
}

/**
 * A descriptor of the executor that a container cannot use to change the file on the host (CVE-2019-5736): a sealed copy in
 * memory or, where vm.memfd_noexec forbids to execute those, a detached read-only overlay.
 * @throws BerthError
 */
export function openExecutor(): number {
  const name = "berth-init";
  const fd = tryMemfd(name, MFD_EXEC);
  if (fd === -EACCES) return openThroughOverlay();
  const path = `${libexec}/init`;
  const content = withDescriptor(open(path, O_RDONLY), (file) => readAll(file, `read "${path}"`));
  return seal(check(fd, `make the memory file "${name}"`), name, content);
}

/**
 * Lets nobody but its owner, berth, read the executor. The kernel opens a process that executes what it may not read to none
 * but the user namespace of the file's owner. One that joins a user namespace needs that: whoever is root there could
 * reach the host through it (CVE-2016-9962). @throws BerthError
 */
export function hideExecutor(fd: number): number {
  const result = syscall("fchmod", fd, 0o711);
  // The overlay is read-only and its descriptor O_PATH: there it stays readable, and init closes itself a moment later.
  if (result !== -EBADF && result !== -EROFS) check(result, 'hide the memory file "berth-init"');
  return fd;
}

function openThroughOverlay(): number {
  const subject = "mount a read-only overlay of libexec (vm.memfd_noexec=2 forbids an executable in memory)";
  const context = check(syscall("fsopen", scratch().text("overlay"), FSOPEN_CLOEXEC), subject);
  // An overlay without an upper layer needs two lower ones; the second adds nothing.
  const memory = scratch();
  const key = memory.text("lowerdir");
  const value = memory.text(`${libexec}:${libexec}/..`);
  check(syscall("fsconfig", context, FSCONFIG_SET_STRING, key, value, 0), subject);
  check(syscall("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0), subject);
  const mount = check(syscall("fsmount", context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY), subject);
  close(context);
  return withDescriptor(mount, () => open("init", O_PATH, 0, mount));
}

/** How to start a process as the executor; native/spawn.c does it. */
export interface SpawnRequest {
  /** CLONE_NEW*: the namespaces to make. */
  readonly create: number;
  /** Namespaces to join first, by descriptor, in this order. */
  readonly joins: readonly { readonly fd: number; readonly type: number; readonly subject: string }[];
  /** Descriptor of the cgroup to start in. */
  readonly cgroup: number | undefined;
  /** The process waits for a byte on the first of its descriptors before it becomes root and executes: its id maps. */
  readonly waits: boolean;
  readonly becomeRoot: boolean;
  /** The caller, who is not root, is going to write the id maps: the files of a process that is closed to others are root's. */
  readonly staysOpen?: boolean;
  /** Sealed executor. */
  readonly executor: number;
  /** What the executor reads as its name, and the numbers of two of its descriptors. */
  readonly argv: readonly [name: string, sync: string, plan: string];
  /** Which descriptor becomes which. */
  readonly descriptors: readonly { readonly from: number; readonly to: number }[];
  /** Descriptors from here on do not reach the executor. */
  readonly closeFrom: number;
}

/** A process that is being started. */
export interface Starting {
  /**
   * Waits until it is there.
   * @throws BerthError that names the stage and the errno; nothing runs then
   */
  finish(): Spawned;
}

/** A started process. */
export interface Spawned {
  readonly pid: number;
  readonly pidfd: number;
  /** Why it did not get to execute, for a process that had to wait for its release; undefined: no failure so far. */
  failure(): BerthError | undefined;
}

const STAGES = [
  "",
  "setns",
  "clone3",
  "place the descriptors",
  "reset the signal mask",
  "wait for the id maps",
  "become root of the user namespace",
  "execute the sealed init",
];
/** What a cgroup has to do with it. */
const HINTS: Readonly<Partial<Record<number, string>>> = {
  [ENOMEM]: "the memory limit of its cgroup may be too low",
  [EAGAIN]:
    "there may be as many processes as a cgroup above (pids.max) or the user (RLIMIT_NPROC) is allowed",
};
const DELEGATION =
  "this user may not move processes from berth's cgroup to the container's: it takes the right to write cgroup.procs in the one that they have in common";
const SIZE = 192;
const EXECUTOR = 16;
const JOIN = 44;
const FDS = 108;
const ANSWER = 172;
const STAGE_JOIN = 1;
const STAGE_CLONE = 2;
/** MAX_JOINS and MAX_FDS of native/spawn.c. */
const MAX = 8;
const ROOM = 1024;

/** The request as native/spawn.c has it. The process reads it until it executes, and it may wait while others are started. */
interface Passed {
  readonly memory: Uint8Array;
  readonly view: DataView;
  readonly address: number;
}

function room(): Passed {
  const memory = new Uint8Array(ROOM);
  return { memory, view: new DataView(memory.buffer), address: addressOf(memory) };
}

/** Starts a process in new or joined namespaces. @throws BerthError, see {@link Starting} */
export function spawn(request: SpawnRequest): Spawned {
  return beginSpawn(request).finish();
}

/**
 * Begins to start a process. It goes on by itself while the caller does other things; no other begins before it is finished.
 * @throws BerthError
 */
export function beginSpawn(request: SpawnRequest): Starting {
  if (request.joins.length > MAX || request.descriptors.length > MAX)
    throw new RangeError("too much for one spawn");
  // The child shares berth's memory until it executes, and those who see it by its pid must not reach that through it: in a
  // pid namespace that it joins they may be root of the user namespace's owner, and have every right over it.
  if (request.staysOpen !== true) syscall("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0);
  const passed = room();
  const { view, address } = passed;
  setU64(view, 0, request.create);
  setU64(view, 8, placeArgv(passed, request.argv));
  const fields = [
    request.cgroup ?? -1,
    request.waits ? 1 : 0,
    request.joins.length,
    request.descriptors.length,
    request.closeFrom,
    request.becomeRoot ? 1 : 0,
  ];
  fields.forEach((value, i) => {
    view.setInt32(EXECUTOR + 4 + 4 * i, value, true);
  });
  request.joins.forEach(({ fd, type }, i) => {
    view.setInt32(JOIN + 8 * i, fd, true);
    view.setUint32(JOIN + 8 * i + 4, type, true);
  });
  const sources = placeDescriptors(passed, request);
  const starter = spawnNative(address);
  if (starter < 0) {
    sources.forEach(close);
    throw systemError(-starter, "cannot start a process: clone3", { hint: HINTS[-starter] });
  }
  return { finish: () => finish(passed, request, starter, sources) };
}

/**
 * Writes copies of the descriptors into the request: the caller may close its own before they are used. The child places
 * them one by one, the executor last and right above all others, so a source below that could be overwritten before its turn.
 */
function placeDescriptors({ view }: Passed, { descriptors, executor, closeFrom }: SpawnRequest): number[] {
  const above = closeFrom + 1;
  const sources = [duplicate(executor, above)];
  view.setInt32(EXECUTOR, sources[0] ?? -1, true);
  descriptors.forEach(({ from, to }, i) => {
    const source = duplicate(from, above);
    sources.push(source);
    view.setInt32(FDS + 8 * i, source, true);
    view.setInt32(FDS + 8 * i + 4, to, true);
  });
  return sources;
}

function finish(passed: Passed, request: SpawnRequest, starter: number, sources: readonly number[]): Spawned {
  const { view } = passed;
  waitAny(starter);
  sources.forEach(close);
  const pid = view.getInt32(ANSWER, true);
  const pidfd = view.getInt32(ANSWER + 4, true);
  // Once it may wait for its release, what it comes to is only known later.
  const failure = !request.waits || pid === 0 ? spawnError(passed, request) : undefined;
  if (failure !== undefined || pid === 0) {
    if (pid > 0) waitAny(pid);
    if (pidfd >= 0) close(pidfd);
    throw (
      failure ?? new BerthError("spawn", "cannot start a process: the one that was to start it was killed")
    );
  }
  return { pid, pidfd, failure: () => spawnError(passed, request) };
}

function placeArgv({ memory, view, address }: Passed, argv: readonly string[]): number {
  let text = SIZE + 8 * (argv.length + 1);
  argv.forEach((argument, i) => {
    setU64(view, SIZE + 8 * i, address + text);
    text += writeUtf8(argument, memory, text) + 1;
  });
  return address + SIZE;
}

function spawnError({ view }: Passed, request: SpawnRequest): BerthError | undefined {
  const stage = view.getInt32(ANSWER + 8, true);
  const errno = view.getInt32(ANSWER + 12, true);
  if (errno === 0) return undefined;
  const join = request.joins[view.getInt32(ANSWER + 16, true)];
  const subject = stage === STAGE_JOIN ? `${join?.subject ?? ""}: setns` : (STAGES[stage] ?? "");
  return systemError(errno, `cannot start a process: ${subject}`, {
    hint: stage === STAGE_CLONE && errno === EACCES ? DELEGATION : HINTS[errno],
  });
}
