import { ALL32, type Serving, slot } from "../plan/build.ts";
import type { Descriptors, Requests } from "../plan/protocol.ts";
import type { Branch, Call, Label, Slot } from "../plan/step.ts";
import type { CgroupOfV1 } from "./cgroup-v1-mount.ts";
import { STATFS_SIZE, STATX } from "./structs.ts";

/** What the rooms of the root file system know beside the Spec. */
export interface RootfsContext {
  /** Absolute path of the bundle. */
  readonly bundle: string;
  /** Absolute path of the rootfs on the host, symlinks resolved. */
  readonly rootfs: string;
  readonly noPivot: boolean;
  /** Whether the container is in another user namespace than the host's: its own, new or joined, or berth's. */
  readonly userNamespace: boolean;
  /** Whether it has a cgroup namespace of its own, which it has entered before the mounts are made. */
  readonly cgroupNamespace: boolean;
  readonly networkNamespace: boolean;
  /** Whether the container's init may make device nodes (CAP_MKNOD); default: yes, outside of a user namespace. */
  readonly mayMakeDevices?: boolean;
  /** Where the host's cgroup2 is mounted, and the container's cgroup below it ("/a/b"); null: the container has none. */
  readonly cgroup: { readonly mount: string; readonly path: string } | null;
  /** Its cgroups of v1, on a host that has controllers there. */
  readonly cgroupsOfV1?: readonly CgroupOfV1[] | undefined;
  /** linux.mountLabel: the SELinux context of new file systems. */
  readonly mountLabel?: string | undefined;
  readonly descriptors: Descriptors;
  readonly requests: Requests;
}

/** Slots that every mount uses anew. */
export interface Slots {
  /** A file system context of fsopen(2). */
  readonly context: Slot;
  /** A mount that is not attached yet. */
  readonly mount: Slot;
  /** What it is going to cover. */
  readonly target: Slot;
  readonly parent: Slot;
  readonly status: Slot;
  readonly statfs: Slot;
  /** Eight bytes on their way from one call to the next. */
  readonly register: Slot;
  readonly value: Slot;
}

export function createSlots(): Slots {
  return {
    context: slot("context"),
    mount: slot("mount"),
    target: slot("target"),
    parent: slot("parent"),
    status: slot("status", STATX.size),
    statfs: slot("statfs", STATFS_SIZE),
    register: slot("register"),
    value: slot("value"),
  };
}

/** What the steps for one part of config.json have in common. */
export interface Scope {
  readonly context: RootfsContext;
  /** "mounts[3]" */
  readonly path: string;
  readonly serving: Serving;
  readonly slots: Slots;
}

/** Jumps in any case. */
export function always({ serving, slots }: Pick<Scope, "serving" | "slots">, to: Label): Branch {
  return serving.when({ slot: slots.status, mask: 0, value: 0 }, to);
}

/** Closes what the steps before it have opened: no container is so large that descriptors run out. */
export function closeTemporary({ serving, context }: Pick<Scope, "serving" | "context">): Call {
  return serving.call("close_range", [context.descriptors.temporary, ALL32, 0]);
}

/**
 * The host's /dev/null as a mount of its own, taken before the root changes. The number of the Plan's descriptor is free by
 * then, and filling it makes every later descriptor a temporary one.
 */
export function nullDescriptor(descriptors: Descriptors): number {
  return descriptors.plan;
}
