import { utf8 } from "../linux/text.ts";
import type { Bytes, Slot, Struct } from "./step.ts";

/** One call takes only so many arguments. */
const PART = 8192;
/** Marks a relocation as one into the text; places in the data are even to 8. */
const INTO_TEXT = 1;
/** One more than 32 bits hold. */
export const U32 = 0x1_0000_0000;

/** The Plan's data: each slot, struct and string once. */
export interface Data {
  readonly slotSpace: number;
  slotsUsed: number;
  /** Structs and bytes, after the slots. */
  readonly words: number[];
  /** All strings, each with its NUL, one code unit a byte. */
  text: string;
  /** Strings are taken for their own bytes. */
  readonly ascii: boolean;
  readonly relocations: number[];
  readonly places: Map<Slot | Struct | Bytes, number>;
  readonly textPlaces: Map<string, number>;
}

/** No data yet. @param slotSpace bytes for slots @param ascii no text is to have any other character */
export function newData(slotSpace: number, ascii: boolean): Data {
  return {
    slotSpace,
    ascii,
    // Offset 0 means "nowhere" in a step, so no slot lies there.
    slotsUsed: 8,
    words: [],
    text: "",
    relocations: [],
    places: new Map(),
    textPlaces: new Map(),
  };
}

/** Where a string lies in the text; it is added when it is not there. */
export function textPlace(data: Data, value: string): number {
  let place = data.textPlaces.get(value);
  if (place !== undefined) return place;
  place = data.text.length;
  data.textPlaces.set(value, place);
  data.text += `${data.ascii ? value : asBytes(value)}\0`;
  return place;
}

/** The UTF-8 bytes of a string as code units. In parts, for an engine takes only so many arguments. */
function asBytes(value: string): string {
  const bytes = utf8(value);
  let text = "";
  for (let i = 0; i < bytes.length; i += PART) text += String.fromCharCode(...bytes.subarray(i, i + PART));
  return text;
}

/** Where a slot, struct or bytes lie in the data; they are added when they are not there. */
export function placeOf(data: Data, value: Slot | Struct | Bytes): number {
  let place = data.places.get(value);
  if (place !== undefined) return place;
  if (value.kind === "slot") {
    place = data.slotsUsed;
    data.slotsUsed += (value.size + 7) & ~7;
  } else {
    place = value.kind === "bytes" ? addBytes(data, value) : addStruct(data, value);
  }
  data.places.set(value, place);
  return place;
}

function addBytes({ words, slotSpace }: Data, { bytes }: Bytes): number {
  const at = words.length;
  if (bytes.length >= LARGE && bytes.length <= LARGEST && bytes.length % 4 === 0) {
    // A seccomp filter is of thousands of words. A copy, for what was given need not be aligned.
    Reflect.apply(words.push, words, new Uint32Array(bytes.slice().buffer));
  } else {
    addWords(words, bytes);
  }
  if (words.length % 2 === 1) words.push(0);
  return slotSpace + 4 * at;
}

/** From here on it is faster to have bytes converted than to put them together one by one. */
const LARGE = 256;
/** An engine passes only so many arguments. */
const LARGEST = 1 << 16;

function addWords(words: number[], bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i += 4) {
    const [a = 0, b = 0, c = 0, d = 0] = [bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]];
    words.push((a | (b << 8) | (c << 16) | (d << 24)) >>> 0);
  }
}

function addStruct(data: Data, { size, fields }: Struct): number {
  const { words } = data;
  const at = words.length;
  for (let i = 0; i < size; i += 8) words.push(0, 0);
  const place = data.slotSpace + 4 * at;
  for (const field of fields) {
    const word = at + (field.offset >> 2);
    if ("pointer" in field) {
      const { pointer } = field;
      const text = typeof pointer === "string";
      words[word] = text ? textPlace(data, pointer) : placeOf(data, pointer);
      data.relocations.push(place + field.offset + (text ? INTO_TEXT : 0));
    } else if (field.size >= 4) {
      words[word] = low(field.value);
      if (field.size === 8) words[word + 1] = high(field.value);
    } else {
      const mask = field.size === 2 ? 0xffff : 0xff;
      words[word] = ((words[word] ?? 0) | ((field.value & mask) << (8 * (field.offset & 3)))) >>> 0;
    }
  }
  return place;
}

/** The lower and upper half of a 64-bit number, in two's complement. */
export function low(value: number): number {
  return value >>> 0;
}

export function high(value: number): number {
  // Exact for what a double holds: the rest by the lower half, so that the division has no remainder.
  return value >= 0 && value < U32 ? 0 : ((value - (value >>> 0)) / U32) >>> 0;
}
