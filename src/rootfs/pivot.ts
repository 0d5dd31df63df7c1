import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MNT_DETACH,
  MOVE_MOUNT_F_EMPTY_PATH,
  MS_RDONLY,
  MS_REC,
  MS_SLAVE,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
} from "../linux/constants.ts";
import { EINVAL, EPERM } from "../linux/errno.ts";
import { label, mark, type Serving, serving } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import type { RootfsPropagation } from "../spec/linux.ts";
import { maySpreadToHost } from "./root.ts";
import { always, type RootfsContext, type Slots } from "./scope.ts";
import { MOUNT_ATTR_SIZE, mountAttr } from "./structs.ts";

/**
 * Makes the rootfs the root, and lets go of the host's mounts. With "." for both arguments, pivot_root(2) stacks the old
 * root upon the new one, and no directory is needed for it.
 */
export function pivotRootSteps(
  propagation: RootfsPropagation | undefined,
  context: RootfsContext,
  slots: Slots,
): Step[] {
  const root = serving("pivot", "root.path", "/");
  const { rootfs } = context.descriptors;
  const shared = maySpreadToHost(propagation);
  const slave = mountAttr({ propagation: MS_SLAVE });
  return [
    ...(shared
      ? [root.call("openat", [AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC], { store: slots.parent })]
      : []),
    root.call("fchdir", [rootfs]),
    root.call("pivot_root", [".", "."], {
      hints: {
        [EINVAL]: "the host's root is an initramfs, which cannot be left this way: use --no-pivot",
        [EPERM]: "changing the root needs CAP_SYS_ADMIN",
      },
    }),
    // Otherwise the host's own mounts would be unmounted along with these copies of them.
    ...(shared
      ? [
          root.call("mount_setattr", [
            slots.parent,
            "",
            AT_EMPTY_PATH | AT_RECURSIVE,
            slave,
            MOUNT_ATTR_SIZE,
          ]),
          root.call("fchdir", [slots.parent]),
        ]
      : []),
    root.call("umount2", [".", MNT_DETACH], { what: "let go of the host's mounts" }),
    root.call("chdir", ["/"]),
  ];
}

/** Kernel file systems of the host that would lie open below the new root. */
const KERNEL_MOUNTS = ["/proc", "/sys"] as const;

/**
 * --no-pivot, for hosts whose root is an initramfs: the rootfs is moved over "/", and the host's mounts stay below it. A
 * process could mount a full procfs or sysfs in a user namespace while the host's are there, so that these go first.
 */
export function moveRootSteps(context: RootfsContext, slots: Slots): Step[] {
  const root = serving("pivot", "root.path", "/");
  const { rootfs } = context.descriptors;
  return [
    ...KERNEL_MOUNTS.flatMap((path) => hideKernelMount(serving("pivot", "root.path", path), path, slots)),
    root.call("move_mount", [rootfs, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH], {
      what: "move the root file system to /",
    }),
    ...chrootSteps(context),
  ];
}

/** Unmounts it, or covers it when it cannot be unmounted: it is locked in a user namespace, or no mount of its own. */
function hideKernelMount(here: Serving, path: string, slots: Slots): Step[] {
  const cover = label("cover");
  const gone = label("gone");
  return [
    here.call("mount", [0, path, 0, MS_SLAVE | MS_REC, 0], {
      on: { [EINVAL]: "next" },
      what: "hide the host's mount",
    }),
    here.call("umount2", [path, MNT_DETACH], {
      on: { [EINVAL]: cover, [EPERM]: cover },
      what: "hide the host's mount",
    }),
    always({ serving: here, slots }, gone),
    mark(cover),
    here.call("mount", ["tmpfs", path, "tmpfs", MS_RDONLY, 0], { what: "cover the host's mount" }),
    mark(gone),
  ];
}

/** Changes the root alone, for a container that shares the host's mounts, or whose rootfs has been moved to "/". */
export function chrootSteps(context: RootfsContext): Step[] {
  const root = serving("pivot", "root.path", "/");
  return [
    root.call("fchdir", [context.descriptors.rootfs]),
    root.call("chroot", ["."], { hints: { [EPERM]: "changing the root needs CAP_SYS_CHROOT" } }),
    root.call("chdir", ["/"]),
  ];
}
