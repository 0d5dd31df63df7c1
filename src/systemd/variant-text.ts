import { typeEnd, type Value, type Variant } from "./marshal.ts";

/*
 * Values as people write them: the text format of GVariant, which gdbus and the annotations of containers have.
 * https://docs.gtk.org/glib/gvariant-text-format.html; all of it but maybe types, dictionaries and bytestrings.
 */

/** Words that give the type of what follows. */
const KEYWORDS: Readonly<Record<string, string>> = {
  boolean: "b",
  byte: "y",
  int16: "n",
  uint16: "q",
  int32: "i",
  handle: "i",
  uint32: "u",
  int64: "x",
  uint64: "t",
  double: "d",
  string: "s",
  objectpath: "o",
  signature: "g",
};

const INTEGERS: Readonly<Record<string, readonly [least: bigint, most: bigint]>> = {
  y: [0n, 0xffn],
  n: [-0x8000n, 0x7fffn],
  q: [0n, 0xffffn],
  i: [-0x8000_0000n, 0x7fff_ffffn],
  u: [0n, 0xffff_ffffn],
  x: [-(1n << 63n), (1n << 63n) - 1n],
  t: [0n, (1n << 64n) - 1n],
};

const TOKEN =
  /\s*(?:('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|([-+]?[0-9.][0-9A-Za-z.+]*|[-+]?inf\b|nan\b)|(@[a-z(){}]+)|([a-z][a-z0-9]*)|([[\](),<>]))/y;

/** The words of a text, and which is next. */
interface Tokens {
  readonly list: readonly Token[];
  at: number;
}

type Token = { readonly kind: "string" | "number" | "type" | "word" | "mark"; readonly text: string };

/**
 * Reads one value: "uint64 5", "'text'", "true", "['a', 'b']", "@as []", "[('/dev/null', uint64 1)]". A number is an int32 when
 * nothing says otherwise.
 * @throws SyntaxError that says what is wrong
 */
export function parseVariant(text: string): Variant {
  const tokens: Tokens = { list: tokenize(text), at: 0 };
  const value = parse(tokens, undefined);
  const rest = tokens.list[tokens.at];
  if (rest !== undefined) throw new SyntaxError(`there is more behind the value: ${rest.text}`);
  return value;
}

function tokenize(text: string): Token[] {
  const kinds = ["string", "number", "type", "word", "mark"] as const;
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new SyntaxError(`this is no value: ${text.slice(from).trim()}`);
    const group = match.findIndex((part, i) => i > 0 && part !== undefined);
    tokens.push({ kind: kinds[group - 1] ?? "mark", text: match[group] ?? "" });
  }
  return tokens;
}

/** @param wanted the type that it must have; undefined: what it has by itself */
function parse(tokens: Tokens, wanted: string | undefined): Variant {
  const token = tokens.list[tokens.at];
  tokens.at += 1;
  if (token === undefined) throw new SyntaxError("it ends too early");
  switch (token.kind) {
    case "string":
      return checked(wanted ?? "s", "sog", unquote(token.text), token.text);
    case "number":
      return { type: wanted ?? defaultNumber(token.text), value: numberOf(token.text, wanted) };
    case "type":
      return parse(tokens, agreed(completeType(token.text.slice(1)), wanted));
    case "word": {
      if (token.text === "true" || token.text === "false")
        return checked(wanted ?? "b", "b", token.text === "true", token.text);
      const type = Object.hasOwn(KEYWORDS, token.text) ? KEYWORDS[token.text] : undefined;
      if (type === undefined) throw new SyntaxError(`this is no value: ${token.text} (text needs quotes)`);
      return parse(tokens, agreed(type, wanted));
    }
    default:
      return parseContainer(tokens, token.text, wanted);
  }
}

function parseContainer(tokens: Tokens, mark: string, wanted: string | undefined): Variant {
  if (mark === "[") {
    const given = wanted === undefined ? undefined : elementOf(wanted);
    const items = parseItems(tokens, "]", (i, before) => given ?? (i === 0 ? undefined : before?.type));
    const element = given ?? items[0]?.type;
    if (element === undefined) throw new SyntaxError("an empty array needs its type, as in: @as []");
    return { type: `a${element}`, value: items.map(({ value }) => value) };
  }
  if (mark === "(") {
    const types = wanted === undefined ? undefined : fieldsOf(wanted);
    const items = parseItems(tokens, ")", (i) => types?.[i]);
    if (types !== undefined && types.length !== items.length)
      throw new SyntaxError(`${items.length} values are no ${wanted}`);
    return { type: `(${items.map(({ type }) => type).join("")})`, value: items.map(({ value }) => value) };
  }
  if (mark !== "<") throw new SyntaxError(`a value is missing before ${mark}`);
  agreed("v", wanted);
  const value = parse(tokens, undefined);
  expect(tokens, ">");
  return { type: "v", value };
}

function parseItems(
  tokens: Tokens,
  end: string,
  typeOf: (i: number, before: Variant | undefined) => string | undefined,
): Variant[] {
  const items: Variant[] = [];
  while (tokens.list[tokens.at]?.text !== end) {
    if (items.length > 0) {
      expect(tokens, ",");
      // A tuple of one is written (1,).
      if (tokens.list[tokens.at]?.text === end) break;
    }
    items.push(parse(tokens, typeOf(items.length, items.at(-1))));
  }
  tokens.at += 1;
  return items;
}

function expect(tokens: Tokens, text: string): void {
  const found = tokens.list[tokens.at]?.text;
  if (found !== text)
    throw new SyntaxError(`${text} is missing${found === undefined ? "" : ` before ${found}`}`);
  tokens.at += 1;
}

function agreed(type: string, wanted: string | undefined): string {
  if (wanted === undefined || wanted === type) return type;
  throw new SyntaxError(`it is of type "${type}", not "${wanted}"`);
}

function checked(type: string, allowed: string, value: Value, text: string): Variant {
  if (allowed.includes(type)) return { type, value };
  throw new SyntaxError(`${text} is not of type "${type}"`);
}

function completeType(type: string): string {
  let end: number;
  try {
    end = typeEnd(type, 0);
  } catch {
    end = -1;
  }
  if (end !== type.length) throw new SyntaxError(`"${type}" is no type`);
  return type;
}

function elementOf(type: string): string {
  if (type.startsWith("a")) return type.slice(1);
  throw new SyntaxError(`an array is not of type "${type}"`);
}

function fieldsOf(type: string): string[] {
  if (!type.startsWith("(")) throw new SyntaxError(`a tuple is not of type "${type}"`);
  const fields: string[] = [];
  for (let start = 1; start < type.length - 1; ) {
    const end = typeEnd(type, start);
    fields.push(type.slice(start, end));
    start = end;
  }
  return fields;
}

function defaultNumber(text: string): "d" | "i" {
  return /^[-+]?(0x|\d+$)/i.test(text) ? "i" : "d";
}

function numberOf(text: string, type: string = defaultNumber(text)): number | bigint {
  if (type === "d") {
    const value = Number(text.replace("inf", "Infinity").replace("nan", "NaN"));
    if (Number.isNaN(value) && text !== "nan") throw new SyntaxError(`${text} is no number`);
    return value;
  }
  const [least, most] = INTEGERS[type] ?? [];
  const [, sign, digits] = /^([-+]?)(0x[0-9a-f]+|\d+)$/i.exec(text) ?? [];
  if (least === undefined || most === undefined || digits === undefined)
    throw new SyntaxError(`${text} is not of type "${type}"`);
  // As in C, a leading zero makes it octal.
  const magnitude = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
  const value = sign === "-" ? -magnitude : magnitude;
  if (value < least || value > most) throw new SyntaxError(`${text} is not from ${least} to ${most}`);
  return type === "x" || type === "t" ? value : Number(value);
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
};

function unquote(text: string): string {
  return text
    .slice(1, -1)
    .replace(/\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)/gs, (_, sequence: string) =>
      sequence.length > 1
        ? String.fromCodePoint(parseInt(sequence.slice(1), 16))
        : (ESCAPES[sequence] ?? sequence),
    );
}
