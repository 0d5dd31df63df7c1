import {
  CLONE_NEWCGROUP,
  CLONE_NEWTIME,
  O_CLOEXEC,
  O_RDONLY,
  O_WRONLY,
  RESOLVE_BENEATH,
} from "../linux/constants.ts";
import { EACCES, EPERM, ERANGE } from "../linux/errno.ts";
import { label, mark, serving, slot, struct } from "../plan/build.ts";
import type { Descriptors, Requests } from "../plan/protocol.ts";
import type { Label, Slot, Step } from "../plan/step.ts";
import type { Linux } from "../spec/linux.ts";
import type { NamespacePlan } from "./namespaces.ts";

type TimeOffsets = NonNullable<Linux["timeOffsets"]>;

/**
 * Steps by which init enters the namespaces that clone3 cannot give it: cgroup (after the move into the cgroup, so that it
 * is its root) and time (offsets can only be written before the first process enters; config-linux.md "Time Offsets").
 */
export function namespaceSteps(
  linux: Linux,
  plan: NamespacePlan,
  descriptors: Descriptors,
  requests: Requests,
): Step[] {
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
      ...ownTimeOffsetSteps(linux.timeOffsets ?? {}, descriptors, requests),
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

/**
 * Steps by which init writes its offsets. One that is closed to its user namespace (see hideExecutor) may not open the file,
 * and asks the runtime.
 */
function ownTimeOffsetSteps(offsets: TimeOffsets, descriptors: Descriptors, requests: Requests): Step[] {
  if (Object.keys(offsets).length === 0) return [];
  const at = serving("namespaces", "linux.timeOffsets");
  const closed = label("may not write its offsets");
  const written = label("offsets are written");
  return [
    ...writeSteps(offsets, descriptors.proc, "self/timens_offsets", { [EACCES]: closed }),
    at.jump(written),
    mark(closed),
    ...requests.ask(at, { kind: "offsets" }),
    mark(written),
  ];
}

/** Steps by which the runtime writes the offsets for init. @param process a descriptor of its /proc/PID */
export function timeOffsetSteps(offsets: TimeOffsets, process: Slot): Step[] {
  return writeSteps(offsets, process, "timens_offsets");
}

function writeSteps(
  offsets: TimeOffsets,
  directory: number | Slot,
  path: string,
  on?: Readonly<Record<number, Label>>,
): Step[] {
  return Object.entries(offsets).flatMap(([clock, { secs = 0, nanosecs = 0 }]) => {
    const { call } = serving("namespaces", `linux.timeOffsets.${clock}`);
    const file = slot("timens_offsets");
    const line = `${clock} ${secs} ${nanosecs}\n`;
    const how = struct(24, [
      { name: "flags", offset: 0, size: 8, value: O_WRONLY | O_CLOEXEC },
      { name: "resolve", offset: 16, size: 8, value: RESOLVE_BENEATH },
    ]);
    return [
      call("openat2", [directory, path, how, 24], { store: file, ...(on === undefined ? {} : { on }) }),
      call("write", [file, line, line.length], {
        what: `write "${line.trimEnd()}" to /proc/self/timens_offsets`,
        hints: {
          [ERANGE]: "the clock must stay between zero and half of what the kernel can count",
          [EPERM]: "this needs CAP_SYS_TIME in the user namespace that owns the time namespace",
          [EACCES]: "the time namespace was entered already",
        },
      }),
      call("close", [file]),
    ];
  });
}
