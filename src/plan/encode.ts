import { BerthError } from "../errors.ts";
import { syscallNumber } from "../linux/numbers.ts";
import { byteLength, writeUtf8 } from "../linux/text.ts";
import { type Data, high, low, newData, placeOf, textPlace, U32 } from "./data.ts";
import type { Branch, Call, Fail, Label, Slot, Step, Value } from "./step.ts";

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
/** Enough for the slots of most Plans, in bytes; a Plan that needs more is encoded once more. */
const SLOTS = 16384;

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
