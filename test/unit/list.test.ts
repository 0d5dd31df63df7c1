import { describe, expect, test } from "vitest";
import { bitsOf, parseList } from "../../src/spec/list.ts";

describe("a list of CPUs or nodes", () => {
  test.each([
    ["", []],
    [" ", []],
    ["0", [[0, 0]]],
    [
      "0-3,7",
      [
        [0, 3],
        [7, 7],
      ],
    ],
    [
      " 1 , 2-2 ",
      [
        [1, 1],
        [2, 2],
      ],
    ],
  ])("%j", (text, ranges) => {
    expect(parseList(text)).toEqual(ranges.map(([first, last]) => ({ first, last })));
  });

  test.each([",", "0,", "3-1", "-1", "1-", "a", "0 1", "0x1", "1234567"])("not %j", (text) => {
    expect(parseList(text)).toBeUndefined();
  });

  test("as bits, in words of 64", () => {
    expect([...bitsOf([])]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...bitsOf([{ first: 1, last: 3 }])]).toEqual([14, 0, 0, 0, 0, 0, 0, 0]);
    const wide = bitsOf([
      { first: 0, last: 0 },
      { first: 63, last: 65 },
    ]);
    expect([...wide]).toEqual([1, 0, 0, 0, 0, 0, 0, 128, 3, 0, 0, 0, 0, 0, 0, 0]);
  });
});
