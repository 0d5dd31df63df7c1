import type { SyscallName } from "../linux/numbers.ts";

/*
 * The Plan: a flat program of system calls, as data. The container's first process runs one part of it (native/init.c),
 * the runtime runs the other by itself (plan/perform.ts). Jumps only go forward, and a call is only made again a few times, so
 * that a Plan always ends.
 */

/** Eight or more bytes of the Plan's data that a step fills and a later one reads. */
export interface Slot {
  readonly kind: "slot";
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/** Where a jump leads. */
export interface Label {
  readonly kind: "label";
  readonly name: string;
}

/** One field of a {@link Struct}: a number, or the address of something. */
export type Field =
  | { readonly name: string; readonly offset: number; readonly size: 1 | 2 | 4 | 8; readonly value: number }
  | { readonly name: string; readonly offset: number; readonly pointer: Struct | Bytes | Slot | string };

/** A struct that the kernel reads, passed by address. What no field covers is zero. */
export interface Struct {
  readonly kind: "struct";
  readonly size: number;
  readonly fields: readonly Field[];
}

/** Bytes as they are, passed by address; `shown` is how `berth explain` prints them. */
export interface Bytes {
  readonly kind: "bytes";
  readonly bytes: Uint8Array;
  readonly shown: string;
}

/** The address of a slot: the kernel writes there. `offset` counts from the slot's begin. */
export interface AddressOf {
  readonly kind: "address";
  readonly of: Slot;
  readonly offset?: number;
}

/** Eight bytes of a slot from `offset` on, which a {@link Slot} as an argument gives from its begin. */
export interface LoadFrom {
  readonly kind: "load";
  readonly of: Slot;
  readonly offset: number;
}

/** An argument: a constant, the address of a NUL-terminated string, what a slot holds, or an address. */
export type Value = number | string | Slot | LoadFrom | AddressOf | Struct | Bytes;

/** What a step is for, so that its failure can be told as a sentence and `berth explain` can group it. */
export interface Purpose {
  readonly phase: Phase;
  /** The part of config.json that it serves ("mounts[3]"), or "" when it serves none in particular. */
  readonly path: string;
  /** What it is done to, mostly a path in the container. */
  readonly subject: string;
}

export type Phase =
  | "cgroup"
  | "namespaces"
  | "rootfs"
  | "mounts"
  | "devices"
  | "hooks"
  | "pivot"
  | "kernel"
  | "paths"
  | "terminal"
  | "identity"
  | "start";

/**
 * Errnos that are no failure for a step, and where to go on then. "next" is the step after it; "again" the step itself, a few times
 * (native/run.h, TRIES), after which the errno is a failure.
 */
export type Tolerated = Readonly<Record<number, Label | "next" | "again">>;

/** One system call. */
export interface Call extends Purpose {
  readonly kind: "call";
  readonly call: SyscallName;
  readonly args: readonly Value[];
  /** Where to put the result, or the negated errno when it was tolerated. */
  readonly store: Slot | undefined;
  readonly on: Tolerated | undefined;
  /** What is being done, in words, when the call and its subject do not say it: 'tmpfs option "size=64x"'. */
  readonly what: string | undefined;
  /** What the reader can do when it fails, by errno; 0: for any other. */
  readonly hints: Readonly<Record<number, string>> | undefined;
}

/** Compares eight bytes of a slot, masked, with a constant, and jumps when they are equal (or, with `not`, when they differ). */
export interface Branch extends Purpose {
  readonly kind: "branch";
  readonly slot: Slot;
  /** In bytes from the slot's begin. */
  readonly offset: number;
  readonly mask: number;
  readonly value: number;
  readonly not: boolean;
  readonly to: Label;
}

/** Always fails. */
export interface Fail extends Purpose {
  readonly kind: "fail";
  readonly errno: number;
  readonly what: string;
  readonly hints: Readonly<Record<number, string>> | undefined;
}

/** Marks where jumps to `label` lead. Not encoded. */
export interface Mark {
  readonly kind: "mark";
  readonly label: Label;
}

export type Step = Call | Branch | Fail | Mark;
