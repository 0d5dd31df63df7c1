import { AT_EMPTY_PATH, AT_RECURSIVE } from "../linux/constants.ts";
import { EINVAL } from "../linux/errno.ts";
import type { Serving } from "../plan/build.ts";
import type { Slot, Step } from "../plan/step.ts";
import type { Propagation } from "./mount-options.ts";
import { MOUNT_ATTR_SIZE, mountAttr } from "./structs.ts";

/**
 * Changes how mounts made later spread between a mount and its copies, in the order given; man 7 mount_namespaces.
 * @param mount a descriptor of the mount's root
 */
export function propagationSteps(
  serving: Serving,
  mount: Slot | number,
  changes: readonly Propagation[],
): Step[] {
  return changes.map(({ type, recursive }) =>
    serving.call(
      "mount_setattr",
      [
        mount,
        "",
        AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
        mountAttr({ propagation: type }),
        MOUNT_ATTR_SIZE,
      ],
      { what: "set the mount's propagation", hints: { [EINVAL]: "the destination is not a mount" } },
    ),
  );
}
