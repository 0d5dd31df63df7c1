import { BerthError } from "../errors.ts";
import type { Step } from "../plan/step.ts";
import type { Spec } from "../spec/config.ts";
import { deviceSteps } from "./devices.ts";
import { hasForeignDev, understandMounts } from "./entry.ts";
import { type Fresh, mountListSteps } from "./mounts.ts";
import { finalSteps, maskedPathSteps, readonlyPathSteps } from "./paths.ts";
import { chrootSteps, moveRootSteps, pivotRootSteps } from "./pivot.ts";
import { plainRootSteps, rootPropagationSteps, rootSteps } from "./root.ts";
import { createSlots, type RootfsContext } from "./scope.ts";

export type { RootfsContext } from "./scope.ts";

/*
 * The container's root file system, in three parts, between which other steps may come (hooks before the pivot, the
 * terminal after it). The descriptor `rootfs` is good from the first part on. Each part may close everything from
 * `temporary` on; descriptor `plan` is taken from the first part to the end of the last.
 */

/**
 * From the propagation of the host's mounts to the devices: config.json's root, mounts, linux.devices and
 * linux.rootfsPropagation. These run on the host's root, in the container's namespaces.
 * @throws BerthError "invalid-config" for what no kernel could carry out
 */
export function mountSteps(spec: Spec, context: RootfsContext): Step[] {
  const slots = createSlots();
  const { rootfsPropagation } = spec.linux;
  const fresh: Fresh = new Set();
  if (!hasMounts(spec)) {
    refuseMounts(spec);
    return [...plainRootSteps(context, slots), ...deviceSteps(spec, context, slots, fresh, new Set())];
  }
  const entries = understandMounts(spec.mounts);
  const mounted = new Set(entries.map(({ destination }) => destination.path));
  return [
    ...rootSteps(rootfsPropagation, context, slots),
    ...mountListSteps(entries, context, slots, fresh),
    ...(hasForeignDev(entries) ? [] : deviceSteps(spec, context, slots, fresh, mounted)),
  ];
}

/** Makes the rootfs the root: pivot_root(2), or with --no-pivot a move and chroot(2). */
export function pivotSteps(spec: Spec, context: RootfsContext): Step[] {
  if (!hasMounts(spec)) return chrootSteps(context);
  const slots = createSlots();
  return context.noPivot
    ? moveRootSteps(context, slots)
    : pivotRootSteps(spec.linux.rootfsPropagation, context, slots);
}

/**
 * What is last, once everything that needs a writable root has been done: linux.readonlyPaths, linux.maskedPaths, read-only
 * tmpfs mounts, root.readonly, linux.rootfsPropagation.
 */
export function pathSteps(spec: Spec, context: RootfsContext): Step[] {
  if (!hasMounts(spec)) return [];
  const slots = createSlots();
  return [
    ...readonlyPathSteps(spec, context, slots),
    ...maskedPathSteps(spec, context, slots),
    ...finalSteps(spec, context),
    // Here and not before, for mounts below an unbindable one could not be covered with copies of themselves.
    ...rootPropagationSteps(spec.linux.rootfsPropagation, context.descriptors.rootfs),
  ];
}

/** Whether the container has a mount namespace of its own, new or joined. */
function hasMounts(spec: Spec): boolean {
  return spec.linux.namespaces.some(({ type }) => type === "mount");
}

/** Without a mount namespace every mount would be made on the host, and stay there. */
function refuseMounts(spec: Spec): void {
  const { maskedPaths = [], readonlyPaths = [], rootfsPropagation } = spec.linux;
  const refused: readonly (readonly [string, boolean])[] = [
    ["mounts", (spec.mounts ?? []).length > 0],
    ["linux.maskedPaths", maskedPaths.length > 0],
    ["linux.readonlyPaths", readonlyPaths.length > 0],
    ["linux.rootfsPropagation", rootfsPropagation !== undefined],
    ["root.readonly", spec.root.readonly === true],
  ];
  const [name] = refused.find(([, given]) => given) ?? [];
  if (name === undefined) return;
  throw new BerthError("invalid-config", `${name}: not possible in the host's mount namespace`, {
    hint: 'add { "type": "mount" } to linux.namespaces',
  });
}
