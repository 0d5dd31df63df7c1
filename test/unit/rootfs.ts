import { createRequests, descriptors } from "../../src/plan/protocol.ts";
import type { Call, Slot, Step, Value } from "../../src/plan/step.ts";
import { mountSteps, type RootfsContext } from "../../src/rootfs/rootfs.ts";
import type { Mount, Spec } from "../../src/spec/config.ts";
import { calls, straight } from "./steps.ts";

/* What tests of the rootfs rooms have in common. */

export const fds = descriptors(0);

/** A root container with a cgroup namespace; `change` overrides. */
export function rootfsContext(change: Partial<RootfsContext> = {}): RootfsContext {
  return {
    bundle: "/bundle",
    rootfs: "/bundle/rootfs",
    noPivot: false,
    userNamespace: false,
    cgroupNamespace: true,
    networkNamespace: true,
    cgroup: { mount: "/sys/fs/cgroup", path: "/box" },
    descriptors: fds,
    requests: createRequests(fds.sync),
    ...change,
  };
}

/** The least of a Spec with a mount namespace, and what is being tested. */
export function rootfsSpec(
  change: Partial<Omit<Spec, "linux">> & { linux?: Partial<Spec["linux"]> } = {},
): Spec {
  return {
    ociVersion: "1.2.0",
    root: { path: "rootfs" },
    ...change,
    linux: { namespaces: [{ type: "mount" }], ...change.linux },
  };
}

/** The steps for the last of these mounts. */
export function stepsOfLast(mounts: readonly Mount[], context = rootfsContext()): Step[] {
  const path = `mounts[${mounts.length - 1}]`;
  return mountSteps(rootfsSpec({ mounts: [...mounts] }), context).filter((step) =>
    step.kind !== "mark" ? step.path === path : true,
  );
}

/** The steps for one mount. */
export function stepsOf(mount: Mount, context = rootfsContext()): Step[] {
  return stepsOfLast([mount], context);
}

/** The calls of a Plan in which every call succeeds. */
export function smooth(steps: readonly Step[]): Call[] {
  return calls(straight(steps));
}

/** Calls in short: 'fsopen proc', a slot as its name in angle brackets. */
export function short(steps: readonly Step[]): string[] {
  return calls(steps).map(({ call, args }) => [call, ...args.map(shortValue)].join(" ").trimEnd());
}

function shortValue(value: Value): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return value === "" ? '""' : value;
  return value.kind === "slot"
    ? `<${value.name}>`
    : value.kind === "address"
      ? `&${value.of.name}`
      : value.kind;
}

/** Whether an argument is this slot. */
export function isSlot(value: Value | undefined, name: string): value is Slot {
  return typeof value === "object" && value.kind === "slot" && value.name === name;
}
