import { byteLength } from "../../linux/text.ts";
import type { Spec } from "../config.ts";
import type { IdMapping } from "../linux.ts";
import { hasNewNamespace, namespaceOf } from "../namespaces.ts";
import { each, type Report } from "../problem.ts";
import { namespaceOfSysctl, sysctlPath } from "../sysctl.ts";

// linux.namespaces, and what may be set only in a namespace of one's own. Runtime-spec 1.3, config-linux.md.

export function checkNamespaces(spec: Spec, report: Report): void {
  const { namespaces } = spec.linux;
  each(namespaces, (namespace, i) => {
    const { type, path } = namespace;
    if (namespaceOf(spec, type) !== namespace) report(`linux.namespaces[${i}].type`, type, "each type once");
    if (path !== undefined && !path.startsWith("/")) {
      report(`linux.namespaces[${i}].path`, path, "an absolute path");
    }
  });
}

/**
 * The mappings of linux. None at all for a new user namespace is a matter of who calls: one that is not root gets what
 * /etc/subuid and /etc/subgid give it (runtime/bundle.ts).
 */
export function checkIdMappings(spec: Spec, report: Report): void {
  const { uidMappings, gidMappings } = spec.linux;
  const none = (uidMappings?.length ?? 0) + (gidMappings?.length ?? 0) === 0;
  if (none) return;
  for (const key of ["uidMappings", "gidMappings"] as const) {
    const path = `linux.${key}`;
    const mappings = spec.linux[key];
    if (mappings === undefined || mappings.length === 0) {
      if (!hasNewNamespace(spec, "user")) continue;
      report(path, mappings, "at least one mapping for the new user namespace");
      continue;
    }
    if (namespaceOf(spec, "user") === undefined) {
      report(path, mappings, "only with a user namespace in linux.namespaces");
    }
    checkIdMap(path, mappings, report);
  }
}

/** The kernel refuses ranges that wrap around or overlap, inside as well as outside: user_namespaces(7). */
export function checkIdMap(path: string, mappings: readonly IdMapping[], report: Report): void {
  // UID_GID_MAP_MAX_EXTENTS
  if (mappings.length > 340) report(path, mappings, "at most 340 mappings");
  each(mappings, (mapping, i) => {
    const last = Math.max(mapping.containerID, mapping.hostID) + mapping.size - 1;
    if (last > 2 ** 32 - 2) report(`${path}[${i}].size`, mapping.size, `a range of ids up to ${2 ** 32 - 2}`);
    for (const key of ["containerID", "hostID"] as const) {
      const start = mapping[key];
      const overlapping = mappings.findIndex(
        (other, n) => n < i && start < other[key] + other.size && other[key] < start + mapping.size,
      );
      if (overlapping === -1) continue;
      report(`${path}[${i}].${key}`, start, `a range that does not overlap that of ${path}[${overlapping}]`);
    }
  });
}

export function checkTimeOffsets(spec: Spec, report: Report): void {
  const offsets = spec.linux.timeOffsets ?? {};
  for (const clock in offsets) {
    const path = `linux.timeOffsets.${clock}`;
    if (!hasNewNamespace(spec, "time")) {
      report(path, offsets[clock], "only with a new time namespace in linux.namespaces");
    }
    if (clock !== "monotonic" && clock !== "boottime") {
      report(path, offsets[clock], 'the clocks "monotonic" and "boottime"');
    }
    const nanoseconds = offsets[clock]?.nanosecs ?? 0;
    if (nanoseconds >= 1e9) report(`${path}.nanosecs`, nanoseconds, "a whole number from 0 to 999999999");
  }
}

/** sethostname(2) and setdomainname(2) take 64 bytes, and the names of the caller's own namespace must stay. */
export function checkNames(spec: Spec, report: Report): void {
  for (const key of ["hostname", "domainname"] as const) {
    const name = spec[key] ?? "";
    if (name === "") continue;
    if (namespaceOf(spec, "uts") === undefined) {
      report(key, name, "only with a uts namespace in linux.namespaces");
    }
    if (byteLength(name) > 64) report(key, name, "at most 64 bytes");
  }
}

/** A sysctl outside of the container's own namespaces would be the host's. */
export function checkSysctl(spec: Spec, report: Report): void {
  const { sysctl } = spec.linux;
  for (const key in sysctl) {
    const allowed = refusal(spec, sysctlPath(key));
    if (allowed !== undefined) report(`linux.sysctl[${JSON.stringify(key)}]`, sysctl[key], allowed);
  }
}

function refusal(spec: Spec, path: string): string | undefined {
  for (const name of path.split("/")) {
    // "net/../kernel/core_pattern" must not pass for a net one.
    if (name === "" || name === "." || name === "..") return "only with names joined by dots, or by slashes";
  }
  if (path === "kernel/hostname") return 'only as the property "hostname"';
  const type = namespaceOfSysctl(path);
  if (type === undefined) return "only settings of a container's namespaces: this one is the whole host's";
  return namespaceOf(spec, type) === undefined
    ? `only with ${type === "ipc" ? "an" : "a"} ${type} namespace in linux.namespaces`
    : undefined;
}
