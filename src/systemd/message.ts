import { align, marshal, pad, unmarshal, type Value, type Variant } from "./marshal.ts";

/*
 * The messages of D-Bus; D-Bus Specification, "Message Protocol". Little-endian, as we write it; what others write may be
 * big-endian only if they are on another machine.
 */

/** Kinds of message. */
export const METHOD_CALL = 1;
export const ERROR = 3;
export const SIGNAL = 4;

/** The header fields that we use, by their codes. */
const FIELDS = {
  path: { code: 1, type: "o" },
  interface: { code: 2, type: "s" },
  member: { code: 3, type: "s" },
  errorName: { code: 4, type: "s" },
  replySerial: { code: 5, type: "u" },
  destination: { code: 6, type: "s" },
  sender: { code: 7, type: "s" },
  signature: { code: 8, type: "g" },
} as const;

type FieldName = keyof typeof FIELDS;
type Fields = { readonly [name in FieldName]?: string | number | undefined };

/** A message as it was received. */
export interface Message {
  readonly kind: number;
  readonly fields: Fields;
  readonly body: readonly Value[];
}

const HEADER = "yyyyuua(yv)";
const LITTLE_ENDIAN = 0x6c;
const VERSION = 1;
/** The fixed part of a header, up to and with the length of its fields. */
const FIXED = 16;
/** No message is longer. */
const MAX_MESSAGE = 1 << 27;

/** A message in bytes. */
export function encodeMessage(
  kind: number,
  serial: number,
  fields: Fields,
  body: readonly Value[],
): Uint8Array {
  const content = marshal(typeof fields.signature === "string" ? fields.signature : "", body);
  const list: Value[] = [];
  for (const name of Object.keys(FIELDS) as FieldName[]) {
    const value = fields[name];
    const { code, type } = FIELDS[name];
    // An empty signature is not sent.
    if (value !== undefined && value !== "") list.push([code, { type, value }]);
  }
  const header = marshal(HEADER, [LITTLE_ENDIAN, kind, 0, VERSION, content.length, serial, list]);
  pad(header, 8);
  return Uint8Array.from(header.concat(content));
}

/**
 * The first message in `bytes`, and how long it is; undefined while it is not complete.
 * @throws RangeError for what is no message
 */
export function decodeMessage(bytes: Uint8Array): { message: Message; length: number } | undefined {
  if (bytes.length < FIXED) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== LITTLE_ENDIAN) throw new RangeError("not a little-endian D-Bus message");
  const content = align(FIXED + view.getUint32(12, true), 8);
  const length = content + view.getUint32(4, true);
  if (length > MAX_MESSAGE) throw new RangeError(`a D-Bus message of ${length} bytes`);
  if (bytes.length < length) return undefined;
  const [, kind, , , , , list] = unmarshal(HEADER, bytes);
  const fields: { [name in FieldName]?: string | number } = {};
  for (const [code, variant] of list as [number, Variant][]) {
    for (const name of Object.keys(FIELDS) as FieldName[]) {
      if (FIELDS[name].code === code) fields[name] = variant.value as string | number;
    }
  }
  const body = unmarshal(String(fields.signature ?? ""), bytes.subarray(content, length));
  return { message: { kind: Number(kind), fields, body }, length };
}
