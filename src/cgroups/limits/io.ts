import type { Resources } from "../../spec/resources.ts";
import { decimal } from "./decimal.ts";
import type { Ignored, LimitWrite } from "./limit.ts";

type BlockIO = NonNullable<Resources["blockIO"]>;

const AT = "linux.resources.blockIO";

const THROTTLES = [
  ["throttleReadBpsDevice", "rbps"],
  ["throttleWriteBpsDevice", "wbps"],
  ["throttleReadIOPSDevice", "riops"],
  ["throttleWriteIOPSDevice", "wiops"],
] as const;

/** io.bfq.weight or io.weight, and io.max. */
export function ioWrites(blockIO: BlockIO = {}): LimitWrite[] {
  const writes: LimitWrite[] = [];
  const { weight = 0, weightDevice = [] } = blockIO;
  if (weight !== 0) writes.push(weightWrite(weight, `${AT}.weight`));
  weightDevice.forEach(({ major, minor, weight = 0 }, i) => {
    if (weight !== 0)
      writes.push(weightWrite(weight, `${AT}.weightDevice[${i}].weight`, `${major}:${minor}`));
  });
  for (const [key, name] of THROTTLES) {
    blockIO[key]?.forEach(({ major, minor, rate }, i) => {
      const device = `${major}:${minor}`;
      // v1 takes a throttle away by 0, v2 by "max".
      const value = `${device} ${name}=${rate === 0 ? "max" : decimal(rate)}`;
      writes.push({ controller: "io", file: "io.max", value, path: `${AT}.${key}[${i}].rate`, key: device });
    });
  }
  return writes;
}

/** The weight of the BFQ scheduler, where that is loaded, is v1's own; else that of io.cost. */
function weightWrite(weight: number, path: string, device?: string): LimitWrite {
  const key = device === undefined ? {} : { key: device };
  const before = device === undefined ? "" : `${device} `;
  return {
    controller: "io",
    file: "io.bfq.weight",
    value: `${before}${weight}`,
    path,
    ...key,
    otherwise: { file: "io.weight", value: `${before}${ioWeight(weight)}` },
  };
}

/** v1's weight, 10 to 1000, as that of io.weight, 1 to 10000: both ends on both ends. */
export function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

/** v2 has one weight for a cgroup and what is below it. */
export function ioIgnored({ leafWeight = 0, weightDevice = [] }: BlockIO = {}): Ignored[] {
  const ignored: Ignored[] = [];
  if (leafWeight !== 0) ignored.push({ path: `${AT}.leafWeight`, controller: "blkio" });
  weightDevice.forEach(({ leafWeight = 0 }, i) => {
    if (leafWeight !== 0) ignored.push({ path: `${AT}.weightDevice[${i}].leafWeight`, controller: "blkio" });
  });
  return ignored;
}
