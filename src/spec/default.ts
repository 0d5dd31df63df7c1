import type { Mount, Spec } from "./config.ts";
import type { Linux } from "./linux.ts";

/** What the default config.json depends on. */
export interface DefaultSpecOptions {
  /** For a caller that is not root: a user namespace with one mapping, and no network namespace of its own. */
  readonly rootless: boolean;
  /** The caller's, for the mapping of a rootless container. */
  readonly uid: number;
  readonly gid: number;
  /** Whether the host has cgroup v2, and so cgroup namespaces that are worth having. */
  readonly cgroup2: boolean;
}

const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

function mounts(): Mount[] {
  return [
    { destination: "/proc", type: "proc", source: "proc" },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
    },
  ];
}

const MASKED_PATHS = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/sys/firmware",
  "/proc/scsi",
];

const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** The config.json that `berth spec` writes: a shell in the directory "rootfs" of the bundle. */
export function defaultSpec(options: DefaultSpecOptions): Spec {
  return {
    ociVersion: "1.3.0",
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
      cwd: "/",
      // None is inheritable or ambient: a program with file capabilities must not gain more from them (CVE-2022-29162).
      capabilities: {
        bounding: [...CAPABILITIES],
        effective: [...CAPABILITIES],
        permitted: [...CAPABILITIES],
      },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "berth",
    mounts: options.rootless ? mounts().map(rootlessMount) : mounts(),
    linux: options.rootless ? rootlessLinux(options) : rootfulLinux(options),
  };
}

function rootfulLinux({ cgroup2 }: DefaultSpecOptions): Linux {
  return {
    resources: { devices: [{ allow: false, access: "rwm" }] },
    namespaces: namespaces(["pid", "network", "ipc", "uts", "mount"], cgroup2),
    maskedPaths: [...MASKED_PATHS],
    readonlyPaths: [...READONLY_PATHS],
  };
}

/** No resources, for lack of the right to set them; no network namespace, for lack of the right to wire one up. */
function rootlessLinux({ uid, gid, cgroup2 }: DefaultSpecOptions): Linux {
  return {
    uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
    gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
    namespaces: namespaces(["pid", "ipc", "uts", "mount", "user"], cgroup2),
    maskedPaths: [...MASKED_PATHS],
    readonlyPaths: [...READONLY_PATHS],
  };
}

type NamespaceTypes = readonly Linux["namespaces"][number]["type"][];

function namespaces(types: NamespaceTypes, cgroup2: boolean): Linux["namespaces"] {
  return [...types, ...(cgroup2 ? (["cgroup"] as const) : [])].map((type) => ({ type }));
}

/** A sysfs can be mounted only by the owner of the network namespace, and gid 5 is not mapped. */
function rootlessMount(mount: Mount): Mount {
  if (mount.type === "sysfs") {
    return { ...mount, type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"] };
  }
  if (mount.options === undefined) return mount;
  return { ...mount, options: mount.options.filter((option) => !/^[ug]id=/.test(option)) };
}
