import type { Resources } from "../../spec/resources.ts";
import { decimal } from "./decimal.ts";
import type { LimitWrite } from "./limit.ts";

/**
 * pids.max. 0 means that the container may start no process beside its own, as in v1, where a limit does not keep processes from
 * being moved into a cgroup. In v2 init is born in there, and counts.
 */
export function pidsWrites(pids: Resources["pids"]): LimitWrite[] {
  const limit = pids?.limit;
  if (limit === undefined) return [];
  const write = { controller: "pids", file: "pids.max", path: "linux.resources.pids.limit" };
  if (limit < 0) return [{ ...write, value: "max", optional: true }];
  return [{ ...write, value: decimal(Math.max(limit, 1)) }];
}
