import { SIG_BLOCK, SIG_SETMASK } from "./constants.ts";
import { check } from "./errno.ts";
import { keepOnExecute } from "./file.ts";
import { at, type Scratch, scratch } from "./memory.ts";
import { environment, libexec, syscall } from "./native.ts";
import { signalMask } from "./process.ts";

/** What native/wait.c waits for. */
export interface Waiting {
  readonly pid: number;
  readonly pidfd: number;
  /** Other children may end as well, and are to be reaped. */
  readonly reap: boolean;
  /** Which signals to pass on. */
  readonly signals: readonly number[];
  /** The master of a terminal to relay, and a file with the settings that stdin gets back in the end. */
  readonly terminal: { readonly master: number; readonly settings: number | undefined } | undefined;
  /** Arguments of berth, which is then run with them. */
  readonly afterwards: readonly string[] | undefined;
}

/**
 * Becomes the program that waits in the engine's place, with what it needs and nothing else. Comes back only if it cannot; all is
 * as it was then.
 */
export function becomeWaiter({ pid, pidfd, reap, signals, terminal, afterwards }: Waiting): void {
  const { low, high } = signalMask(signals);
  const { master = 0, settings = 0 } = terminal ?? {};
  for (const fd of [pidfd, master, settings]) if (fd > 0) keepOnExecute(fd);
  const numbers = [pid, pidfd, reap ? 1 : 0, low, high, master, settings];
  const command = afterwards === undefined ? [] : [`${libexec}/berth`, ...afterwards];
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value ?? ""}`);
  const old = blockSignals();
  const memory = scratch();
  const path = memory.text(`${libexec}/wait`);
  const argv = pointers(memory, ["berth-wait", ...numbers.map(String), ...command]);
  syscall("execve", path, argv, pointers(memory, variables));
  restoreSignals(old);
}

/** A NULL-terminated array of strings. */
function pointers(memory: Scratch, strings: readonly string[]): number {
  const texts = strings.map((text) => memory.text(text));
  const array = memory.space(8 * (texts.length + 1));
  texts.forEach((text, i) => {
    at.setU64(array + 8 * i, text);
  });
  return array;
}

/** Blocks all signals: what comes before the waiter is ready must neither end it nor be lost. @returns the old mask */
function blockSignals(): Uint8Array {
  const memory = scratch();
  const all = memory.space(8);
  at.setU32(all, 0xffff_ffff);
  at.setU32(all + 4, 0xffff_ffff);
  const old = memory.space(8);
  check(syscall("rt_sigprocmask", SIG_BLOCK, all, old, 8), "block signals");
  return at.bytes(old, 8);
}

function restoreSignals(mask: Uint8Array): void {
  syscall("rt_sigprocmask", SIG_SETMASK, scratch().copy(mask), 0, 8);
}
