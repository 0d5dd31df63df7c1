import type { Mount, Spec } from "../config.ts";
import { each, type Report } from "../problem.ts";

// root, mounts, masked and read-only paths. Runtime-spec 1.3, config.md "Root" and "Mounts", config-linux.md.

export function checkRoot({ root }: Spec, report: Report): void {
  if (root.path !== "") return;
  report("root.path", root.path, "the path of the root filesystem, absolute or below the bundle");
}

export function checkMounts({ mounts }: Spec, report: Report): void {
  each(mounts, (mount, i) => {
    const path = `mounts[${i}]`;
    checkDestination(`${path}.destination`, mount.destination, report);
    checkType(path, mount, report);
    if ((mount.uidMappings === undefined) === (mount.gidMappings === undefined)) return;
    const [given, missing] =
      mount.uidMappings === undefined ? ["gidMappings", "uidMappings"] : ["uidMappings", "gidMappings"];
    report(`${path}.${missing}`, undefined, `mappings, as ${given} has them`);
  });
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
