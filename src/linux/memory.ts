import { engine } from "./engine.ts";
import { addressOf, placeText, textAt } from "./native.ts";

const bytes = new Uint8Array(engine.memory);
const SIZE = bytes.length;
const view = new DataView(engine.memory);
const base = addressOf(bytes);
let used = 0;

/**
 * Memory to pass to the kernel: one region that is never collected or moved, so that an address stays good while a system
 * call uses it. {@link scratch} starts it afresh; a caller uses what it took before anyone calls that again.
 */
export interface Scratch {
  /** Address of `text`, NUL-terminated. */
  text(text: string): number;
  /** Address of `size` zeroed bytes, aligned to 8. */
  space(size: number): number;
  /** Address of `size` bytes that hold anything, for the kernel to fill. */
  room(size: number): number;
  /** Address of a copy of `from`, aligned to 8. */
  copy(from: Uint8Array): number;
}

const arena: Scratch = {
  text(text) {
    const at = used;
    const length = placeText(text, base + at, SIZE - 4096 - at);
    used += length + 1;
    if (used > SIZE - 4096) throw new RangeError("string too long for a system call");
    bytes[used - 1] = 0;
    return base + at;
  },
  space(size) {
    const at = arena.room(size);
    bytes.fill(0, at - base, at - base + size);
    return at;
  },
  room(size) {
    used = (used + 7) & ~7;
    if (used + size > SIZE) throw new RangeError("too much memory for a system call");
    const at = used;
    used += size;
    return base + at;
  },
  copy(from) {
    const at = arena.room(from.length);
    bytes.set(from, at - base);
    return at;
  },
};

/** Begins a new use of the scratch memory. */
export function scratch(): Scratch {
  used = 0;
  return arena;
}

/** Reads and writes numbers at an address that {@link Scratch} gave. */
export const at = {
  u8: (address: number): number => view.getUint8(address - base),
  u16: (address: number): number => view.getUint16(address - base, true),
  u32: (address: number): number => view.getUint32(address - base, true),
  i32: (address: number): number => view.getInt32(address - base, true),
  /** Exact up to 2^53, which covers addresses, sizes, devices and inodes in practice. */
  u64: (address: number): number =>
    view.getUint32(address - base, true) + view.getUint32(address - base + 4, true) * 0x1_0000_0000,
  setU8: (address: number, value: number): void => view.setUint8(address - base, value),
  setU32: (address: number, value: number): void => view.setUint32(address - base, value, true),
  setU64: (address: number, value: number): void => setU64(view, address - base, value),
  bytes: (address: number, length: number): Uint8Array =>
    bytes.slice(address - base, address - base + length),
  text: textAt,
};

/** Writes a 64-bit little-endian number without a BigInt; a negative one as two's complement. */
export function setU64(view: DataView, offset: number, value: number): void {
  const low = value >>> 0;
  view.setUint32(offset, low, true);
  view.setUint32(offset + 4, ((value - low) / 0x1_0000_0000) >>> 0, true);
}
