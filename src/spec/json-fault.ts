import { BerthError, isBerthError } from "../errors.ts";

// Where a text stops being JSON. JSON.parse says that it is not, but not where; this runs only after it has failed.

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)\b/y;
const STRING_START = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|[\u007f-\u009f])*/uy;
const TOKEN = /[\w.+-]+|\/\/|\/\*|./suy;

/** A place in a text, and what should have been there. */
class Fault extends Error {
  readonly at: number;
  readonly expected: string;

  constructor(at: number, expected: string) {
    super(expected);
    this.at = at;
    this.expected = expected;
  }
}

/** A sentence with the line, the column and what was found at the first place where `text` is not JSON. */
export function describeJsonFault(text: string, file: string): string {
  if (text.trim() === "") return `${file}: not JSON: the file is empty`;
  const fault = firstFault(text);
  if (fault === undefined) return `${file}: not JSON`;
  const before = text.slice(0, fault.at).split("\n");
  const column = (before.at(-1)?.length ?? 0) + 1;
  return `${file}: not JSON: line ${before.length}, column ${column}: found ${foundAt(text, fault.at)}, expected ${fault.expected}`;
}

/**
 * The error to throw where `error` was caught, which says what is wrong when it is the depth of a file: as deep as JSON.parse and
 * whoever looks at the value can go is as deep as the engine's stack.
 */
export function orTooDeep(error: unknown, file: string): unknown {
  if (!(error instanceof Error) || isBerthError(error) || !/stack (?:overflow|size)/.test(error.message))
    return error;
  const hint = "nothing that runtime-spec has is deeper than a few levels";
  return new BerthError("invalid-config", `${file}: arrays or objects are nested too deeply in it`, {
    hint,
    cause: error,
  });
}

function firstFault(text: string): Fault | undefined {
  try {
    const end = skip(SPACE, text, valueEnd(text, skip(SPACE, text, 0)));
    return end < text.length ? new Fault(end, "the end of the file") : undefined;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

function foundAt(text: string, at: number): string {
  if (at >= text.length) return "the end of the file";
  if (text[at] === "\n" || text[at] === "\r") return "the end of the line";
  if (text[at] === "\ufeff") return "a byte order mark";
  return JSON.stringify(text.slice(at, skip(TOKEN, text, at)).slice(0, 40));
}

/** The position after what `pattern` (sticky) matches at `at`; `at` itself when it does not match. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

function valueEnd(text: string, at: number): number {
  if (text[at] === "{") return listEnd(text, at, "}", propertyEnd);
  if (text[at] === "[") return listEnd(text, at, "]", valueEnd);
  if (text[at] === '"') return stringEnd(text, at);
  const end = skip(SCALAR, text, at);
  if (end === at) throw new Fault(at, "a value");
  return end;
}

function listEnd(
  text: string,
  start: number,
  close: string,
  itemEnd: (text: string, at: number) => number,
): number {
  let at = skip(SPACE, text, start + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    at = skip(SPACE, text, itemEnd(text, at));
    if (text[at] === close) return at + 1;
    if (text[at] !== ",") throw new Fault(at, `"," or "${close}"`);
    at = skip(SPACE, text, at + 1);
  }
}

function propertyEnd(text: string, at: number): number {
  if (text[at] !== '"') throw new Fault(at, "a property name in double quotes");
  const colon = skip(SPACE, text, stringEnd(text, at));
  if (text[colon] !== ":") throw new Fault(colon, '":"');
  return valueEnd(text, skip(SPACE, text, colon + 1));
}

function stringEnd(text: string, at: number): number {
  const end = skip(STRING_START, text, at);
  if (text[end] === '"') return end + 1;
  throw new Fault(
    end,
    text[end] === "\\" ? "an escape that JSON knows" : "the rest of the string and a double quote",
  );
}
