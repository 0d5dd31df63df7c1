import { setU64 } from "../linux/memory.ts";
import { syscallNumber } from "../linux/numbers.ts";
import type { Branch, Bytes, Call, Fail, Label, Slot, Step, Struct, Value } from "./step.ts";

/* The binary form of a Plan: native/run.h describes it, and the two must agree. */
const MAGIC = 0x74726562;
const HEADER = 32;
const STEP = 80;
const OP = { call: 1, when: 2, unless: 3, fail: 4 } as const;
const KIND = { constant: 0, address: 1, load: 2 } as const;
const MAX_TOLERATED = 4;

/** A step that takes part in the run: all but marks. Its place here is its number in a failure report. */
export type RunStep = Call | Branch | Fail;

/** A Plan, encoded. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly steps: readonly RunStep[];
  /** Where in `bytes` a slot lies; undefined when no step uses it. */
  offsetOf(slot: Slot): number | undefined;
}

const encoder = new TextEncoder();

/** The Plan's data: strings, structs and slots, each once, at offsets that are even to 8. */
class Data {
  bytes = new Uint8Array(16384);
  view = new DataView(this.bytes.buffer);
  /** Offset 0 means "nowhere" in a step, so nothing lies there. */
  used = 8;
  readonly relocations: number[] = [];
  private readonly places = new Map<Slot | Struct | Bytes | string, number>();

  placeOf(value: Slot | Struct | Bytes | string): number {
    const known = this.places.get(value);
    if (known !== undefined) return known;
    const place = this.add(value);
    this.places.set(value, place);
    return place;
  }

  find(slot: Slot): number | undefined {
    return this.places.get(slot);
  }

  private add(value: Slot | Struct | Bytes | string): number {
    if (typeof value === "string") {
      const place = this.reserve(3 * value.length + 1);
      const { written } = encoder.encodeInto(value, this.bytes.subarray(place));
      this.used = (place + written + 8) & ~7;
      return place;
    }
    if (value.kind === "slot") return this.reserve(value.size);
    if (value.kind === "bytes") {
      const place = this.reserve(value.bytes.length);
      this.bytes.set(value.bytes, place);
      return place;
    }
    return this.addStruct(value);
  }

  private addStruct(value: Struct): number {
    const place = this.reserve(value.size);
    for (const field of value.fields) {
      const at = place + field.offset;
      if ("pointer" in field) {
        const target = this.placeOf(field.pointer);
        this.view.setUint32(at, target, true);
        this.relocations.push(at);
      } else if (field.size === 8) setU64(this.view, at, field.value);
      else if (field.size === 4) this.view.setUint32(at, field.value, true);
      else if (field.size === 2) this.view.setUint16(at, field.value, true);
      else this.view.setUint8(at, field.value);
    }
    return place;
  }

  private reserve(size: number): number {
    const place = this.used;
    this.used = (place + Math.max(size, 1) + 7) & ~7;
    while (this.used > this.bytes.length) {
      const larger = new Uint8Array(2 * this.bytes.length);
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return place;
  }
}

/**
 * Encodes a Plan.
 * @param report the descriptor on which the executor reports a failure; of no meaning for a Plan that the runtime runs itself
 */
export function encode(plan: readonly Step[], report = -1): Encoded {
  const steps: RunStep[] = [];
  const targets = new Map<Label, number>();
  for (const step of plan) {
    if (step.kind === "mark") targets.set(step.label, steps.length);
    else steps.push(step);
  }
  const data = new Data();
  const code = new DataView(new ArrayBuffer(HEADER + steps.length * STEP));
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as RunStep;
    const targetOf = (to: Label): number => {
      const target = targets.get(to);
      if (target === undefined || target <= i)
        throw new Error(`Plan step ${i} jumps to "${to.name}", which is not ahead`);
      return target;
    };
    encodeStep(code, HEADER + i * STEP, step, i, data, targetOf);
  }
  const dataAt = code.byteLength;
  const relocationsAt = dataAt + data.used;
  const bytes = new Uint8Array(relocationsAt + 4 * data.relocations.length);
  const header: readonly number[] = [
    MAGIC,
    bytes.length,
    steps.length,
    dataAt,
    relocationsAt,
    data.relocations.length,
    report,
    0,
  ];
  for (let i = 0; i < header.length; i++) code.setUint32(4 * i, header[i] ?? 0, true);
  bytes.set(new Uint8Array(code.buffer));
  bytes.set(data.bytes.subarray(0, data.used), dataAt);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < data.relocations.length; i++) {
    view.setUint32(relocationsAt + 4 * i, data.relocations[i] ?? 0, true);
  }
  return {
    bytes,
    steps,
    offsetOf: (slot) => {
      const place = data.find(slot);
      return place === undefined ? undefined : dataAt + place;
    },
  };
}

function encodeStep(
  code: DataView,
  at: number,
  step: RunStep,
  index: number,
  data: Data,
  targetOf: (to: Label) => number,
): void {
  const u16 = (offset: number, value: number) => code.setUint16(at + offset, value, true);
  const u32 = (offset: number, value: number) => code.setUint32(at + offset, value, true);
  switch (step.kind) {
    case "fail":
      u16(0, OP.fail);
      u32(12, step.errno);
      return;
    case "branch":
      u16(0, step.not ? OP.unless : OP.when);
      u16(6, targetOf(step.to));
      setU64(code, at + 16, data.placeOf(step.slot) + step.offset);
      setU64(code, at + 24, step.mask);
      setU64(code, at + 32, step.value);
      return;
    case "call": {
      u16(0, OP.call);
      u16(2, syscallNumber(step.call));
      let kinds = 0;
      for (let n = 0; n < step.args.length; n++) {
        const { kind, value } = encodeArgument(step.args[n] as Value, data);
        kinds |= kind << (2 * n);
        setU64(code, at + 16 + 8 * n, value);
      }
      u16(4, kinds);
      u32(8, step.store === undefined ? 0 : data.placeOf(step.store));
      const on = step.on ?? [];
      if (on.length > MAX_TOLERATED)
        throw new Error(`Plan step ${index} tolerates more than ${MAX_TOLERATED} errnos`);
      on.forEach(({ errno, to }, n) => {
        u16(64 + 4 * n, errno);
        u16(66 + 4 * n, to === "next" ? index + 1 : targetOf(to));
      });
    }
  }
}

function encodeArgument(value: Value, data: Data): { kind: number; value: number } {
  if (typeof value === "number") return { kind: KIND.constant, value };
  if (typeof value === "string") return { kind: KIND.address, value: data.placeOf(value) };
  switch (value.kind) {
    case "slot":
      return { kind: KIND.load, value: data.placeOf(value) };
    case "address":
      return { kind: KIND.address, value: data.placeOf(value.of) + (value.offset ?? 0) };
    default:
      return { kind: KIND.address, value: data.placeOf(value) };
  }
}
