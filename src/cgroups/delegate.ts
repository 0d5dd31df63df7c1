import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW } from "../linux/constants.ts";
import { ENOENT, systemError } from "../linux/errno.ts";
import { readTextIfThere } from "../linux/file.ts";
import { scratch } from "../linux/memory.ts";
import { syscall } from "../linux/native.ts";
import { mappedId } from "../namespaces/id-maps.ts";
import type { Spec } from "../spec/config.ts";
import type { Cgroup } from "./create.ts";

/** What the kernel listed before it had a file to list it in. */
const FALLBACK = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";
const KEEP_GROUP = -1;

/**
 * The user on the host to whom the container's cgroup is to belong, so that the container can make cgroups below it;
 * config-linux.md "Cgroup ownership": only for one with a cgroup namespace of its own and a writable mount of it.
 * @returns undefined when it stays berth's own
 */
export function cgroupOwner({ linux, mounts, process }: Spec): number | undefined {
  if (!linux.namespaces.some(({ type, path }) => type === "cgroup" && (path ?? "") === "")) return undefined;
  const writable = mounts?.some(
    ({ source, destination, options }) =>
      source === "cgroup" && /^\/sys\/fs\/cgroup\/*$/.test(destination) && !isReadOnly(options ?? []),
  );
  if (writable !== true) return undefined;
  const uid = process?.user?.uid ?? 0;
  const mappings = linux.uidMappings ?? [];
  if (mappings.length > 0) return mappedId(uid, mappings);
  // Those of a user namespace that is joined are not known.
  return linux.namespaces.some(({ type }) => type === "user") ? undefined : uid;
}

/** As with mount(8), the last word counts. */
function isReadOnly(options: readonly string[]): boolean {
  return options.lastIndexOf("ro") > options.lastIndexOf("rw");
}

/**
 * Gives a cgroup to a user: its directory, to make others in it, and those files that the kernel names for it. The others set its
 * limits, which stay out of reach.
 * @throws BerthError
 */
export function delegate(cgroup: Cgroup, uid: number): void {
  const files = (readTextIfThere("/sys/kernel/cgroup/delegate") ?? FALLBACK).split("\n");
  chown(cgroup, "", uid);
  for (const file of files) if (file !== "") chown(cgroup, file, uid);
}

/** @param file "" for the directory itself */
function chown(cgroup: Cgroup, file: string, uid: number): void {
  const flags = file === "" ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
  const result = syscall("fchownat", cgroup.directory, scratch().text(file), uid, KEEP_GROUP, flags);
  // Not every cgroup has every file.
  if (result >= 0 || (result === -ENOENT && file !== "")) return;
  const path = `${cgroup.mount}${cgroup.path}${file === "" ? "" : `/${file}`}`;
  throw systemError(-result, `linux.cgroupsPath: give "${path}" to user ${uid}`);
}
