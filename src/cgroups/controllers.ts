import { BerthError } from "../errors.ts";
import { O_WRONLY } from "../linux/constants.ts";
import { EBUSY } from "../linux/errno.ts";
import { close, readText, readTextIfThere, tryOpen, tryWrite } from "../linux/file.ts";
import { utf8 } from "../linux/text.ts";
import { v1Binding } from "./hierarchy.ts";
import type { Limits, LimitWrite } from "./limits/limit.ts";
import { type CgroupPlace, directoryOf, pathsTo } from "./path.ts";

/*
 * Which controllers a cgroup has: those that the cgroup above it has and lets its children have, in its cgroup.subtree_control;
 * cgroup-v2.rst "Enabling and Disabling".
 */

/**
 * Lets the cgroups below `path` have every controller that it has itself: a limit can then be set at any time, and statistics are
 * kept from the start. What cannot be enabled is left out: a limit that needs it says so, see {@link notEnabled}.
 * @param mount descriptor of the directory where cgroup2 is mounted
 * @param path below it, absolute; "" for the root
 * @returns false when it has none to give
 */
export function enableControllers(mount: number, path: string): boolean {
  const directory = path === "" ? "" : `${path.slice(1)}/`;
  const available = words(readTextIfThere(`${directory}cgroup.controllers`, mount));
  if (available.length === 0) return false;
  const file = `${directory}cgroup.subtree_control`;
  const enabled = words(readTextIfThere(file, mount));
  const missing: string[] = [];
  for (const name of available) if (!enabled.includes(name)) missing.push(`+${name}`);
  if (missing.length === 0) return true;
  const fd = tryOpen(file, O_WRONLY, 0, mount);
  if (fd < 0) return true;
  const result = tryWrite(fd, utf8(missing.join(" ")));
  // It is all or none, and one may be in the way of all. EBUSY: there are processes in the cgroup. It could still have cpu, cpuset and
  // pids, but with those it would become the root of a threaded tree, and no process could be started in a cgroup below it.
  if (result < 0 && result !== -EBUSY) for (const name of missing) tryWrite(fd, utf8(name));
  close(fd);
  return true;
}

/**
 * Refuses limits that no cgroup of this host can have.
 * @throws BerthError "no-controller"
 */
export function refuseUnavailable(limits: Limits, mount: string): void {
  let available: string[] | undefined;
  const has = (controller: string) => {
    available ??= words(readText(`${mount}/cgroup.controllers`));
    return available.includes(controller);
  };
  for (const { controller, path, optional, retried } of limits.writes) {
    // "irq" has statistics in every cgroup and is no controller, like "cgroup".
    if (
      optional !== true &&
      retried !== true &&
      controller !== "cgroup" &&
      controller !== "irq" &&
      !has(controller)
    ) {
      throw noController(path, controller, available ?? []);
    }
  }
  for (const { controller, path } of limits.ignored) {
    if (v1Binding(controller) !== undefined) throw noController(path, controller, available ?? []);
  }
}

function noController(path: string, controller: string, available: readonly string[]): BerthError {
  const v1 = v1Binding(controller === "io" ? "blkio" : controller);
  if (v1 !== undefined) {
    const where = v1 === "" ? "in a cgroup v1 hierarchy that is not mounted" : `on cgroup v1, at "${v1}"`;
    const unified = path.startsWith("linux.resources.unified");
    return new BerthError("no-controller", `${path}: the host has the controller "${controller}" ${where}`, {
      hint: unified
        ? "unified names files of cgroup v2: use the field of linux.resources that means the same"
        : "mount the hierarchy, or boot with cgroup v2 alone: systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
    });
  }
  return new BerthError("no-controller", `${path}: the controller "${controller}" is not available`, {
    hint:
      available.length === 0
        ? "the cgroup v2 hierarchy of this host has no controllers"
        : `the host has ${available.join(", ")}; the name of a file begins with its controller's`,
  });
}

/**
 * Why a cgroup lacks a controller that the host has, in words; undefined when it does not.
 * @param controller of a {@link LimitWrite}
 */
export function notEnabled(place: CgroupPlace, controller: LimitWrite["controller"]): string | undefined {
  if (controller === "cgroup" || has(`${directoryOf(place)}/cgroup.controllers`, controller))
    return undefined;
  const above = ["", ...pathsTo(place.path).slice(0, -1)];
  const first = above.find((path) => !has(`${place.mount}${path}/cgroup.subtree_control`, controller));
  if (first === undefined) return undefined;
  const name = first === "" ? "/" : first;
  const populated = first !== "" && (readTextIfThere(`${place.mount}${first}/cgroup.procs`) ?? "") !== "";
  const why = populated
    ? ": it has processes of its own, and the kernel lets only one without give controllers to those below it"
    : "";
  return `cgroup "${name}" does not enable the controller "${controller}" for those below it${why}`;
}

function has(file: string, controller: string): boolean {
  return words(readTextIfThere(file)).includes(controller);
}

function words(text = ""): string[] {
  const trimmed = text.trim();
  return trimmed === "" ? [] : trimmed.split(" ");
}
