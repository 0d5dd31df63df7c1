import { BerthError } from "../errors.ts";
import { syscallNumber } from "../linux/numbers.ts";
import { byteLength, utf8, writeUtf8 } from "../linux/text.ts";
import type { Branch, Bytes, Call, Fail, Label, Slot, Step, Struct, Value } from "./step.ts";

/*
 * The binary form of a Plan; native/run.h describes it, and the two must agree:
 *
 *   header, steps, data (first the slots, then structs and bytes), text, relocations
 *
 * This runs at every start, interpreted: it writes 32-bit words, and collects strings in one string, which is faster than to write
 * into a buffer piece by piece.
 */
const MAGIC = 0x74726562;
const HEADER = 40;
const STEP = 80;
const WORDS = STEP / 4;
const OP_CALL = 1;
const OP_WHEN = 2;
const OP_UNLESS = 3;
const OP_FAIL = 4;
const ADDRESS = 1;
const LOAD = 2;
const TEXT = 3;
const MAX_TOLERATED = 4;
/** The number of a step has 16 bits. */
const MAX_STEPS = 0xffff;
const PART = 8192;
/** Enough for the slots of most Plans, in bytes; a Plan that needs more is encoded once more. */
const SLOTS = 16384;
/** Marks a relocation as one into the text; places in the data are even to 8. */
const INTO_TEXT = 1;
const U32 = 0x1_0000_0000;

/** A step that takes part in the run: all but marks. Its place here is its number in a failure report. */
export type RunStep = Call | Branch | Fail;

/** A Plan, encoded. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly steps: readonly RunStep[];
  /** Where in `bytes` a slot lies; undefined when no step uses it. */
  offsetOf(slot: Slot): number | undefined;
}

/**
 * Encodes a Plan.
 * @param report the descriptor on which the executor reports a failure; of no meaning for a Plan that the runtime runs itself
 * @param notice holds the address of memory to write that failure to as well, once a step has filled it
 */
export function encode(plan: readonly Step[], report = -1, notice?: Slot): Encoded {
  const steps: RunStep[] = [];
  const targets = new Map<Label, number>();
  for (let i = 0; i < plan.length; i++) {
    const step = plan[i] as Step;
    if (step.kind === "mark") targets.set(step.label, steps.length);
    else steps.push(step);
  }
  if (steps.length > MAX_STEPS) {
    throw new BerthError(
      "too-large",
      `config.json makes a Plan of ${steps.length} steps, and ${MAX_STEPS} is the most`,
      {
        hint: "a container cannot have thousands of mounts or devices",
      },
    );
  }
  let slotSpace = SLOTS;
  let ascii = true;
  for (;;) {
    const data = newData(slotSpace, ascii);
    const code = new Uint32Array(WORDS * steps.length);
    for (let i = 0; i < steps.length; i++) encodeStep(code, steps[i] as RunStep, i, data, targets);
    if (data.slotsUsed > slotSpace) {
      slotSpace *= 4;
      continue;
    }
    // Few Plans have any other text than ASCII: to look at all of it at once is cheaper than at each string.
    if (ascii && byteLength(data.text) !== data.text.length) {
      ascii = false;
      continue;
    }
    const dataAt = HEADER + STEP * steps.length;
    return {
      bytes: assemble(
        code,
        data,
        report,
        steps.length,
        dataAt,
        notice === undefined ? 0 : placeOf(data, notice),
      ),
      steps,
      offsetOf: (slot) => {
        const place = data.places.get(slot);
        return place === undefined ? undefined : dataAt + place;
      },
    };
  }
}

