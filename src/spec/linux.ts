import { array, boolean, object, enum as oneOf, optional, type output, record, string } from "zod/mini";
import { resources } from "./resources.ts";
import { id, int64, strings, uint32, whole } from "./scalars.ts";
import { seccomp } from "./seccomp.ts";

// config.json: linux. Runtime-spec 1.3, config-linux.md.

export const idMapping = object({ containerID: id, hostID: id, size: whole(1, 2 ** 32 - 1) });
export const idMappings = optional(array(idMapping));

const namespace = object({
  type: oneOf(["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"]),
  path: optional(string()),
});

const device = object({
  type: oneOf(["b", "c", "u", "p"]),
  path: string(),
  major: optional(int64),
  minor: optional(int64),
  // Podman writes st_mode of the host's device, with the bits of the file's type.
  fileMode: optional(whole(0, 0o177777)),
  uid: optional(id),
  gid: optional(id),
});

const intelRdt = object({
  closID: optional(string()),
  schemata: optional(strings),
  l3CacheSchema: optional(string()),
  memBwSchema: optional(string()),
  enableMonitoring: optional(boolean()),
  // Deprecated in 1.3, and still written by engines.
  enableCMT: optional(boolean()),
  enableMBM: optional(boolean()),
});

const memoryPolicy = object({
  mode: oneOf([
    "MPOL_DEFAULT",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_LOCAL",
  ]),
  nodes: optional(string()),
  flags: optional(array(oneOf(["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"]))),
});

export const linux = object({
  namespaces: array(namespace),
  uidMappings: idMappings,
  gidMappings: idMappings,
  timeOffsets: optional(record(string(), object({ secs: optional(int64), nanosecs: optional(uint32) }))),
  devices: optional(array(device)),
  netDevices: optional(record(string(), object({ name: optional(string()) }))),
  cgroupsPath: optional(string()),
  resources: optional(resources),
  intelRdt: optional(intelRdt),
  sysctl: optional(record(string(), string())),
  seccomp: optional(seccomp),
  rootfsPropagation: optional(
    oneOf(["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"]),
  ),
  maskedPaths: optional(strings),
  readonlyPaths: optional(strings),
  mountLabel: optional(string()),
  personality: optional(object({ domain: oneOf(["LINUX", "LINUX32"]), flags: optional(strings) })),
  memoryPolicy: optional(memoryPolicy),
});

export type Linux = output<typeof linux>;
export type IdMapping = output<typeof idMapping>;
export type Namespace = output<typeof namespace>;
export type NamespaceType = Namespace["type"];
export type Device = output<typeof device>;
export type RootfsPropagation = NonNullable<Linux["rootfsPropagation"]>;
export type Personality = NonNullable<Linux["personality"]>;
export type MemoryPolicy = NonNullable<Linux["memoryPolicy"]>;
export type IntelRdt = NonNullable<Linux["intelRdt"]>;
export type NetDevices = NonNullable<Linux["netDevices"]>;
