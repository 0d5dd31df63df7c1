import { BerthError } from "../errors.ts";

/** What a number option means. @throws BerthError "invalid-option" */
export function wholeNumber(text: string, name: string): number {
  if (/^-?\d{1,19}$/.test(text)) return Number(text);
  throw invalid(text, name, "a whole number");
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};

/** A number of bytes: "1048576", "64m", "1.5GiB", or -1. @throws BerthError "invalid-option" */
export function byteSize(text: string, name: string): number {
  if (text === "-1") return -1;
  const [, number, unit = ""] = /^(\d{1,18}(?:\.\d{1,9})?) ?([bkmgtp]?)(?:i?b)?$/i.exec(text) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  if (number !== undefined && factor !== undefined) return Math.floor(Number(number) * factor);
  throw invalid(text, name, "a number of bytes, with k, m or g behind it if you like, or -1");
}

/** A time: "5s", "1m30s", "250ms", as Go writes it. @returns milliseconds @throws BerthError "invalid-option" */
export function duration(text: string, name: string): number {
  const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  if (/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) {
    let sum = 0;
    for (const [, number, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
      sum += Number(number) * (MILLISECONDS[unit] ?? 0);
    }
    return sum;
  }
  throw invalid(text, name, 'a time such as "5s" or "1m30s"');
}

function invalid(text: string, name: string, wanted: string): BerthError {
  return new BerthError("invalid-option", `invalid value ${JSON.stringify(text)} for --${name}`, {
    hint: `--${name} takes ${wanted}`,
  });
}