/** The Plan's data: each slot, struct and string once. */
interface Data {
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

function newData(slotSpace: number, ascii: boolean): Data {
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

function textPlace(data: Data, value: string): number {
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

function placeOf(data: Data, value: Slot | Struct | Bytes): number {
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
function low(value: number): number {
  return value >>> 0;
}

function high(value: number): number {
  // Exact for what a double holds: the rest by the lower half, so that the division has no remainder.
  return value >= 0 && value < U32 ? 0 : ((value - (value >>> 0)) / U32) >>> 0;
}

function assemble(
  code: Uint32Array,
  data: Data,
  report: number,
  steps: number,
  dataAt: number,
  notice: number,
): Uint8Array {
  const textAt = dataAt + data.slotSpace + 4 * data.words.length;
  const relocationsAt = (textAt + data.text.length + 7) & ~7;
  const size = relocationsAt + 4 * data.relocations.length;
  const words = new Uint32Array((size + 3) >> 2);
  words.set([MAGIC, size, steps, dataAt, textAt, relocationsAt, data.relocations.length, report, notice]);
  words.set(code, HEADER >> 2);
  words.set(data.words, (dataAt + data.slotSpace) >> 2);
  words.set(data.relocations, relocationsAt >> 2);
  const bytes = new Uint8Array(words.buffer);
  if (data.ascii) writeUtf8(data.text, bytes, textAt);
  else for (let i = 0; i < data.text.length; i++) bytes[textAt + i] = data.text.charCodeAt(i);
  return bytes;
}

function encodeStep(
  code: Uint32Array,
  step: RunStep,
  index: number,
  data: Data,
  targets: ReadonlyMap<Label, number>,
): void {
  if (step.kind === "call") encodeCall(code, step, index, data, targets);
  else if (step.kind === "branch") encodeBranch(code, step, index, data, targets);
  else {
    code[WORDS * index] = OP_FAIL;
    code[WORDS * index + 3] = step.errno;
  }
}

function encodeBranch(
  code: Uint32Array,
  { slot, offset, mask, value, not, to }: Branch,
  index: number,
  data: Data,
  targets: ReadonlyMap<Label, number>,
): void {
  const at = WORDS * index;
  code[at] = not ? OP_UNLESS : OP_WHEN;
  code[at + 1] = targetOf(to, index, targets) << 16;
  code[at + 4] = placeOf(data, slot) + offset;
  code[at + 6] = low(mask);
  code[at + 7] = high(mask);
  code[at + 8] = low(value);
  code[at + 9] = high(value);
}

function encodeCall(
  code: Uint32Array,
  { call, args, store, on }: Call,
  index: number,
  data: Data,
  targets: ReadonlyMap<Label, number>,
): void {
  let kinds = 0;
  const at = WORDS * index;
  code[at] = OP_CALL | (syscallNumber(call) << 16);
  if (store !== undefined) code[at + 2] = placeOf(data, store);
  for (let n = 0; n < args.length; n++) {
    const value = args[n] as Value;
    const word = at + 4 + 2 * n;
    if (typeof value === "number") {
      // The array takes the lower half.
      code[word] = value;
      if (value < 0 || value >= U32) code[word + 1] = high(value);
    } else if (typeof value === "string") {
      kinds |= TEXT << (2 * n);
      code[word] = textPlace(data, value);
    } else if (value.kind === "slot") {
      kinds |= LOAD << (2 * n);
      code[word] = placeOf(data, value);
    } else if (value.kind === "load") {
      kinds |= LOAD << (2 * n);
      code[word] = placeOf(data, value.of) + value.offset;
    } else if (value.kind === "address") {
      kinds |= ADDRESS << (2 * n);
      code[word] = placeOf(data, value.of) + (value.offset ?? 0);
    } else {
      kinds |= ADDRESS << (2 * n);
      code[word] = placeOf(data, value);
    }
  }
  code[at + 1] = kinds;
  if (on === undefined) return;
  let word = at + 16;
  for (const errno in on) {
    const to = on[errno] as Label | "next" | "again";
    if (word === at + 16 + MAX_TOLERATED) {
      throw new Error(`Plan step ${index} tolerates more than ${MAX_TOLERATED} errnos`);
    }
    const target = to === "next" ? index + 1 : to === "again" ? index : targetOf(to, index, targets);
    code[word++] = (Number(errno) | (target << 16)) >>> 0;
  }
}

function targetOf(to: Label, index: number, targets: ReadonlyMap<Label, number>): number {
  const target = targets.get(to);
  if (target !== undefined && target > index) return target;
  throw new Error(`Plan step ${index} jumps to "${to.name}", which is not ahead`);
}
