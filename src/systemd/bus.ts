import { BerthError } from "../errors.ts";
import { now } from "../linux/clock.ts";
import { POLLIN } from "../linux/constants.ts";
import { EINTR, systemError } from "../linux/errno.ts";
import { close, tryRead, writeAll } from "../linux/file.ts";
import { poll } from "../linux/process.ts";
import { tryConnect } from "../linux/socket.ts";
import { fromUtf8 } from "../linux/text.ts";
import type { Value } from "./marshal.ts";
import { decodeMessage, ERROR, encodeMessage, METHOD_CALL, type Message, SIGNAL } from "./message.ts";

/*
 * A D-Bus connection, as much of one as it takes to talk to systemd: method calls and signals, one after the other.
 */

/** How long an answer may take, in milliseconds. */
const PATIENCE = 30_000;

/** What a method call is made of. */
export interface MethodCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Of its arguments. */
  readonly signature?: string;
  readonly body?: readonly Value[];
}

/** An open connection. */
export interface Bus {
  /** Where it leads, for messages. */
  readonly socket: string;
  /** Sends a call. @returns its serial, for {@link Bus.answer} */
  send(call: MethodCall): number;
  /** Waits for the answer to a call. @throws BerthError whose code is the name of the D-Bus error */
  answer(serial: number): Message;
  /** Sends a call and waits for its answer. */
  call(call: MethodCall): Message;
  /** Waits for a signal that `isWanted`. Signals that came while others were waited for are kept until then. */
  signal(isWanted: (message: Message) => boolean): Message;
  close(): void;
}

/**
 * Connects to a D-Bus server; D-Bus Specification, "Authentication Protocol". Who we are, the server reads from the socket:
 * to name a user would fail in a user namespace, where our own number is another.
 * @returns a negated errno when nobody listens there @throws BerthError when it does not let us in
 */
export function tryBus(socket: string): Bus | number {
  const fd = tryConnect(socket, "stream");
  if (fd < 0) return fd;
  try {
    return new Connection(socket, fd);
  } catch (error) {
    close(fd);
    throw error;
  }
}

class Connection implements Bus {
  readonly socket: string;
  readonly #fd: number;
  #serial = 0;
  /** Bytes that were read and not looked at. */
  #rest: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  readonly #answers = new Map<number, Message>();
  #signals: Message[] = [];

  constructor(socket: string, fd: number) {
    this.socket = socket;
    this.#fd = fd;
    writeAll(fd, "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", `log in at "${socket}"`);
    for (;;) {
      const line = this.#line();
      if (line.startsWith("OK ")) return;
      if (!line.startsWith("DATA")) {
        throw new BerthError("dbus", `log in at "${socket}": ${line || "the connection was closed"}`);
      }
    }
  }

  send(call: MethodCall): number {
    const { body = [], signature = "", ...fields } = call;
    this.#serial += 1;
    const message = encodeMessage(METHOD_CALL, this.#serial, { ...fields, signature }, body);
    writeAll(this.#fd, message, `write to "${this.socket}"`);
    return this.#serial;
  }

  answer(serial: number): Message {
    for (;;) {
      const message = this.#answers.get(serial);
      if (message === undefined) {
        this.#receive();
        continue;
      }
      this.#answers.delete(serial);
      if (message.kind !== ERROR) return message;
      throw new BerthError(
        String(message.fields.errorName),
        String(message.body[0] ?? message.fields.errorName),
      );
    }
  }

  call(call: MethodCall): Message {
    return this.answer(this.send(call));
  }

  signal(isWanted: (message: Message) => boolean): Message {
    for (;;) {
      const found = this.#signals.find(isWanted);
      if (found !== undefined) {
        this.#signals = this.#signals.filter((message) => message !== found);
        return found;
      }
      this.#receive();
    }
  }

  close(): void {
    close(this.#fd);
  }

  /** Waits for one more message. */
  #receive(): void {
    for (;;) {
      const decoded = decodeMessage(this.#rest);
      if (decoded === undefined) {
        if (!this.#read()) throw new BerthError("dbus", `"${this.socket}" closed the connection`);
        continue;
      }
      this.#rest = this.#rest.slice(decoded.length);
      const { message } = decoded;
      if (message.kind === SIGNAL) this.#signals.push(message);
      else if (typeof message.fields.replySerial === "number")
        this.#answers.set(message.fields.replySerial, message);
      return;
    }
  }

  /** The next line, "" at the end of the connection. */
  #line(): string {
    for (;;) {
      const end = this.#rest.indexOf(0x0a);
      if (end >= 0) {
        const line = fromUtf8(this.#rest.subarray(0, end)).trimEnd();
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      if (!this.#read()) return "";
    }
  }

  /** Waits for more bytes. @returns false at the end of the connection @throws BerthError "dbus-timeout" */
  #read(): boolean {
    const end = now() + PATIENCE;
    while ((poll([{ fd: this.#fd, events: POLLIN }], Math.max(0, end - now()))[0] ?? 0) === 0) {
      // A signal may have cut the wait short.
      if (now() < end) continue;
      throw new BerthError("dbus-timeout", `no answer from "${this.socket}" within ${PATIENCE / 1000} s`);
    }
    const bytes = tryRead(this.#fd);
    if (bytes === -EINTR) return true;
    if (typeof bytes === "number") throw systemError(-bytes, `read from "${this.socket}"`);
    if (bytes.length === 0) return false;
    const whole = new Uint8Array(this.#rest.length + bytes.length);
    whole.set(this.#rest);
    whole.set(bytes, this.#rest.length);
    this.#rest = whole;
    return true;
  }
}
