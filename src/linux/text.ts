import { addressOf, placeText, textAt } from "./native.ts";

// Texts and bytes, as UTF-8. The engine has neither TextEncoder nor TextDecoder: nothing would need more of them than this.

/** How many bytes a text takes as UTF-8. */
export function byteLength(text: string): number {
  return placeText(text, 0, -1);
}

/** A text as UTF-8. */
export function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(byteLength(text));
  placeText(text, addressOf(bytes), bytes.length);
  return bytes;
}

/** Writes a text as UTF-8 into `bytes` from `offset` on, if it fits. @returns its length in bytes */
export function writeUtf8(text: string, bytes: Uint8Array, offset = 0): number {
  return placeText(text, addressOf(bytes) + offset, bytes.length - offset);
}

/** The text that bytes of UTF-8 are; what is not UTF-8 becomes U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  return textAt(addressOf(bytes), bytes.length);
}
