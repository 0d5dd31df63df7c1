import { describe, expect, test } from "vitest";
import { EBADF } from "../../src/linux/errno.ts";
import { at, scratch } from "../../src/linux/memory.ts";
import { addressOf, syscall } from "../../src/linux/native.ts";

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
