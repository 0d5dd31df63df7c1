import { readDirectory } from "../../linux/directory.ts";
import { readTextIfThere } from "../../linux/file.ts";
import { isGone } from "../members.ts";
import { type CgroupPlace, directoryOf } from "../path.ts";
import type { V1Place } from "../v1/place.ts";
import { v1Stats } from "../v1/stats.ts";
import type { ReadStat, Stats } from "./stats.ts";
import { v2Stats } from "./v2.ts";

/** What a container uses now. @param v1 its cgroups on v1, whose controllers count there @throws BerthError */
export function readStats(place: CgroupPlace, v1: readonly V1Place[]): Stats {
  const pageSizes = hugePageSizes();
  const stats = v2Stats(reader(directoryOf(place)), pageSizes);
  if (v1.length === 0) return stats;
  const placeOf = (controller: string) => v1.find(({ controllers }) => controllers.includes(controller));
  const read: ReadStat = (file) => {
    const found = placeOf(file.slice(0, file.indexOf(".")));
    return found === undefined ? undefined : reader(directoryOf(found))(file);
  };
  return { ...stats, ...v1Stats(read, pageSizes, (controller) => placeOf(controller) !== undefined) };
}

function reader(directory: string): ReadStat {
  return (file) => {
    try {
      return readTextIfThere(`${directory}/${file}`);
    } catch (error) {
      // The container is being removed.
      if (isGone(error)) return undefined;
      throw error;
    }
  };
}

/** "2MB", "1GB", as the kernel's files are named. */
function hugePageSizes(): string[] {
  try {
    return readDirectory("/sys/kernel/mm/hugepages").flatMap(({ name }) => {
      const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
      return kilobytes === 0 ? [] : [pageSizeName(kilobytes)];
    });
  } catch {
    // Not every kernel has them.
    return [];
  }
}

function pageSizeName(kilobytes: number): string {
  if (kilobytes >= 1 << 20) return `${kilobytes >> 20}GB`;
  return kilobytes >= 1 << 10 ? `${kilobytes >> 10}MB` : `${kilobytes}KB`;
}
