import type { SyscallName } from "../linux/numbers.ts";
import type {
  AddressOf,
  Branch,
  Bytes,
  Call,
  Fail,
  Field,
  Label,
  LoadFrom,
  Mark,
  Phase,
  Slot,
  Struct,
  Value,
} from "./step.ts";

/** All bits of a 32-bit field. */
export const ALL32 = 0xffff_ffff;

/** A new slot; eight bytes hold a descriptor or a result. */
export function slot(name: string, size = 8): Slot {
  return { kind: "slot", name, size };
}

/** What an unconditional jump looks at: no bit of it. */
const NOTHING: Slot = slot("nothing");

/** A new jump target; its name is for `berth explain`. */
export function label(name: string): Label {
  return { kind: "label", name };
}

/** Here jumps to `target` lead. */
export function mark(target: Label): Mark {
  return { kind: "mark", label: target };
}

/** The address of a slot, for a call that writes there. */
export function addressOf(of: Slot, offset = 0): AddressOf {
  return { kind: "address", of, offset };
}

/** What a slot holds from `offset` on, as an argument. */
export function loadFrom(of: Slot, offset: number): LoadFrom {
  return { kind: "load", of, offset };
}

/** What a call may say beside its name and arguments, see {@link Call}. */
export type CallDetail = Partial<Pick<Call, "store" | "what" | "hints" | "on">>;

/** Eight bytes to compare: those of a slot from `offset` on, masked. */
export interface Compared {
  readonly slot: Slot;
  readonly offset?: number;
  readonly mask: number;
  readonly value: number;
}

/** Makes steps that serve one part of config.json. */
export interface Serving {
  call(call: SyscallName, args: readonly Value[], detail?: CallDetail): Call;
  /** Jumps to `to` when the masked bytes equal `value`. */
  when(data: Compared, to: Label): Branch;
  /** Jumps to `to` when the masked bytes differ from `value`. */
  unless(data: Compared, to: Label): Branch;
  /** Jumps to `to`, always. */
  jump(to: Label): Branch;
  fail(errno: number, what: string, hints?: Fail["hints"]): Fail;
}

/**
 * Steps for one part of config.json.
 * @param path the config path, "mounts[3]"; "" when there is none
 * @param subject what the steps are done to, mostly a path in the container
 */
export function serving(phase: Phase, path: string, subject = ""): Serving {
  const branch = ({ slot, offset = 0, mask, value }: Compared, not: boolean, to: Label): Branch => ({
    kind: "branch",
    phase,
    path,
    subject,
    slot,
    offset,
    mask,
    value,
    not,
    to,
  });
  return {
    // Each property by its name, no spread: this runs hundreds of times at every start, before any compiler warms up.
    call: (call, args, detail) => ({
      kind: "call",
      phase,
      path,
      subject,
      call,
      args,
      store: detail?.store,
      on: detail?.on,
      what: detail?.what,
      hints: detail?.hints,
    }),
    when: (data, to) => branch(data, false, to),
    unless: (data, to) => branch(data, true, to),
    jump: (to) => branch({ slot: NOTHING, mask: 0, value: 0 }, false, to),
    fail: (errno, what, hints) => ({ kind: "fail", phase, path, subject, errno, what, hints }),
  };
}

/** A struct of `size` bytes with these fields, all else zero. */
export function struct(size: number, fields: readonly Field[]): Struct {
  return { kind: "struct", size, fields };
}

/** Bytes as they are; `shown` is how they are printed. */
export function rawBytes(bytes: Uint8Array, shown: string): Bytes {
  return { kind: "bytes", bytes, shown };
}

/** A NULL-terminated array of strings, as execve takes; a slot must hold one by then. */
export function stringArray(strings: readonly (string | Slot)[]): Struct {
  return struct(
    8 * (strings.length + 1),
    strings.map((pointer, i) => ({ name: String(i), offset: 8 * i, pointer })),
  );
}
