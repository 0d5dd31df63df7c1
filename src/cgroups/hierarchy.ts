import { BerthError } from "../errors.ts";
import { CGROUP2_SUPER_MAGIC } from "../linux/constants.ts";
import { readText, readTextIfThere } from "../linux/file.ts";
import { at, scratch } from "../linux/memory.ts";
import { syscall } from "../linux/native.ts";

/** Where cgroup2 is on all but odd hosts: alone, or on a hybrid host beside the v1 controllers. */
const USUAL = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/**
 * Where the cgroup v2 hierarchy is mounted; Documentation/admin-guide/cgroup-v2.rst.
 * @throws BerthError "no-cgroup2" when it is not
 */
export function cgroup2Mount(): string {
  for (const path of USUAL) {
    if (isMountedAt(path, CGROUP2_SUPER_MAGIC)) return path;
  }
  const mount = cgroup2InMountinfo(readText("/proc/self/mountinfo"));
  if (mount !== undefined) return mount;
  const controllers = v1Controllers();
  throw new BerthError("no-cgroup2", "no cgroup v2 hierarchy is mounted on this host", {
    hint:
      controllers.length === 0
        ? "mount it: mount -t cgroup2 cgroup2 /sys/fs/cgroup"
        : `the host uses cgroup v1 (${controllers.join(", ")}); mount v2 beside it: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`,
  });
}

/** The mount point of the first cgroup2 in the text of mountinfo; man 5 proc. */
export function cgroup2InMountinfo(mountinfo: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    if (after?.startsWith("cgroup2 ") !== true) continue;
    return unescapeOctal(before?.split(" ")[4] ?? "");
  }
  return undefined;
}

/** A path as mountinfo has it: space, tab, newline and backslash are written as octal there. */
export function unescapeOctal(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}

/** Whether a file system of this kind (CGROUP_SUPER_MAGIC ...) is at a path; man 2 statfs. */
export function isMountedAt(path: string, magic: number): boolean {
  const memory = scratch();
  const name = memory.text(path);
  const status = memory.space(120);
  return syscall("statfs", name, status) === 0 && at.u32(status) === magic;
}

/** The cgroup of this process in the v2 hierarchy, as seen in its cgroup namespace; man 7 cgroups. @throws BerthError "no-cgroup2" */
export function ownCgroup(): string {
  const own = /^0::(\/.*)$/m.exec(readText("/proc/self/cgroup"))?.[1];
  if (own !== undefined) return own.replace(/ \(deleted\)$/, "");
  throw new BerthError("no-cgroup2", "this process is in no cgroup v2 hierarchy", {
    hint: "the kernel lacks cgroup v2, or the host mounts it nowhere",
  });
}

/**
 * Where the host has a controller in a hierarchy of cgroup v1.
 * @param name as v1 calls it: "blkio" is v2's "io"
 * @returns the mount point, "" when that hierarchy is mounted nowhere here, or undefined when v1 does not have it
 */
export function v1Binding(name: string): string | undefined {
  if (!v1Controllers().includes(name)) return undefined;
  for (const line of readText("/proc/self/mountinfo").split("\n")) {
    const [before, after] = line.split(" - ");
    // Its options name the controllers: "cgroup cgroup rw,cpu,cpuacct".
    const [type, , options] = after?.split(" ") ?? [];
    if (type === "cgroup" && options?.split(",").includes(name)) return before?.split(" ")[4] ?? "";
  }
  return "";
}

/** The controllers that the host binds to a v1 hierarchy, so that no cgroup of v2 has them. For messages. */
export function v1Controllers(): string[] {
  const controllers: string[] = [];
  for (const line of (readTextIfThere("/proc/self/cgroup") ?? "").split("\n")) {
    const [hierarchy, names] = line.split(":");
    if (hierarchy === "0" || names === undefined) continue;
    // "name=systemd" is a v1 hierarchy without a controller.
    controllers.push(...names.split(",").filter((name) => name !== "" && !name.includes("=")));
  }
  return controllers.sort();
}
