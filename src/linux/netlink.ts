import { BerthError } from "../errors.ts";
import {
  AF_NETLINK,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from "./constants.ts";
import { check, EINTR } from "./errno.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";

/*
 * A client for rtnetlink, as far as moving devices needs it; man 7 netlink, man 7 rtnetlink. A message is a header of 16 bytes,
 * a struct of its type, and attributes: length, type, value, each padded to 4.
 */

/** A socket in the network namespace of this process. @throws BerthError */
export function openNetlink(): number {
  return check(
    syscall("socket", AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
    "make a netlink socket",
  );
}

/** One attribute of a message. */
export type Attribute = readonly [type: number, value: Uint8Array];

/** An answer of the kernel's: its type, and what follows the header. */
export interface Message {
  readonly type: number;
  readonly body: DataView;
}

const HEADER = 16;
const RECEIVED = 32768;
let sequence = 0;

const padded = (size: number) => (size + 3) & ~3;

/** A message for the kernel. @param head the struct of its type */
export function encodeMessage(
  type: number,
  flags: number,
  head: Uint8Array,
  attributes: readonly Attribute[],
  number: number,
): Uint8Array {
  let size = HEADER + padded(head.length);
  for (const [, value] of attributes) size += padded(4 + value.length);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, number, true);
  bytes.set(head, HEADER);
  let offset = HEADER + padded(head.length);
  for (const [attribute, value] of attributes) {
    view.setUint16(offset, 4 + value.length, true);
    view.setUint16(offset + 2, attribute, true);
    bytes.set(value, offset + 4);
    offset += padded(4 + value.length);
  }
  return bytes;
}

/** The attributes that follow the struct in an answer, by their type. */
export function attributesOf({ body }: Message, head: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let offset = padded(head); offset + 4 <= body.byteLength; ) {
    const length = body.getUint16(offset, true);
    if (length < 4 || offset + length > body.byteLength) break;
    // The two highest bits say how the value is written, and are not part of the type.
    const type = body.getUint16(offset + 2, true) & 0x3fff;
    found.set(type, new Uint8Array(body.buffer, body.byteOffset + offset + 4, length - 4));
    offset += padded(length);
  }
  return found;
}

/** Asks the kernel to do something. @returns 0 or a negated errno @throws BerthError when it cannot be asked */
export function command(
  socket: number,
  type: number,
  flags: number,
  head: Uint8Array,
  attributes: readonly Attribute[],
): number {
  const number = send(socket, type, NLM_F_REQUEST | NLM_F_ACK | flags, head, attributes);
  for (;;) {
    for (const { type: answer, number: to, body } of receive(socket)) {
      if (answer === NLMSG_ERROR && to === number) return body.getInt32(0, true);
    }
  }
}

/** Asks the kernel for a list. @throws BerthError */
export function list(socket: number, type: number, head: Uint8Array, subject: string): Message[] {
  const number = send(socket, type, NLM_F_REQUEST | NLM_F_DUMP, head, []);
  const messages: Message[] = [];
  for (;;) {
    for (const message of receive(socket)) {
      if (message.number !== number) continue;
      if (message.type === NLMSG_DONE) return messages;
      if (message.type === NLMSG_ERROR) check(message.body.getInt32(0, true), subject);
      messages.push(message);
    }
  }
}

function send(
  socket: number,
  type: number,
  flags: number,
  head: Uint8Array,
  attributes: readonly Attribute[],
): number {
  sequence += 1;
  const message = encodeMessage(type, flags, head, attributes, sequence);
  check(syscall("write", socket, scratch().copy(message), message.length), "ask the kernel by netlink");
  return sequence;
}

function receive(socket: number): (Message & { readonly number: number })[] {
  const buffer = scratch().room(RECEIVED);
  let size = -EINTR;
  while (size === -EINTR) size = syscall("read", socket, buffer, RECEIVED);
  check(size, "hear from the kernel by netlink");
  return decodeMessages(at.bytes(buffer, size));
}

/** Takes apart what one read gave. @throws BerthError "netlink" */
export function decodeMessages(bytes: Uint8Array): (Message & { readonly number: number })[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const messages: (Message & { readonly number: number })[] = [];
  for (let offset = 0; offset + HEADER <= bytes.length; ) {
    const length = view.getUint32(offset, true);
    // A length is never believed (CVE-2021-43784 was one that overflowed).
    if (length < HEADER || offset + length > bytes.length) {
      throw new BerthError("netlink", "the kernel's answer by netlink is cut off");
    }
    messages.push({
      type: view.getUint16(offset + 4, true),
      number: view.getUint32(offset + 8, true),
      body: new DataView(bytes.buffer, bytes.byteOffset + offset + HEADER, length - HEADER),
    });
    offset += padded(length);
  }
  return messages;
}
