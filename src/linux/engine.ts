/** What the engine gives to JavaScript: native/engine.c, or test/engine.ts where the tests run in another one. */
interface Engine {
  syscall(nr: number, a: number, b: number, c: number, d: number, e: number, f: number): number;
  call(at: number, ...integers: readonly number[]): number;
  address(array: Uint8Array | Uint32Array): number;
  text(address: number, length: number): string;
  place(text: string, address: number, room: number): number;
  /** Zeroed memory that stays where it is. */
  readonly memory: ArrayBuffer;
  /** Addresses of functions. */
  readonly run: number;
  readonly spawn: number;
  readonly forward: number;
  readonly sha256: number;
  readonly dlopen: number;
  readonly dlsym: number;
  /** Of the command line, after the program's name. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Partial<Record<string, string>>>;
  readonly directory: string;
  readonly inherited: number;
  readonly machine: "x86_64" | "aarch64";
}

declare global {
  var native: Engine;
}

/** What the program that runs this JavaScript gives to it. */
export const engine = globalThis.native;

/** Whose numbers the kernel here goes by, as uname -m names it. */
export const machine = engine.machine;
