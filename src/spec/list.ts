/** Both ends included. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

/**
 * The ranges of a list as the kernel writes them for CPUs and memory nodes: "0-3,7"; man 7 cpuset, "List format". Blanks beside
 * the commas are allowed, and an empty list is one without ranges.
 * @returns undefined when it is no such list
 */
export function parseList(text: string): Range[] | undefined {
  const ranges: Range[] = [];
  if (text.trim() === "") return ranges;
  for (const part of text.split(",")) {
    const found = /^\s*(\d{1,6})(?:-(\d{1,6}))?\s*$/.exec(part);
    if (found === null) return undefined;
    const first = Number(found[1]);
    const last = found[2] === undefined ? first : Number(found[2]);
    if (last < first) return undefined;
    ranges.push({ first, last });
  }
  return ranges;
}

/**
 * The bits of a list, in the kernel's words of 64, for calls such as set_mempolicy(2).
 * @param words at least this many
 */
export function bitsOf(ranges: readonly Range[], words = 1): Uint8Array {
  let size = words * 8;
  for (const { last } of ranges) size = Math.max(size, 8 * (Math.floor(last / 64) + 1));
  const bytes = new Uint8Array(size);
  for (const { first, last } of ranges) {
    for (let n = first; n <= last; n++) bytes[n >>> 3] = (bytes[n >>> 3] ?? 0) | (1 << (n & 7));
  }
  return bytes;
}
