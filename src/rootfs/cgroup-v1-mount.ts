import type { Step } from "../plan/step.ts";
import type { Entry } from "./entry.ts";
import { parseMountOptions } from "./mount-options.ts";
import { closeTemporary, type RootfsContext, type Scope } from "./scope.ts";
import { openInRoot } from "./target.ts";

/** A container's cgroup in one hierarchy of cgroup v1. */
export interface CgroupOfV1 {
  readonly controllers: readonly string[];
  /** Where the host has the hierarchy: "/sys/fs/cgroup/cpu,cpuacct". */
  readonly mount: string;
  /** Of the cgroup, below it. */
  readonly path: string;
  /** It is the cgroup that the container was created from: it may not make one of its own. */
  readonly isCallers?: boolean;
}

/**
 * A mount of type "cgroup", on a host with cgroup v1, as the mounts that it stands for: config-linux.md has one cgroup file system,
 * and v1 has one for each hierarchy. Programs look for their limits where the hosts have them (/sys/fs/cgroup/memory), and the JVM and
 * others take those of v2 for the only ones once they see a cgroup2 there. So the container gets a tmpfs with its own cgroups
 * of v1, or where it has none those that it is in, and nothing of v2. Any other mount stands for itself.
 */
export function cgroupEntries(entry: Entry, context: RootfsContext): readonly Entry[] {
  const { mount, type, options, destination } = entry;
  const cgroups = context.cgroupsOfV1 ?? [];
  if (type !== "cgroup" || options.remount || cgroups.length === 0) return [entry];
  const given = mount.options ?? [];
  // Without a namespace of its own a user's container would be shown what is the user's to change (CVE-2023-25809).
  const isUsers = context.userNamespace && !context.cgroupNamespace;
  return [
    {
      ...entry,
      type: "tmpfs",
      mount: { ...mount, type: "tmpfs", source: "tmpfs" },
      options: parseMountOptions([...given, "mode=755"]),
    },
    ...cgroups.map(({ mount: hierarchy, path, isCallers }) => ({
      ...entry,
      type: "bind",
      mount: { ...mount, type: "bind", source: hierarchy + path },
      options: parseMountOptions([...given, ...(isUsers || isCallers === true ? ["ro"] : []), "bind"]),
      destination: { ...destination, path: `${destination.path}/${nameOf(hierarchy)}` },
    })),
  ];
}

/** Controllers that are mounted together are found by the name of each: "cpu" is a symlink to "cpu,cpuacct". */
export function controllerLinks(scope: Scope, { type, destination }: Entry): Step[] {
  if (type !== "cgroup") return [];
  const links: Step[] = [];
  for (const { mount, controllers } of scope.context.cgroupsOfV1 ?? []) {
    for (const controller of controllers) {
      if (controller === nameOf(mount)) continue;
      const args = [nameOf(mount), scope.slots.parent, controller] as const;
      links.push(scope.serving.call("symlinkat", args, { what: `make the symlink ${controller}` }));
    }
  }
  if (links.length === 0) return [];
  return [...openInRoot(scope, destination.path, scope.slots.parent), ...links, closeTemporary(scope)];
}

const nameOf = (mount: string): string => mount.slice(mount.lastIndexOf("/") + 1);
