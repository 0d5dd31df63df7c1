import type { Step } from "../plan/step.ts";
import type { Entry } from "./entry.ts";
import type { Scope } from "./scope.ts";

/**
 * Has the runtime map the ids of the mount in `slots.mount`, while that is attached nowhere: only then the kernel allows it, and
 * only to who is root of the file system's own user namespace; man 2 mount_setattr, MOUNT_ATTR_IDMAP.
 */
export function idMapSteps({ serving, slots, context, path }: Scope, { idMap, number }: Entry): Step[] {
  if (idMap === undefined) return [];
  // A number that the few descriptors of one mount do not reach.
  const fd = context.descriptors.temporary + 8;
  const { recursive } = idMap;
  return [
    serving.call("dup3", [slots.mount, fd, 0]),
    ...context.requests.ask(serving, { kind: "id-map", mount: number, fd, recursive, of: path }),
    serving.call("close", [fd]),
  ];
}
