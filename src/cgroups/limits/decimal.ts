/**
 * A whole number as the kernel reads it. JSON.parse rounds what is beyond 2^53: there, `String` would invent digits, and the largest
 * 64-bit numbers, by which engines mean "no limit", would have become one too large.
 */
export function decimal(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  if (value >= 2 ** 64) return "18446744073709551615";
  if (value === 2 ** 63) return "9223372036854775807";
  return BigInt(value).toString();
}

/** As {@link decimal}, for fields that say "no limit" by -1. */
export function decimalOrMax(value: number): string {
  return value === -1 ? "max" : decimal(value);
}
