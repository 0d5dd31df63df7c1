import { fromUtf8, utf8 } from "../linux/text.ts";
/*
 * The values of D-Bus in bytes, little-endian; D-Bus Specification, "Type System" and "Marshaling (Wire Format)".
 */

/** A value of a D-Bus type; which one, a signature beside it says. Numbers of 64 bits are read as bigint. */
export type Value = string | number | bigint | boolean | Variant | readonly Value[];

/** A value with its type, as "v" carries it. */
export interface Variant {
  readonly type: string;
  readonly value: Value;
}

/** How many bytes a type's values are aligned to. A signature and a variant begin with a byte, all structs alike. */
const ALIGNMENTS: Readonly<Record<string, number>> = {
  y: 1,
  g: 1,
  v: 1,
  n: 2,
  q: 2,
  x: 8,
  t: 8,
  d: 8,
  "(": 8,
  "{": 8,
};
const alignmentOf = (type: string): number => ALIGNMENTS[type.charAt(0)] ?? 4;

/** Where the complete type that begins at `start` of a signature ends. @throws RangeError */
export function typeEnd(signature: string, start: number): number {
  const first = signature.charAt(start);
  if (first === "a") return typeEnd(signature, start + 1);
  const close = first === "(" ? ")" : first === "{" ? "}" : undefined;
  if (close === undefined) {
    if (!/^[ybnqiuxtdsogv]$/.test(first)) throw new RangeError(`"${signature}" is no D-Bus signature`);
    return start + 1;
  }
  let end = start + 1;
  while (signature.charAt(end) !== close) end = typeEnd(signature, end);
  return end + 1;
}

/** The complete types of a signature. */
function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let start = 0; start < signature.length; ) {
    const end = typeEnd(signature, start);
    types.push(signature.slice(start, end));
    start = end;
  }
  return types;
}

/** Values in bytes, aligned as at the begin of a message. @throws RangeError, TypeError for a value that does not fit */
export function marshal(signature: string, values: readonly Value[]): number[] {
  const out: number[] = [];
  writeAll(out, signature, values);
  return out;
}

function writeAll(out: number[], signature: string, values: Value): void {
  const types = typesOf(signature);
  if (!Array.isArray(values) || values.length !== types.length)
    throw new TypeError(`"${signature}" does not describe ${values}`);
  types.forEach((type, i) => {
    write(out, type, values[i]);
  });
}

const word = new DataView(new ArrayBuffer(8));

function pushWord(out: number[], size: number): void {
  for (let i = 0; i < size; i++) out.push(word.getUint8(i));
}

function pushLength(out: number[], length: number): void {
  word.setUint32(0, length, true);
  pushWord(out, 4);
}

function write(out: number[], type: string, value: Value): void {
  pad(out, alignmentOf(type));
  switch (type.charAt(0)) {
    case "s":
    case "o": {
      const bytes = utf8(String(value));
      pushLength(out, bytes.length);
      for (const byte of bytes) out.push(byte);
      out.push(0);
      return;
    }
    case "g": {
      const text = String(value);
      out.push(text.length, ...utf8(text), 0);
      return;
    }
    case "v": {
      const { type: inner, value: content } = value as Variant;
      write(out, "g", inner);
      write(out, inner, content);
      return;
    }
    case "a": {
      const element = type.slice(1);
      if (!Array.isArray(value)) throw new TypeError(`"${type}" does not describe ${value}`);
      const at = out.length;
      pushLength(out, 0);
      pad(out, alignmentOf(element));
      const start = out.length;
      for (const item of value) write(out, element, item);
      word.setUint32(0, out.length - start, true);
      for (let i = 0; i < 4; i++) out[at + i] = word.getUint8(i);
      return;
    }
    case "(":
    case "{":
      writeAll(out, type.slice(1, -1), value);
      return;
    default:
      pushWord(out, writeNumber(type, value));
  }
}

/** Puts a number into `word`. @returns its size */
function writeNumber(type: string, value: Value): number {
  switch (type) {
    case "y":
      word.setUint8(0, Number(value));
      return 1;
    case "n":
    case "q":
      word.setInt16(0, Number(value), true);
      return 2;
    case "x":
    case "t":
      word.setBigInt64(0, BigInt(value as number | bigint), true);
      return 8;
    case "d":
      word.setFloat64(0, Number(value), true);
      return 8;
    default:
      word.setInt32(0, Number(value), true);
      return 4;
  }
}

/** The values in bytes that begin where a message does. @throws RangeError for bytes that end too early */
export function unmarshal(signature: string, bytes: Uint8Array): Value[] {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0 };
  return typesOf(signature).map((type) => read(reader, type));
}

interface Reader {
  readonly view: DataView;
  at: number;
}

function read(reader: Reader, type: string): Value {
  const { view } = reader;
  reader.at = align(reader.at, alignmentOf(type));
  switch (type.charAt(0)) {
    case "s":
    case "o":
      return readText(reader, Number(read(reader, "u")));
    case "g":
      return readText(reader, Number(read(reader, "y")));
    case "v": {
      const inner = String(read(reader, "g"));
      return { type: inner, value: read(reader, inner) };
    }
    case "a": {
      const element = type.slice(1);
      const size = Number(read(reader, "u"));
      reader.at = align(reader.at, alignmentOf(element));
      const end = reader.at + size;
      const items: Value[] = [];
      while (reader.at < end) items.push(read(reader, element));
      return items;
    }
    case "(":
    case "{":
      return typesOf(type.slice(1, -1)).map((inner) => read(reader, inner));
  }
  const at = reader.at;
  const take = <T>(size: number, value: T): T => {
    reader.at = at + size;
    return value;
  };
  switch (type) {
    case "y":
      return take(1, view.getUint8(at));
    case "n":
      return take(2, view.getInt16(at, true));
    case "q":
      return take(2, view.getUint16(at, true));
    case "i":
      return take(4, view.getInt32(at, true));
    case "b":
      return take(4, view.getUint32(at, true) !== 0);
    case "x":
      return take(8, view.getBigInt64(at, true));
    case "t":
      return take(8, view.getBigUint64(at, true));
    case "d":
      return take(8, view.getFloat64(at, true));
    default:
      return take(4, view.getUint32(at, true));
  }
}

function readText(reader: Reader, length: number): string {
  const { view, at } = reader;
  // A NUL follows that does not count.
  reader.at = at + length + 1;
  return fromUtf8(new Uint8Array(view.buffer, view.byteOffset + at, length));
}

/** The next offset that values aligned to so many bytes can have. */
export function align(offset: number, to: number): number {
  return Math.ceil(offset / to) * to;
}

/** Adds zeros up to such an offset. */
export function pad(out: number[], to: number): void {
  while (out.length % to !== 0) out.push(0);
}
