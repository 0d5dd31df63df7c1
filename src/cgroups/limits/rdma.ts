import type { Resources } from "../../spec/resources.ts";
import type { LimitWrite } from "./limit.ts";

/** The kernel counts in a signed 32-bit number, and its largest is "max". */
const MOST = 2 ** 31 - 1;

/** rdma.max, a line for each device. */
export function rdmaWrites(rdma: Resources["rdma"] = {}): LimitWrite[] {
  const writes: LimitWrite[] = [];
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(rdma)) {
    const parts = [device];
    if (hcaHandles !== undefined) parts.push(`hca_handle=${count(hcaHandles)}`);
    if (hcaObjects !== undefined) parts.push(`hca_object=${count(hcaObjects)}`);
    if (parts.length === 1) continue;
    const path = `linux.resources.rdma["${device}"]`;
    writes.push({ controller: "rdma", file: "rdma.max", value: parts.join(" "), path, key: device });
  }
  return writes;
}

function count(limit: number): string {
  return limit >= MOST ? "max" : String(limit);
}
