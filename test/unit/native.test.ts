import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { EBADF } from "../../src/linux/errno.ts";
import { at, scratch } from "../../src/linux/memory.ts";
import { addressOf, sha256, syscall } from "../../src/linux/native.ts";

describe("the way to native code", () => {
  test("takes and gives negative numbers", () => {
    expect(syscall("close", -1)).toBe(-EBADF);
  });

  test("tells where an array is, from its first byte on", () => {
    const array = new Uint8Array(new ArrayBuffer(4096));
    expect(addressOf(array.subarray(16)) - addressOf(array)).toBe(16);
  });
});

describe("numbers in memory", () => {
  test.each([
    [-1, "ffffffffffffffff"],
    [-(2 ** 31), "00000080ffffffff"],
    [2 ** 32, "0000000001000000"],
    [2 ** 53, "0000000000002000"],
    [2 ** 63, "0000000000000080"],
  ])("%d as 64 bits", (value, bytes) => {
    const address = scratch().space(8);
    at.setU64(address, value);
    expect(Buffer.from(at.bytes(address, 8)).toString("hex")).toBe(bytes);
  });
});

describe("SHA-256", () => {
  const digest = (bytes: Uint8Array) => Buffer.from(sha256(bytes)).toString("hex");

  // NIST, "Secure Hashing", example values for FIPS 180-4.
  test.each([
    ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    [
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ],
    [
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
    ],
    ["a".repeat(1e6), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
  ])("is that of FIPS 180-4 for example %#", (text, expected) => {
    expect(digest(Buffer.from(text))).toBe(expected);
  });

  test("of every length up to some blocks, from any address, and of no byte beyond", () => {
    const bytes = Uint8Array.from({ length: 320 }, (_, i) => (i * 167 + 13) & 0xff);
    for (let length = 0; length <= 300; length++) {
      const part = bytes.subarray(length % 16, (length % 16) + length);
      expect(digest(part), `${length} bytes`).toBe(createHash("sha256").update(part).digest("hex"));
    }
  });
});
