import { EINVAL } from "../linux/errno.ts";
import { rawBytes, serving } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import { bitsOf, parseList } from "../spec/list.ts";

/**
 * The step for one half of process.execCPUAffinity, by which a process sets its own CPUs; man 2 sched_setaffinity.
 * @param cpus a list such as "0-3,7"; absent or empty: no step
 */
export function affinitySteps(half: "initial" | "final", cpus: string | undefined): Step[] {
  const ranges = parseList(cpus ?? "") ?? [];
  if (ranges.length === 0) return [];
  const bits = bitsOf(ranges);
  return [
    serving("identity", `process.execCPUAffinity.${half}`).call(
      "sched_setaffinity",
      [0, bits.length, rawBytes(bits, `{${cpus}}`)],
      {
        what: `run on CPUs ${cpus}`,
        hints: { [EINVAL]: "none of them is online and in the cpuset of the cgroup" },
      },
    ),
  ];
}
