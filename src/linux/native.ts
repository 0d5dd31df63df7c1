import { BerthError } from "../errors.ts";
import { type SyscallName, syscallNumber } from "./numbers.ts";

/** Where the native parts lie: beside the engine, or in dist/ when run from source. Never the working directory. */
export const libexec = import.meta.dir.startsWith("/$bunfs")
  ? process.execPath.slice(0, process.execPath.lastIndexOf("/"))
  : `${import.meta.dir}/../../dist/libexec`;

/** What native/ffi.c exports. */
interface Native {
  syscall(nr: number, a: number, b: number, c: number, d: number, e: number, f: number): number;
  call(at: number, ...integers: readonly number[]): number;
  address(array: Uint8Array | Uint32Array): number;
  readonly run: number;
  readonly spawn: number;
  readonly forward: number;
  readonly dlopen: number;
  readonly dlsym: number;
  readonly dlerror: number;
}

function load(): Native {
  const path = `${libexec}/native.so`;
  const module = { exports: {} as Native };
  try {
    process.dlopen(module, path);
  } catch (cause) {
    throw new BerthError("installation", `cannot load "${path}"`, {
      hint: "berth needs libexec/native.so beside its engine: build or install it again",
      cause,
    });
  }
  return module.exports;
}

const native = load();

/**
 * Makes one system call. Pointers are addresses from `memory.ts`.
 * @returns its result, or the negated errno.
 */
export function syscall(name: SyscallName, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  return native.syscall(syscallNumber(name), a, b, c, d, e, f);
}

/** Where the first byte of an array is, as long as the array is reachable. To ask for its `buffer` for the first time may move it. */
export function addressOf(array: Uint8Array | Uint32Array): number {
  return native.address(array);
}

/** Runs an encoded Plan here. `failure` gets the step that failed and its errno, or errno 0. */
export function runNative(plan: Uint8Array, failure: Uint32Array): void {
  native.call(native.run, addressOf(plan), addressOf(failure));
}

/** Hands `request` (native/spawn.c, struct request), at this address, to the native library, which answers in place. */
export function spawnNative(request: number): number {
  return asInt32(native.call(native.spawn, request));
}

/** From now on sends signals to the process of `pidfd` as they arrive here: 1 to 32 by `low`, bit 0 first, 33 to 64 by `high`. */
export function forwardNative(pidfd: number, low: number, high: number): number {
  return asInt32(native.call(native.forward, pidfd, low, high));
}

/** Calls a function of a library, see `library.ts`. At most seven integers or addresses; the result as 64 bits. */
export function callNative(at: number, ...integers: readonly number[]): number {
  return native.call(at, ...integers);
}

/** Where the C library's own way to other libraries is; man 3 dlopen. */
export const loader = { dlopen: native.dlopen, dlsym: native.dlsym, dlerror: native.dlerror } as const;

/** A C int comes back in a register of which only half is defined. */
function asInt32(result: number): number {
  return result | 0;
}
