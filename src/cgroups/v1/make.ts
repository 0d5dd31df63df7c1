import { BerthError } from "../../errors.ts";
import { O_DIRECTORY, O_PATH } from "../../linux/constants.ts";
import { tryMkdir } from "../../linux/directory.ts";
import {
  EACCES,
  EBUSY,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOENT,
  EPERM,
  ERANGE,
  EROFS,
  systemError,
} from "../../linux/errno.ts";
import { close, open, readText, readTextIfThere, writeExisting } from "../../linux/file.ts";
import { applyWrites } from "../apply.ts";
import type { LimitWrite } from "../limits/limit.ts";
import { members } from "../members.ts";
import { type CgroupPlace, directoryOf, pathsTo } from "../path.ts";
import type { MadeV1 } from "./load.ts";
import type { V1Place } from "./place.ts";
import { undoV1 } from "./remove.ts";

const MODE = 0o755;

/**
 * Makes a container's cgroups of v1 and sets its limits. After a failure, those that it made are gone.
 * @throws BerthError, "cgroup-in-use" for one that is there and holds processes, or is frozen
 */
export function makeV1(places: readonly V1Place[], writes: readonly LimitWrite[]): MadeV1 {
  const had: V1Place[] = [];
  const made: CgroupPlace[] = [];
  let isNew = true;
  try {
    for (const place of places) {
      const result = makeDirectories(place, made);
      if (result === 0 || result === -EEXIST) had.push(place);
      else if (!mayLack(place, writes, result)) {
        throw systemError(-result, `linux.cgroupsPath: make cgroup "${place.mount}${place.path}"`, {
          hint: "making cgroups takes root, or a cgroup that was delegated to this user",
        });
      }
      if (result === -EEXIST) {
        isNew = false;
        refuseUsed(place);
      }
      if (place.controllers.includes("freezer")) refuseFrozen(place);
    }
    applyV1(had, writes, !isNew);
    return { places: had, made };
  } catch (error) {
    undoV1(places, made);
    throw error;
  }
}

/** As on v2: nobody else may be in there, for delete kills whatever is. */
function refuseUsed(place: V1Place): void {
  const count = members(place).length;
  if (count === 0) return;
  throw new BerthError(
    "cgroup-in-use",
    `linux.cgroupsPath "${place.path}": container's cgroup is not empty: ${count} process(es) found in "${place.mount}"`,
    { hint: "give each container a cgroup of its own; members are listed in its cgroup.procs" },
  );
}

/** Init would stop as soon as it joins, and no signal would end it. One that is new is frozen if the one above it is. */
function refuseFrozen(place: V1Place): void {
  const directory = directoryOf(place);
  const state = readTextIfThere(`${directory}/freezer.state`)?.trim() ?? "THAWED";
  if (state === "THAWED") return;
  throw new BerthError(
    "cgroup-in-use",
    `linux.cgroupsPath "${place.path}": container's cgroup unexpectedly frozen: "${directory}" is ${state}`,
    { hint: "write THAWED to the freezer.state of this cgroup, or of the one above it that is frozen" },
  );
}

/** Writes limits to cgroups that are there. @param restore see {@link applyWrites} @throws BerthError */
export function applyV1(places: readonly V1Place[], writes: readonly LimitWrite[], restore: boolean): void {
  const directories = places.map(({ mount, path }) => open(`${mount}${path}`, O_PATH | O_DIRECTORY));
  try {
    applyWrites({
      writes,
      restore,
      target: ({ controller }) => {
        const i = places.findIndex(({ controllers }) => controllers.includes(controller));
        const { mount = "", path = "" } = places[i] ?? {};
        return { directory: directories[i] ?? -1, path: `${mount}${path}` };
      },
      hint: v1Hint,
    });
  } finally {
    for (const fd of directories) close(fd);
  }
}

function mayLack({ controllers }: V1Place, writes: readonly LimitWrite[], result: number): boolean {
  const refused = result === -EACCES || result === -EPERM || result === -EROFS;
  return refused && !writes.some(({ controller }) => controllers.includes(controller));
}

/** Answers 0 when it made the cgroup itself, -EEXIST when it was there, or another negated errno. Adds to `made` what it made. */
function makeDirectories({ mount, path, controllers }: V1Place, made: CgroupPlace[]): number {
  const parts = pathsTo(path);
  let result = 0;
  for (let i = 0, again = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    result = tryMkdir(`${mount}${part}`, MODE);
    if (result === 0) made.push({ mount, path: part });
    else if (result === -ENOENT && i > 0 && again++ < 3) {
      // The one above was there and went: another create, that had made it, failed and took it back.
      i = -1;
      continue;
    } else if (result !== -EEXIST) return result;
    if (controllers.includes("cpuset")) inheritCpuset(`${mount}${part}`);
  }
  return result;
}

/** A cgroup begins without any CPU and memory node, and until it has some no process can be in it; cpusets(7). */
function inheritCpuset(directory: string): void {
  const above = directory.slice(0, directory.lastIndexOf("/"));
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (readText(`${directory}/${file}`).trim() !== "") continue;
    writeExisting(`${directory}/${file}`, readText(`${above}/${file}`));
  }
}

function v1Hint({ file, key }: LimitWrite, errno: number): string | undefined {
  if (errno === EBUSY && file.startsWith("memory."))
    return "the container uses more than that and cannot give back enough";
  if (errno === EINVAL && file === "memory.limit_in_bytes")
    return "it must not be above memory.swap, the limit on both together";
  if (errno === ENOENT && file.startsWith("memory.memsw"))
    return "the kernel does not account for swap: boot with swapaccount=1";
  if (errno === EINVAL && file.startsWith("cpu.rt_"))
    return "the cgroup above it has less real-time than that, see its cpu.rt_runtime_us";
  if (errno === EINVAL && file.startsWith("cpu.cfs_"))
    return "the cgroup above it has less than that, or the period is not 1000 to 1000000 microseconds";
  if (errno === EACCES && file.startsWith("cpuset."))
    return "the cgroup above it does not have all of them, see its cpuset.cpus and cpuset.mems";
  if ((errno === EINVAL || errno === ERANGE) && file.startsWith("cpuset."))
    return 'write a list such as "0-3,7" of what the host has';
  if (errno === ENODEV && file.startsWith("blkio."))
    return `there is no whole block device ${key ?? ""}: "lsblk" lists them by MAJ:MIN`;
  if (errno === ENOENT) return "this kernel has no such file in cgroup v1";
  return errno === EACCES || errno === EPERM ? "it takes root" : undefined;
}
