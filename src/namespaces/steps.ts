import {
  CLONE_NEWCGROUP,
  CLONE_NEWTIME,
  O_CLOEXEC,
  O_RDONLY,
  O_WRONLY,
  RESOLVE_BENEATH,
} from "../linux/constants.ts";
import { EACCES, EPERM, ERANGE } from "../linux/errno.ts";
import { serving, slot, struct } from "../plan/build.ts";
import type { Descriptors } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import type { Linux } from "../spec/linux.ts";
import type { NamespacePlan } from "./namespaces.ts";

/**
 * Steps by which init enters the namespaces that clone3 cannot give it: cgroup (after the move into the cgroup, so that it
 * is its root) and time (offsets can only be written before the first process enters; config-linux.md "Time Offsets").
 */
export function namespaceSteps(linux: Linux, plan: NamespacePlan, descriptors: Descriptors): Step[] {
  const steps: Step[] = [];
  if (plan.created.has("cgroup")) {
    const { call } = serving("namespaces", "linux.namespaces", "cgroup");
    steps.push(call("unshare", [CLONE_NEWCGROUP]));
  }
  const time = serving("namespaces", "linux.namespaces", "time");
  if (plan.created.has("time")) {
    const own = slot("time_for_children");
    steps.push(
      time.call("unshare", [CLONE_NEWTIME]),
      ...timeOffsetSteps(linux.timeOffsets ?? {}, descriptors),
      time.call("openat", [descriptors.proc, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC, 0], {
        store: own,
      }),
      time.call("setns", [own, CLONE_NEWTIME]),
    );
  }
  if (plan.joined.some(({ type }) => type === "time")) {
    steps.push(
      time.call("setns", [descriptors.time, CLONE_NEWTIME], {
        hints: {
          [EPERM]:
            "a container with a user namespace of its own cannot join a time namespace that the host owns",
        },
      }),
    );
  }
  return steps;
}

function timeOffsetSteps(offsets: NonNullable<Linux["timeOffsets"]>, descriptors: Descriptors): Step[] {
  return Object.entries(offsets).flatMap(([clock, { secs = 0, nanosecs = 0 }]) => {
    const { call } = serving("namespaces", `linux.timeOffsets.${clock}`);
    const file = slot("timens_offsets");
    const line = `${clock} ${secs} ${nanosecs}\n`;
    const how = struct(24, [
      { name: "flags", offset: 0, size: 8, value: O_WRONLY | O_CLOEXEC },
      { name: "resolve", offset: 16, size: 8, value: RESOLVE_BENEATH },
    ]);
    return [
      call("openat2", [descriptors.proc, "self/timens_offsets", how, 24], { store: file }),
      call("write", [file, line, line.length], {
        what: `write "${line.trimEnd()}" to /proc/self/timens_offsets`,
        hints: {
          [ERANGE]: "the clock must stay between zero and half of what the kernel can count",
          [EPERM]: "this needs CAP_SYS_TIME in the user namespace that owns the time namespace",
          [EACCES]: "the time namespace was entered already",
        },
      }),
    ];
  });
}
