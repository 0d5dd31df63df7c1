import { NAMESPACE_FLAGS } from "../namespaces/namespaces.ts";
import { MEMORY_POLICY_FLAGS, MEMORY_POLICY_MODES } from "../process/memory-policy.ts";
import { mountOptionNames } from "../rootfs/mount-options.ts";
import { CAPABILITIES } from "../spec/capabilities.ts";
import { hooks } from "../spec/config.ts";
import { choicesAt, keysOf } from "../spec/schema.ts";
import { seccomp } from "../spec/seccomp.ts";
import { commit, quickjs, SPEC_VERSION, version } from "./version.ts";

/** Annotations of config.json that change what berth does; one that ends with a dot stands for all that begin so. */
const UNSAFE_ANNOTATIONS: readonly string[] = ["org.systemd.property."];

/**
 * What this build can do; runtime-spec 1.3, features.md. It says nothing of the host: "enabled" is what berth carries out where
 * the kernel can. Every list is read from the table that the code itself works by.
 */
export function features() {
  const flags = choicesAt(seccomp, "flags").sort();
  const options = mountOptionNames();
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: SPEC_VERSION,
    hooks: keysOf(hooks),
    mountOptions: options,
    linux: {
      namespaces: Object.keys(NAMESPACE_FLAGS).sort(),
      capabilities: Object.keys(CAPABILITIES),
      cgroup: {
        // Of a hybrid host: beside its v1 controllers it has cgroup2, by which device rules, freezing and killing go.
        v1: true,
        v2: true,
        systemd: true,
        systemdUser: true,
        rdma: true,
      },
      seccomp: {
        enabled: true,
        actions: choicesAt(seccomp, "syscalls", "action").sort(),
        operators: choicesAt(seccomp, "syscalls", "args", "op").sort(),
        archs: choicesAt(seccomp, "architectures").sort(),
        knownFlags: flags,
        supportedFlags: flags,
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      memoryPolicy: { modes: Object.keys(MEMORY_POLICY_MODES), flags: Object.keys(MEMORY_POLICY_FLAGS) },
      mountExtensions: { idmap: { enabled: options.includes("idmap") } },
      netDevices: { enabled: true },
    },
    annotations: {
      "io.github.berth.version": version,
      "io.github.berth.commit": commit(),
      "io.github.berth.quickjs.version": quickjs,
    },
    potentiallyUnsafeConfigAnnotations: UNSAFE_ANNOTATIONS,
  };
}
