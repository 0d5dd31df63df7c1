import { BerthError } from "../errors.ts";
import { nearest } from "../spec/nearest.ts";

/** Signals by name, without SIG; man 7 signal. The numbers are those of x86-64, arm64, riscv64 and s390x. */
const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  IOT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  POLL: 29,
  PWR: 30,
  SYS: 31,
};

/** As the C library counts them, which keeps 32 and 33 to itself. */
const RTMIN = 34;
const RTMAX = 64;

/**
 * The number of a signal: "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3".
 * @throws BerthError "unknown-signal"
 */
export function signalNumber(text: string): number {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : namedSignal(text.toUpperCase().replace(/^SIG/, ""));
  if (number !== undefined && number <= RTMAX) return number;
  const near = nearest(text.toUpperCase().replace(/^SIG/, ""), Object.keys(SIGNALS));
  throw new BerthError("unknown-signal", `unknown signal "${text}"`, {
    hint:
      near === undefined
        ? `a signal is a name, as TERM or SIGTERM, or a number up to ${RTMAX}`
        : `did you mean ${near}?`,
  });
}

function namedSignal(name: string): number | undefined {
  const [, base, sign, distance] = /^(RTMIN|RTMAX)(?:([+-])(\d{1,2}))?$/.exec(name) ?? [];
  if (base === undefined) return SIGNALS[name];
  const number = (base === "RTMIN" ? RTMIN : RTMAX) + (sign === "-" ? -1 : 1) * Number(distance ?? 0);
  return number >= RTMIN && number <= RTMAX ? number : undefined;
}
