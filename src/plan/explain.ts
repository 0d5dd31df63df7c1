import { errnoName } from "../linux/errno.ts";
import { ALL32 } from "./build.ts";
import { constantOf, showMasked, showNumber } from "./constant-names.ts";
import { FIELDS, type Kind, parametersOf } from "./signatures.ts";
import type { AddressOf, Branch, Call, Phase, Purpose, Slot, Step, Struct, Value } from "./step.ts";

/** Something that the runtime does and that is no step of a Plan. */
export interface Action extends Purpose {
  readonly kind: "action";
  readonly what: string;
}

/** A part of what happens, in its order. */
export interface Part {
  /** Who does it, and when: "berth", "init", "hook, in the container, at start". */
  readonly by: string;
  readonly steps: readonly (Step | Action)[];
}

/** Steps in a row that the same process runs, for the same phase. */
export interface ExplainedGroup {
  readonly by: string;
  readonly phase: Phase;
  readonly steps: readonly ExplainedStep[];
}

/** A step in words: `path` is the part of config.json that it serves, `subject` what it is done to; each "" for none. */
export type ExplainedStep = { readonly path: string; readonly subject: string } & (
  | {
      readonly kind: "call";
      readonly call: string;
      /** By name, as one writes them in C; slots are written <name>, strings quoted. */
      readonly arguments: Readonly<Record<string, string>>;
      /** The slot that gets the result. */
      readonly result?: string;
      /** Errnos that are no failure, and the label where it goes on then. */
      readonly tolerates?: Readonly<Record<string, string>>;
      readonly what?: string;
    }
  | { readonly kind: "if"; readonly condition: string; readonly to: string }
  | { readonly kind: "jump"; readonly to: string }
  | { readonly kind: "fail"; readonly errno: string; readonly what: string }
  | { readonly kind: "label"; readonly label: string }
  | { readonly kind: "action"; readonly what: string }
);

/** All bits of eight bytes. */
const ALL64 = -1;

/** What a tolerated errno leads to when it leads nowhere else. */
export const NEXT = "next step";
/** How it says that it makes the same call again. */
export const AGAIN = "the same again";

/**
 * Puts a Plan into words.
 * @param descriptors names of the descriptors that have fixed numbers in init
 */
export function explainPlan(
  parts: readonly Part[],
  descriptors: ReadonlyMap<number, string> = new Map(),
): ExplainedGroup[] {
  const groups: { by: string; phase: Phase; steps: ExplainedStep[] }[] = [];
  for (const { by, steps } of parts) {
    let purpose: Purpose = { phase: "start", path: "", subject: "" };
    let group: (typeof groups)[number] | undefined;
    const names = by === "init" ? descriptors : new Map<number, string>();
    for (const step of steps) {
      if (step.kind !== "mark") purpose = step;
      // A mark has no purpose: it belongs to the steps before it.
      if (group === undefined || group.phase !== purpose.phase) {
        group = { by, phase: purpose.phase, steps: [] };
        groups.push(group);
      }
      group.steps.push({ path: purpose.path, subject: purpose.subject, ...describe(step, names) });
    }
  }
  return groups;
}

type Described<T = ExplainedStep> = T extends ExplainedStep ? Omit<T, "path" | "subject"> : never;

function describe(step: Step | Action, names: ReadonlyMap<number, string>): Described {
  switch (step.kind) {
    case "call":
      return describeCall(step, names);
    case "branch":
      if (step.mask === 0) return { kind: "jump", to: step.to.name };
      return { kind: "if", condition: condition(step), to: step.to.name };
    case "fail":
      return { kind: "fail", errno: errnoName(step.errno), what: step.what };
    case "mark":
      return { kind: "label", label: step.label.name };
    case "action":
      return { kind: "action", what: step.what };
  }
}

function condition({ slot, offset, mask, value, not }: Branch): string {
  const place = offset === 0 ? show(slot) : `${show(slot)}[${offset}]`;
  const masked = mask === ALL32 || mask === ALL64 ? place : `(${place} & ${showMask(mask)})`;
  return `${masked} ${not ? "!=" : "=="} ${showMasked(value, mask)}`;
}

function showMask(mask: number): string {
  return constantOf(mask, ["S_IFMT"]) ?? `0x${mask.toString(16)}`;
}

function describeCall(step: Call, names: ReadonlyMap<number, string>): Described {
  const { call, args, store, on, what } = step;
  const shown: Record<string, string> = {};
  parametersOf(call, args).forEach(([parameter, kind], i) => {
    const value = args[i];
    if (value !== undefined) shown[parameter] = showValue(value, kind, FIELDS[call] ?? {}, names);
  });
  return {
    kind: "call",
    call,
    arguments: shown,
    ...(store === undefined ? {} : { result: store.name }),
    ...(on === undefined
      ? {}
      : {
          tolerates: Object.fromEntries(
            Object.entries(on).map(([errno, to]) => [
              errnoName(Number(errno)),
              to === "next" ? NEXT : to === "again" ? AGAIN : to.name,
            ]),
          ),
        }),
    ...(what === undefined ? {} : { what }),
  };
}

type FieldKinds = Readonly<Record<string, Kind>>;

function showValue(value: Value, kind: Kind, fields: FieldKinds, names: ReadonlyMap<number, string>): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "number") return show(value, fields);
  const number = showNumber(value, kind);
  const known = kind === "fd" ? names.get(value) : undefined;
  return known === undefined ? number : `${number} (${known})`;
}

function show(value: Exclude<Value, number>, fields: FieldKinds = {}): string {
  if (typeof value === "string") return JSON.stringify(value);
  switch (value.kind) {
    case "slot":
      return showSlot(value);
    case "load":
      return `${showSlot(value.of)}[${value.offset}]`;
    case "address":
      return showAddress(value);
    case "bytes":
      return value.shown;
    case "struct":
      return showStruct(value, fields);
  }
}

const showSlot = ({ name }: Slot) => `<${name}>`;

function showAddress({ of, offset = 0 }: AddressOf): string {
  return `&${showSlot(of)}${offset === 0 ? "" : `[${offset}]`}`;
}

function showStruct({ fields }: Struct, kinds: FieldKinds): string {
  const shown = fields.map((field) => {
    const text =
      "pointer" in field
        ? show(field.pointer, kinds)
        : showNumber(field.value, kinds[field.name] ?? "number");
    return { name: field.name, text };
  });
  // An array of pointers: its fields are named by their place.
  if (shown.every(({ name }, i) => name === String(i)))
    return `[${shown.map(({ text }) => text).join(", ")}]`;
  return `{ ${shown.map(({ name, text }) => `${name}: ${text}`).join(", ")} }`;
}
