import { engine } from "./engine.ts";
import { type SyscallName, syscallNumber } from "./numbers.ts";

const { syscall: callKernel, call, address, text, place } = engine;

/** The command line, after the program's name. */
export const commandLine = engine.arguments;

/** The variables that the launcher lets through (native/launch.c). */
export const environment = engine.environment;

/** Where the native parts lie: beside the engine, never the working directory. */
export const libexec = engine.directory;

/** How many descriptors, from 3 on without a gap, berth was called with. */
export const inherited = engine.inherited;

/**
 * Makes one system call. Pointers are addresses from `memory.ts`.
 * @returns its result, or the negated errno.
 */
export function syscall(name: SyscallName, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  return callKernel(syscallNumber(name), a, b, c, d, e, f);
}

/** Where the first byte of an array is, as long as the array is reachable. */
export function addressOf(array: Uint8Array | Uint32Array): number {
  return address(array);
}

/** The text of `length` bytes of UTF-8 at an address; what is not UTF-8 becomes U+FFFD. */
export function textAt(at: number, length: number): string {
  return text(at, length);
}

/** Puts a text as UTF-8 where there is room for so many bytes, or nothing if it is longer. @returns its length in bytes */
export function placeText(value: string, at: number, room: number): number {
  return place(value, at, room);
}

/** Runs an encoded Plan here. `failure` gets the step that failed and its errno, or errno 0. */
export function runNative(plan: Uint8Array, failure: Uint32Array): void {
  call(engine.run, address(plan), address(failure));
}

/** Hands `request` (native/spawn.c, struct request), at this address, to the native library, which answers in place. */
export function spawnNative(request: number): number {
  return asInt32(call(engine.spawn, request));
}

/** From now on sends signals to the process of `pidfd` as they arrive here: 1 to 32 by `low`, bit 0 first, 33 to 64 by `high`. */
export function forwardNative(pidfd: number, low: number, high: number): number {
  return asInt32(call(engine.forward, pidfd, low, high));
}

/** The SHA-256 of bytes, 32 of them; FIPS 180-4. */
export function sha256(bytes: Uint8Array): Uint8Array {
  const digest = new Uint8Array(32);
  call(engine.sha256, address(bytes), bytes.length, address(digest));
  return digest;
}

/** Calls a function of a library, see `library.ts`. At most seven integers or addresses; the result as 64 bits. */
export function callNative(at: number, ...integers: readonly number[]): number {
  return call(at, ...integers);
}

/** Where the C library's own way to other libraries is; man 3 dlopen. */
export const loader = { dlopen: engine.dlopen, dlsym: engine.dlsym } as const;

/** A C int comes back in a register of which only half is defined. */
function asInt32(result: number): number {
  return result | 0;
}
