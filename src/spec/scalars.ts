import { array, maximum, minimum, number, refine, string } from "zod/mini";

/**
 * A whole number between two bounds, both included.
 *
 * `Number.isInteger` instead of zod's own `int()`: that one stops at 2^53, and engines write 64-bit limits beyond it.
 * JSON.parse rounds those to the nearest double, so the 64-bit bounds below are the rounded ones.
 */
export function whole(lowest: number, highest: number) {
  return number().check(refine(Number.isInteger), minimum(lowest), maximum(highest));
}

export const int64 = whole(-(2 ** 63), 2 ** 63);
export const uint64 = whole(0, 2 ** 64);
export const uint32 = whole(0, 2 ** 32 - 1);

/** A user or group id. 2^32 - 1 is "no change" to setresuid(2) and chown(2): as an id it would leave root root. */
export const id = whole(0, 2 ** 32 - 2);

export const strings = array(string());
