import { BerthError } from "../errors.ts";
import {
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  MPOL_INTERLEAVE,
  MPOL_LOCAL,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from "../linux/constants.ts";
import { EINVAL, ENOSYS } from "../linux/errno.ts";
import { readTextIfThere } from "../linux/file.ts";
import { rawBytes, serving } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import type { MemoryPolicy } from "../spec/linux.ts";
import { bitsOf, parseList } from "../spec/list.ts";

// linux.memoryPolicy: which memory nodes the process takes its memory from; man 2 set_mempolicy. It outlives execve and fork.

export const MEMORY_POLICY_MODES: Readonly<Record<MemoryPolicy["mode"], number>> = {
  MPOL_DEFAULT,
  MPOL_BIND,
  MPOL_INTERLEAVE,
  MPOL_WEIGHTED_INTERLEAVE,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_LOCAL,
};

export const MEMORY_POLICY_FLAGS: Readonly<Record<NonNullable<MemoryPolicy["flags"]>[number], number>> = {
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
};

/**
 * Refuses a policy none of whose nodes this machine has memory on: init could only fail with it.
 * @throws BerthError "unsupported"
 */
export function checkMemoryPolicy({ nodes = "", flags = [] }: MemoryPolicy): void {
  const there = readTextIfThere("/sys/devices/system/node/has_memory")?.trim();
  if (there === undefined) {
    throw new BerthError("unsupported", "linux.memoryPolicy: this kernel has no memory policies", {
      hint: "it needs a kernel with CONFIG_NUMA",
    });
  }
  const wanted = parseList(nodes) ?? [];
  // Relative nodes are counted among those that the process may use, over and over.
  if (wanted.length === 0 || flags.includes("MPOL_F_RELATIVE_NODES")) return;
  const known = parseList(there) ?? [];
  const any = wanted.some((one) => known.some((other) => one.first <= other.last && other.first <= one.last));
  if (any) return;
  throw new BerthError("unsupported", `linux.memoryPolicy.nodes "${nodes}": none of these nodes has memory`, {
    hint: `this machine has memory on ${there} (/sys/devices/system/node/has_memory)`,
  });
}

/** The step by which init sets its memory policy. In its cgroup, whose cpuset.mems limits the nodes. */
export function memoryPolicySteps(policy: MemoryPolicy): Step[] {
  const { mode, nodes = "", flags = [] } = policy;
  const bits = flags.reduce((sum, flag) => sum | MEMORY_POLICY_FLAGS[flag], MEMORY_POLICY_MODES[mode]);
  const ranges = parseList(nodes) ?? [];
  const mask = bitsOf(ranges);
  return [
    serving("identity", "linux.memoryPolicy").call(
      "set_mempolicy",
      // The kernel reads one bit less than it is told of.
      ranges.length === 0 ? [bits, 0, 0] : [bits, rawBytes(mask, `{${nodes}}`), 8 * mask.length + 1],
      {
        what: `set ${[mode, ...flags].join("|")}${ranges.length === 0 ? "" : ` on nodes ${nodes}`}`,
        hints: {
          [EINVAL]:
            "a node does not exist or is not in linux.resources.cpu.mems, or this kernel is older than the mode or a flag",
          [ENOSYS]: "this kernel has no memory policies (CONFIG_NUMA)",
        },
      },
    ),
  ];
}
