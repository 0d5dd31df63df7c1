import { serving } from "../../src/plan/build.ts";
import { encode } from "../../src/plan/encode.ts";
import type { Branch, Bytes, Call, Fail, Label, Slot, Step, Struct, Value } from "../../src/plan/step.ts";

/* What tests of Plans have in common: to take one apart. */

/** The system calls of a Plan, in order. */
export function calls(steps: readonly Step[]): Call[] {
  return steps.filter((step) => step.kind === "call");
}

/** Their names. */
export function callNames(steps: readonly Step[]): string[] {
  return calls(steps).map(({ call }) => call);
}

/** The only call of this name; throws if there is none, or more than one. */
export function only(steps: readonly Step[], name: string): Call {
  const found = calls(steps).filter(({ call }) => call === name);
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${found.length} calls of ${name}`);
  return first;
}

/** The errnos that a step tolerates, and where it goes on then: "next", "again", or the name of a label. */
export function tolerated({ on = {} }: Call): Record<string, string> {
  return Object.fromEntries(
    Object.entries(on).map(([errno, to]) => [errno, typeof to === "string" ? to : to.name]),
  );
}

/** What a pointer argument leads to, as the kernel sees it; slots and pointers in structs are zero or offsets. */
export function memoryOf(value: Value | undefined, size: number): Uint8Array {
  if (value === undefined || typeof value === "number") throw new Error("not a pointer");
  const { call } = serving("start", "");
  const { bytes } = encode([call("write", [value])]);
  const start = new DataView(bytes.buffer).getUint32(12, true) + argumentAt(bytes, 0, 0);
  return bytes.slice(start, start + size);
}

/** An argument of an encoded step, as far as it fits a double. */
export function argumentAt(bytes: Uint8Array, step: number, argument: number): number {
  return Number(new DataView(bytes.buffer).getBigUint64(40 + 80 * step + 16 + 8 * argument, true));
}

/** The fields of a struct that have numbers, by name. */
export function fieldsOf(value: Value | undefined): Record<string, number> {
  if (typeof value !== "object" || value.kind !== "struct") throw new Error("not a struct");
  return Object.fromEntries(
    value.fields.flatMap((field) => ("value" in field ? [[field.name, field.value]] : [])),
  );
}

/** The bytes of a `Bytes` argument. */
export function rawOf(value: Value | undefined): DataView {
  if (typeof value !== "object" || value.kind !== "bytes") throw new Error("not bytes");
  return new DataView(value.bytes.buffer, value.bytes.byteOffset, value.bytes.length);
}

/** The strings that a NULL-terminated array points to; a slot's name in brackets. */
export function stringsOf(value: Value | undefined): string[] {
  if (typeof value !== "object" || value.kind !== "struct") throw new Error("not an array");
  return value.fields.map((field) => {
    if (!("pointer" in field)) throw new Error("not a pointer");
    const pointer: Struct | Bytes | Slot | string = field.pointer;
    if (typeof pointer === "string") return pointer;
    return pointer.kind === "slot" ? `<${pointer.name}>` : `<${pointer.kind}>`;
  });
}

/** The steps that would be run if every call succeeded, and no comparison but the unconditional ones held. */
export function straight(steps: readonly Step[]): (Call | Branch | Fail)[] {
  const run: (Call | Branch | Fail)[] = [];
  let until: Label | undefined;
  for (const step of steps) {
    if (step.kind === "mark") {
      if (step.label === until) until = undefined;
      continue;
    }
    if (until !== undefined) continue;
    run.push(step);
    if (step.kind === "branch" && step.mask === 0 && step.value === 0 && !step.not) until = step.to;
  }
  return run;
}
