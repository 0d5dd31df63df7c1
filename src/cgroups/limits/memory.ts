import type { Resources } from "../../spec/resources.ts";
import { decimalOrMax } from "./decimal.ts";
import type { Ceiling, Ignored, LimitWrite } from "./limit.ts";

type Memory = NonNullable<Resources["memory"]>;

const AT = "linux.resources.memory";

/** memory.swap.max, memory.max and memory.low. */
export function memoryWrites(memory: Memory = {}): LimitWrite[] {
  const writes: LimitWrite[] = [];
  const { limit = 0, reservation = 0 } = memory;
  const swap = swapLimit(memory);
  if (swap !== undefined) {
    const path = `${AT}.${(memory.swap ?? 0) === 0 ? "limit" : "swap"}`;
    const write = { controller: "memory", file: "memory.swap.max", value: decimalOrMax(swap), path };
    // The kernel does without the file when it is built without swap, or told to do without: then there is none to limit.
    writes.push(swap <= 0 ? { ...write, optional: true } : write);
  }
  if (limit !== 0) {
    const write = {
      controller: "memory",
      file: "memory.max",
      value: decimalOrMax(limit),
      path: `${AT}.limit`,
    };
    writes.push(limit === -1 ? { ...write, optional: true } : write);
  }
  if (reservation !== 0) {
    const value = decimalOrMax(reservation);
    writes.push({ controller: "memory", file: "memory.low", value, path: `${AT}.reservation` });
  }
  return writes;
}

/**
 * What the container may have of swap alone, in bytes, -1 for all; undefined: nothing is said. `swap` in config.json is v1's limit of
 * memory and swap together. That it fits to `limit` was checked before (spec/checks/resources.ts).
 */
export function swapLimit({ limit = 0, swap = 0 }: Memory): number | undefined {
  // Without a limit on memory there was never one on both together.
  if (swap === 0) return limit === -1 ? -1 : undefined;
  if (swap === -1) return -1;
  return limit === -1 ? swap : swap - limit;
}

/** The limits to compare with what is in use, "checkBeforeUpdate". */
export function memoryCeilings({ checkBeforeUpdate, limit = 0, swap = 0 }: Memory = {}): Ceiling[] {
  if (checkBeforeUpdate !== true) return [];
  const ceilings = [
    { path: `${AT}.swap`, limit: swap },
    { path: `${AT}.limit`, limit },
  ];
  return ceilings.filter(({ limit }) => limit > 0);
}

/** v2 accounts for kernel memory together with the rest, is always hierarchical, and cannot be told how to swap or not to kill. */
export function memoryIgnored(memory: Memory = {}): Ignored[] {
  const ignored: Ignored[] = [];
  const note = (key: keyof Memory) => ignored.push({ path: `${AT}.${key}`, controller: "memory" });
  if ((memory.kernel ?? 0) > 0) note("kernel");
  if ((memory.kernelTCP ?? 0) > 0) note("kernelTCP");
  if (memory.swappiness !== undefined) note("swappiness");
  if (memory.disableOOMKiller === true) note("disableOOMKiller");
  return ignored;
}
