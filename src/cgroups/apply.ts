import { BerthError } from "../errors.ts";
import { O_RDONLY, O_WRONLY } from "../linux/constants.ts";
import { EINVAL, ENOENT, systemError } from "../linux/errno.ts";
import { close, readText, readTextIfThere, tryOpen, tryWrite } from "../linux/file.ts";
import { utf8 } from "../linux/text.ts";
import { notEnabled } from "./controllers.ts";
import type { Ceiling, Limits, LimitWrite } from "./limits/limit.ts";
import type { CgroupPlace } from "./path.ts";

/**
 * Writes limits to the files of a container's cgroup.
 * @param directory of the cgroup, a descriptor
 * @param restore whether to undo all when one fails: for a cgroup that stays. What it had is read before it is overwritten.
 * @returns what sets back all that was to be restored, as long as the descriptor is open
 * @throws BerthError that names the field, the file, the value and the errno
 */
export function applyLimits(
  place: CgroupPlace,
  directory: number,
  limits: Limits,
  restore: boolean,
): () => void {
  for (const ceiling of limits.ceilings) refuseReached(ceiling, directory);
  return applyWrites({
    writes: limits.writes,
    restore,
    target: () => ({ directory, path: `${place.mount}${place.path}` }),
    hint: (write, errno) =>
      (errno === ENOENT ? notEnabled(place, write.controller) : undefined) ??
      limits.hint(write, errno, readHost),
  });
}

/** Writes to make, and what is to be known of the cgroups that they go to. */
export interface Application {
  readonly writes: readonly LimitWrite[];
  /** See {@link applyLimits}. */
  readonly restore: boolean;
  /** Where a write goes: a descriptor of the cgroup's directory, and its path for messages. */
  readonly target: (write: LimitWrite) => { readonly directory: number; readonly path: string };
  readonly hint: (write: LimitWrite, errno: number) => string | undefined;
}

/** Makes the writes in their order. @returns as {@link applyLimits} @throws BerthError that names the field, the file, the value and the errno */
export function applyWrites({ writes, restore, target, hint }: Application): () => void {
  const before: Before[] = [];
  const undo = () => {
    for (const { file, value, directory } of before.reverse()) tryWriteFile(file, value, directory);
  };
  for (const write of writes) {
    const { directory, path } = target(write);
    if (restore) remember(write, directory, before);
    const failure = writeLimit(write, directory);
    if (failure === undefined) continue;
    undo();
    const { errno, file, value } = failure;
    throw systemError(errno, `${write.path}: write "${value}" to "${path}/${file}"`, {
      hint: hint({ ...write, file, value }, errno),
    });
  }
  return undo;
}

/** What a limit failed with, and at which of its files. */
interface Failure {
  readonly errno: number;
  readonly file: string;
  readonly value: string;
}

function writeLimit(write: LimitWrite, directory: number): Failure | undefined {
  let { file, value } = write;
  let result = tryWriteFile(file, value, directory);
  if (result === -ENOENT && write.otherwise !== undefined) {
    ({ file, value } = write.otherwise);
    result = tryWriteFile(file, value, directory);
  }
  if (result >= 0) return undefined;
  if (result === -ENOENT && write.optional === true) return undefined;
  if (write.retried === true && (result === -EINVAL || result === -ENOENT)) return undefined;
  return { errno: -result, file, value };
}

/** Answers 0 or more, or a negated errno. The file is one of the kernel's: it takes a value in one write or not at all. */
function tryWriteFile(file: string, value: string, directory: number): number {
  const fd = tryOpen(file, O_WRONLY, 0, directory);
  if (fd < 0) return fd;
  // Of no bytes at all the kernel would not hear.
  const result = tryWrite(fd, utf8(value === "" ? "\n" : value));
  close(fd);
  return result;
}

/** See {@link import("./limits/limit.ts").ReadHost}. */
export function readHost(path: string): string | undefined {
  try {
    return readText(path);
  } catch {
    return undefined;
  }
}

/** runtime-spec, "checkBeforeUpdate": the kernel would kill processes rather than refuse. */
function refuseReached({ path, limit }: Ceiling, directory: number): void {
  const used = Number(readTextIfThere("memory.current", directory) ?? 0);
  if (limit > used) return;
  throw new BerthError(
    "limit-reached",
    `${path}: ${limit} is not above the ${used} bytes that the container uses (checkBeforeUpdate)`,
  );
}

/** What to write to get back what was. */
interface Before {
  readonly directory: number;
  readonly file: string;
  readonly value: string;
}

/** What a file with a line for each device has for one without any. */
const NOTHING_SET: Readonly<Partial<Record<string, string>>> = {
  "io.max": "rbps=max wbps=max riops=max wiops=max",
  "io.weight": "default",
  "io.bfq.weight": "default",
  "blkio.bfq.weight_device": "default",
  "blkio.weight_device": "0",
  "blkio.leaf_weight_device": "0",
  "blkio.throttle.read_bps_device": "0",
  "blkio.throttle.write_bps_device": "0",
  "blkio.throttle.read_iops_device": "0",
  "blkio.throttle.write_iops_device": "0",
};

function remember({ file, key, otherwise }: LimitWrite, directory: number, before: Before[]): void {
  for (const name of otherwise === undefined ? [file] : [file, otherwise.file]) {
    const fd = tryOpen(name, O_RDONLY, 0, directory);
    if (fd < 0) continue;
    close(fd);
    const value = previous(readText(name, directory), name, key);
    if (value !== undefined) before.push({ directory, file: name, value });
  }
}

/**
 * The value to write to a file of a cgroup so that it says `content` again.
 * @param key for a file with a line for each device, the device whose line counts
 */
export function previous(content: string, file: string, key?: string): string | undefined {
  const lines = content.trimEnd().split("\n");
  // Takes a number, and tells "oom_kill_disable 0" and more.
  if (file === "memory.oom_control") return lines[0]?.split(" ")[1];
  // Of "default 100" and the devices' own weights, the first.
  if (key === undefined) return lines[0];
  const line = lines.find((line) => line.startsWith(`${key} `));
  if (line !== undefined) return line;
  const nothing = NOTHING_SET[file];
  return nothing === undefined ? undefined : `${key} ${nothing}`;
}
