import { O_CLOEXEC } from "./constants.ts";
import { check } from "./errno.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";

/** A pipe: the end to read from and the end to write to; man 2 pipe. @throws BerthError */
export function pipe(): [read: number, write: number] {
  const pair = scratch().space(8);
  check(syscall("pipe2", pair, O_CLOEXEC), "make a pipe");
  return [at.u32(pair), at.u32(pair + 4)];
}
