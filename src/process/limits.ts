import { EINVAL, EPERM } from "../linux/errno.ts";
import { setU64 } from "../linux/memory.ts";
import { label, mark, rawBytes, serving } from "../plan/build.ts";
import type { Requests } from "../plan/protocol.ts";
import type { Slot, Step } from "../plan/step.ts";
import type { Rlimit } from "../spec/process.ts";

/** RLIMIT_* of asm-generic/resource.h. */
const RLIMITS: Readonly<Record<Rlimit["type"], number>> = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
};

function rlimit64(soft: number, hard: number) {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  // JSON gives RLIM_INFINITY, 2^64 - 1, as the nearest double, 2^64; -1 is it in two's complement.
  const exact = (value: number) => (value >= 2 ** 64 ? -1 : value);
  setU64(view, 0, exact(soft));
  setU64(view, 8, exact(hard));
  const shown = (value: number) => (value >= 2 ** 64 ? "RLIM_INFINITY" : value);
  return rawBytes(bytes, `{soft=${shown(soft)}, hard=${shown(hard)}}`);
}

/**
 * Steps by which init sets `process.rlimits` for itself. Above the hard limit it has, only CAP_SYS_RESOURCE of the initial
 * user namespace helps: then it asks the runtime, which may have it ({@link rlimitSteps}).
 */
export function ownLimitSteps(rlimits: readonly Rlimit[], requests: Requests): Step[] {
  if (rlimits.length === 0) return [];
  const steps: Step[] = [];
  const askRuntime = label("the runtime sets limits");
  const done = label("limits are set");
  rlimits.forEach((limit, i) => {
    steps.push(limitStep(limit, i, 0, { [EPERM]: askRuntime }));
  });
  const whole = serving("identity", "process.rlimits");
  steps.push(whole.jump(done), mark(askRuntime), ...requests.ask(whole, { kind: "limits" }), mark(done));
  return steps;
}

/** Steps by which the runtime sets the limits of the process `pid`. */
export function rlimitSteps(rlimits: readonly Rlimit[], pid: Slot): Step[] {
  return rlimits.map((limit, i) => limitStep(limit, i, pid));
}

function limitStep(
  { type, soft, hard }: Rlimit,
  i: number,
  pid: number | Slot,
  on?: Record<number, ReturnType<typeof label>>,
): Step {
  return serving("identity", `process.rlimits[${i}]`, type).call(
    "prlimit64",
    [pid, RLIMITS[type], rlimit64(soft, hard), 0],
    {
      hints: {
        [EPERM]: "raising a hard limit needs CAP_SYS_RESOURCE, which berth does not have here",
        [EINVAL]: "the soft limit must not be above the hard one",
      },
      ...(on === undefined ? {} : { on }),
    },
  );
}
