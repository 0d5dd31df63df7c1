import type { Mount, Spec } from "../config.ts";
import { idMapOf, type MountIdMap, parseOptionMaps } from "../mount-id-map.ts";
import { namespaceOf } from "../namespaces.ts";
import { each, type Report } from "../problem.ts";
import { checkIdMap } from "./namespaces.ts";

// root, mounts, masked and read-only paths. Runtime-spec 1.3, config.md "Root" and "Mounts", config-linux.md.

export function checkRoot({ root }: Spec, report: Report): void {
  if (root.path !== "") return;
  report("root.path", root.path, "the path of the root filesystem, absolute or below the bundle");
}

export function checkMounts(spec: Spec, report: Report): void {
  each(spec.mounts, (mount, i) => {
    const path = `mounts[${i}]`;
    checkDestination(`${path}.destination`, mount.destination, report);
    checkType(path, mount, report);
    const idMap = idMapOf(mount);
    if (idMap !== undefined) checkMountIdMap(spec, path, mount, idMap, report);
  });
}

/** Engines write [] for mappings that are not there. */
function checkMountIdMap(
  spec: Spec,
  path: string,
  { uidMappings = [], gidMappings = [], options = [] }: Mount,
  { option, text }: MountIdMap,
  report: Report,
): void {
  if (options.includes("remount")) {
    report(`${path}.options`, options, "no id mappings with remount: a mount gets them when it is made");
  }
  const given = uidMappings.length + gidMappings.length > 0;
  if (given) {
    if (uidMappings.length === 0)
      report(`${path}.uidMappings`, undefined, "mappings, as gidMappings has them");
    if (gidMappings.length === 0)
      report(`${path}.gidMappings`, undefined, "mappings, as uidMappings has them");
    checkIdMap(`${path}.uidMappings`, uidMappings, report);
    checkIdMap(`${path}.gidMappings`, gidMappings, report);
  }
  if (option === undefined) return;
  const at = `${path}.options[${option}]`;
  const hasUser = namespaceOf(spec, "user") !== undefined;
  if (text === undefined) {
    if (given || hasUser) return;
    report(
      at,
      options[option],
      "only with uidMappings and gidMappings, or in a user namespace, whose mappings it takes",
    );
    return;
  }
  checkOptionMaps(at, options[option], text, hasUser, report);
  if (given) report(at, options[option], "mappings either here or in uidMappings and gidMappings");
}

function checkOptionMaps(
  at: string,
  option: string | undefined,
  text: string,
  hasUser: boolean,
  report: Report,
): void {
  const maps = parseOptionMaps(text);
  if (maps === undefined || maps.uids.length === 0 || maps.gids.length === 0) {
    report(at, option, '"idmap=uids=FROM-TO-SIZE;gids=FROM-TO-SIZE", more ranges after a "#"');
    return;
  }
  let relative = false;
  each(maps.uids, (mapping) => {
    relative ||= mapping.relative;
  });
  each(maps.gids, (mapping) => {
    relative ||= mapping.relative;
  });
  if (relative && !hasUser) report(at, option, '"@" only in a user namespace');
  if (relative) return;
  checkIdMap(`${at} uids`, maps.uids, report);
  checkIdMap(`${at} gids`, maps.gids, report);
}

function checkDestination(path: string, destination: string, report: Report): void {
  if (destination === "") report(path, destination, "a path in the container");
  else if (isRootDirectory(destination)) {
    report(path, destination, "a path below /: a mount onto the root of the container would hide all of it");
  }
}

/** Whether `path`, by its text alone, is the root directory: "/", "//", "/./", "/a/..". */
function isRootDirectory(path: string): boolean {
  let depth = 0;
  for (let start = 0, end = 0; start <= path.length; start = end + 1) {
    end = path.indexOf("/", start);
    if (end === -1) end = path.length;
    const name = path.slice(start, end);
    if (name === "..") depth = depth > 0 ? depth - 1 : 0;
    else if (name !== "" && name !== ".") depth++;
  }
  return depth === 0;
}

function checkType(path: string, { type, options = [] }: Mount, report: Report): void {
  const isBind = options.includes("bind") || options.includes("rbind");
  if ((type ?? "") === "" && !isBind && !options.includes("remount")) {
    report(`${path}.type`, type, 'a filesystem type, unless options has "bind" or "rbind"');
  }
  if (!isBind) return;
  each(options, (option, i) => {
    // What has a value is no flag. A word that is no flag is found where the options are taken apart.
    if (!option.includes("=") || option.startsWith("idmap=") || option.startsWith("ridmap=")) return;
    report(
      `${path}.options[${i}]`,
      option,
      "flags only: a bind mount has no filesystem of its own to give data to",
    );
  });
}

export function checkProtectedPaths({ linux }: Spec, report: Report): void {
  for (const key of ["maskedPaths", "readonlyPaths"] as const) {
    each(linux[key], (path, i) => {
      if (!path.startsWith("/")) report(`linux.${key}[${i}]`, path, "an absolute path");
    });
  }
}
