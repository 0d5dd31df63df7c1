import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { BerthError } from "../errors.ts";
import { type SyscallName, syscallNumber } from "./numbers.ts";

/** Where the native parts lie: beside the engine, or in dist/ when run from source. Never the working directory. */
export const libexec = import.meta.dir.startsWith("/$bunfs")
  ? process.execPath.slice(0, process.execPath.lastIndexOf("/"))
  : `${import.meta.dir}/../../dist/libexec`;

function load() {
  const path = `${libexec}/native.so`;
  const { i64 } = FFIType;
  try {
    return dlopen(path, {
      berth_syscall: { args: [i64, i64, i64, i64, i64, i64, i64], returns: FFIType.i64_fast },
      berth_run: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.void },
      berth_spawn: { args: [FFIType.ptr], returns: FFIType.i32 },
      berth_forward: { args: [FFIType.i32, FFIType.u32, FFIType.u32], returns: FFIType.i32 },
    }).symbols;
  } catch (cause) {
    throw new BerthError("installation", `cannot load "${path}"`, {
      hint: "berth needs libexec/native.so beside its engine: build or install it again",
      cause,
    });
  }
}

const native = load();

/**
 * Makes one system call. Pointers are addresses from `memory.ts`.
 * @returns its result, or the negated errno.
 */
export function syscall(name: SyscallName, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  return Number(native.berth_syscall(syscallNumber(name), a, b, c, d, e, f));
}

/** Runs an encoded Plan here. `failure` gets the step that failed and its errno, or errno 0. */
export function runNative(plan: Uint8Array, failure: Uint32Array): void {
  native.berth_run(ptr(plan), ptr(failure));
}

/** Hands `request` (native/spawn.c, struct request), at this address, to the native library, which answers in place. */
export function spawnNative(request: number): number {
  return native.berth_spawn(request as Pointer);
}

/** From now on sends signals to the process of `pidfd` as they arrive here: 1 to 32 by `low`, bit 0 first, 33 to 64 by `high`. */
export function forwardNative(pidfd: number, low: number, high: number): number {
  return native.berth_forward(pidfd, low, high);
}
