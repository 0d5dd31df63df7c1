import { CGROUP_SUPER_MAGIC } from "../../linux/constants.ts";
import { readText } from "../../linux/file.ts";
import { isMountedAt, unescapeOctal } from "../hierarchy.ts";

/** One hierarchy of cgroup v1, mounted here; man 7 cgroups, "Cgroups version 1". */
export interface Hierarchy {
  /** "memory"; several when they are mounted together; none for a named hierarchy, such as systemd's. */
  readonly controllers: readonly string[];
  readonly mount: string;
  /** The cgroup of this process in it, below the mount. */
  readonly own: string;
}

/** The hierarchies of cgroup v1 that are mounted on this host. @throws BerthError */
export function v1Hierarchies(): Hierarchy[] {
  const isThere = (point: string) => isMountedAt(point, CGROUP_SUPER_MAGIC);
  return hierarchiesIn(readText("/proc/self/cgroup"), readText("/proc/self/mountinfo"), isThere);
}

/**
 * As {@link v1Hierarchies}, from the texts of the two files: "4:cpu,cpuacct:/user" and
 * "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct"; man 5 proc.
 * @param isThere whether that mount point leads to a hierarchy: another mount may hide it
 */
export function hierarchiesIn(
  ownCgroups: string,
  mountinfo: string,
  isThere: (point: string) => boolean = () => true,
): Hierarchy[] {
  const mounts = v1Mounts(mountinfo);
  const hierarchies: Hierarchy[] = [];
  for (const line of ownCgroups.split("\n")) {
    const [number, names, ...rest] = line.split(":");
    if (number === undefined || names === undefined || number === "0") continue;
    // Of a hierarchy that is mounted twice the first mount will do.
    const mount = mounts.find(
      ({ options, point }) => names.split(",").every((name) => options.includes(name)) && isThere(point),
    );
    if (mount === undefined) continue;
    const own = rest.join(":").replace(/ \(deleted\)$/, "");
    hierarchies.push({
      controllers: names.split(",").filter((name) => name !== "" && !name.includes("=")),
      mount: mount.point,
      own: belowRoot(own, mount.root),
    });
  }
  return hierarchies;
}

interface Mount {
  /** Which cgroup is its root. */
  readonly root: string;
  readonly point: string;
  readonly options: readonly string[];
}

function v1Mounts(mountinfo: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    const [type, , options] = after?.split(" ") ?? [];
    const [, , , root, point] = before?.split(" ") ?? [];
    if (type !== "cgroup" || options === undefined || root === undefined || point === undefined) continue;
    mounts.push({ root: unescapeOctal(root), point: unescapeOctal(point), options: options.split(",") });
  }
  return mounts;
}

/** Where a cgroup lies below a mount that shows only a part of its hierarchy, as inside a container. */
function belowRoot(cgroup: string, root: string): string {
  if (root === "/") return cgroup === "/" ? "" : cgroup;
  return cgroup.startsWith(`${root}/`) ? cgroup.slice(root.length) : "";
}
