import type { Resources } from "../../spec/resources.ts";
import { decimal } from "./decimal.ts";
import type { LimitWrite } from "./limit.ts";

/** hugetlb.SIZE.max, and hugetlb.SIZE.rsvd.max: what a process reserves by mmap and does not touch is counted apart. */
export function hugetlbWrites(limits: Resources["hugepageLimits"] = []): LimitWrite[] {
  const writes: LimitWrite[] = [];
  limits.forEach(({ pageSize, limit }, i) => {
    const path = `linux.resources.hugepageLimits[${i}]`;
    const write = { controller: "hugetlb", value: decimal(limit), path };
    writes.push({ ...write, file: `hugetlb.${pageSize}.max` });
    // Since Linux 5.7; where it is missing, the first one counts what is reserved as well.
    writes.push({ ...write, file: `hugetlb.${pageSize}.rsvd.max`, optional: true });
  });
  return writes;
}
