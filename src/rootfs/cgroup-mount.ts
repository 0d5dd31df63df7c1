import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
} from "../linux/constants.ts";
import { EBUSY, ENODEV, ENOENT, EPERM } from "../linux/errno.ts";
import { label, mark } from "../plan/build.ts";
import type { Label, Step } from "../plan/step.ts";
import { bindSteps } from "./bind.ts";
import { type FileSystem, fileSystemSteps, newMountAttributes } from "./filesystem.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import { always, type Scope } from "./scope.ts";

/**
 * Makes a mount of the cgroups in `slots.mount`.
 *
 * In a cgroup namespace of its own the container mounts cgroup2 itself and sees its cgroup as the root. Otherwise it is
 * shown the host's mount: a new one would change the options (nsdelegate, memory_recursiveprot) that all cgroup2 mounts
 * of the host share. Where neither can be, an empty read-only tmpfs covers what /sys may show of the host's cgroups, and
 * in a user namespace the host's cgroups are read-only in any case: they may belong to the user (CVE-2023-25809).
 */
export function cgroupSteps(scope: Scope, source: string | undefined, options: MountOptions): Step[] {
  const { cgroup, cgroupNamespace, userNamespace } = scope.context;
  const nothing = label("no cgroup");
  const done = label("done");
  const attributes = newMountAttributes(options);
  if (!cgroupNamespace) {
    const readOnly = userNamespace ? MOUNT_ATTR_RDONLY : 0;
    return cgroup === null
      ? emptySteps(scope)
      : [
          ...showSteps(scope, cgroup.mount, attributes | readOnly, nothing),
          always(scope, done),
          mark(nothing),
          ...emptySteps(scope),
          mark(done),
        ];
  }
  const own = label("own cgroup");
  // Without a cgroup of its own the container is in berth's, which is not the container's to change.
  const fileSystem: FileSystem = {
    type: "cgroup2",
    source,
    options,
    attributes: cgroup === null ? attributes | MOUNT_ATTR_RDONLY : attributes,
  };
  return [
    ...fileSystemSteps(scope, fileSystem, { errnos: [EPERM, EBUSY, ENODEV], to: own }),
    always(scope, done),
    mark(own),
    ...(cgroup === null
      ? []
      : [
          ...showSteps(scope, `${cgroup.mount}${cgroup.path}`, attributes, nothing),
          always(scope, done),
          mark(nothing),
        ]),
    ...emptySteps(scope),
    mark(done),
  ];
}

function showSteps(scope: Scope, source: string, set: number, missing: Label): Step[] {
  const attributes = { set, clear: 0 };
  const none = { set: 0, clear: 0 };
  return bindSteps(
    scope,
    { source, recursive: false, attributes, recursiveAttributes: none },
    { [ENOENT]: missing },
  );
}

/** An empty, read-only directory in `slots.mount`. */
export function emptySteps(scope: Scope): Step[] {
  return fileSystemSteps(scope, {
    type: "tmpfs",
    source: "tmpfs",
    // The least that every kernel accepts: Ubuntu's 5.4 refuses nr_inodes=1.
    options: parseMountOptions(["nr_blocks=1", "nr_inodes=2"]),
    attributes: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
  });
}
