import type { Resources } from "../../spec/resources.ts";
import { cpuIgnored, cpuWrites } from "./cpu.ts";
import { hintFor } from "./hint.ts";
import { hugetlbWrites } from "./hugetlb.ts";
import { ioIgnored, ioWrites } from "./io.ts";
import type { Ignored, Limits } from "./limit.ts";
import { memoryCeilings, memoryIgnored, memoryWrites } from "./memory.ts";
import { pidsWrites } from "./pids.ts";
import { rdmaWrites } from "./rdma.ts";
import { unifiedWrites } from "./unified.ts";

/**
 * What linux.resources asks for, apart from devices, as writes to the files of a cgroup v2; config-linux.md "Control groups". Pure.
 * @param resources that have passed spec/checks/resources.ts
 */
export function limitsOf(resources: Resources = {}): Limits {
  const { memory, cpu, blockIO, network } = resources;
  return {
    writes: [
      ...pidsWrites(resources.pids),
      ...memoryWrites(memory),
      ...ioWrites(blockIO),
      ...cpuWrites(cpu),
      ...hugetlbWrites(resources.hugepageLimits),
      ...rdmaWrites(resources.rdma),
      // Last: what is asked for by the kernel's own name counts.
      ...unifiedWrites(resources.unified),
    ],
    ignored: [
      ...memoryIgnored(memory),
      ...cpuIgnored(cpu),
      ...ioIgnored(blockIO),
      ...networkIgnored(network),
    ],
    ceilings: memoryCeilings(memory),
    hint: hintFor,
  };
}

/** v2 leaves the marking of packets to eBPF programs and netfilter. */
function networkIgnored(network: Resources["network"]): Ignored[] {
  const ignored: Ignored[] = [];
  if ((network?.classID ?? 0) !== 0)
    ignored.push({ path: "linux.resources.network.classID", controller: "net_cls" });
  if ((network?.priorities ?? []).length > 0)
    ignored.push({ path: "linux.resources.network.priorities", controller: "net_prio" });
  return ignored;
}
