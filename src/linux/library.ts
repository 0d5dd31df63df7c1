import { BerthError } from "../errors.ts";
import { scratch } from "./memory.ts";
import { callNative, loader } from "./native.ts";

// Shared libraries of the host, for the few rooms that need one (libseccomp): by name, from where the host's loader looks.

const RTLD_NOW = 2;

/** A shared library that is loaded, for as long as this process lives; undefined: the host has none of that name. man 3 dlopen */
export function openLibrary(name: string): number | undefined {
  const handle = callNative(loader.dlopen, scratch().text(name), RTLD_NOW);
  return handle === 0 ? undefined : handle;
}

/** The address of a function of a library. @throws BerthError: the library is older than the function */
export function findSymbol(library: number, name: string): number {
  const address = callNative(loader.dlsym, library, scratch().text(name));
  if (address !== 0) return address;
  throw new BerthError("installation", `the host's library has no function "${name}"`, {
    hint: "it is older than what berth needs: install a newer one",
  });
}

/**
 * Calls the function at this address with integers and addresses of `memory.ts`, at most seven.
 * @returns its result as 64 bits: of a C int, take `| 0`
 */
export function callFunction(address: number, ...integers: readonly number[]): number {
  return callNative(address, ...integers);
}
