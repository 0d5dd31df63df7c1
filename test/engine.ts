/**
 * What native/engine.c gives to berth, for the tests, which run in Bun: they may then call src/linux/ directly, and find what
 * they expect of a host. Loaded before anything of src/.
 */
import { dlopen, FFIType, ptr, toArrayBuffer } from "bun:ffi";
import { join } from "node:path";

const directory = join(import.meta.dirname, "../dist/libexec");
const { i64 } = FFIType;
const { symbols } = dlopen(join(directory, "../test/native.so"), {
  berth_syscall: { args: [i64, i64, i64, i64, i64, i64, i64], returns: FFIType.i64_fast },
  berth_call: { args: [i64, i64, i64, i64, i64, i64, i64, i64], returns: FFIType.i64_fast },
  berth_run: { args: [], returns: "void" },
  berth_spawn: { args: [], returns: "void" },
  berth_forward: { args: [], returns: "void" },
  berth_sha256: { args: [], returns: "void" },
});
const libc = dlopen("libc.so.6", {
  dlopen: { args: [], returns: "void" },
  dlsym: { args: [], returns: "void" },
});

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const addressOf = (of: object): number => Number("ptr" in of ? of.ptr : 0);

globalThis.native = {
  syscall: (nr, ...rest) => Number(symbols.berth_syscall(nr, ...rest)),
  call(at, ...given) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0] = given;
    return Number(symbols.berth_call(at, a, b, c, d, e, f, g));
  },
  // Bun has no address for nothing.
  address: (array) => (array.length === 0 ? 0 : ptr(array)),
  text: (address, length) => (length === 0 ? "" : decoder.decode(toArrayBuffer(address as never, 0, length))),
  place(text, address, room) {
    const bytes = new TextEncoder().encode(text);
    if (bytes.length > 0 && bytes.length <= room) {
      new Uint8Array(toArrayBuffer(address as never, 0, bytes.length)).set(bytes);
    }
    return bytes.length;
  },
  memory: new ArrayBuffer(1 << 18),
  run: addressOf(symbols.berth_run),
  spawn: addressOf(symbols.berth_spawn),
  forward: addressOf(symbols.berth_forward),
  sha256: addressOf(symbols.berth_sha256),
  dlopen: addressOf(libc.symbols.dlopen),
  dlsym: addressOf(libc.symbols.dlsym),
  arguments: process.argv.slice(2),
  environment: process.env,
  directory,
  inherited: 0,
  machine: process.arch === "arm64" ? "aarch64" : "x86_64",
};

/** A command line for Bun that runs what follows it, with the engine. */
export const bunCommand = [process.execPath, "--preload", import.meta.filename];
