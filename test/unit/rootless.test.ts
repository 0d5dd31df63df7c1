import { describe, expect, test } from "vitest";
import { automaticMappings, covers, rangesOf } from "../../src/namespaces/subordinate-ids.ts";
import { isOnly } from "../../src/namespaces/user-maps.ts";
import { idMapOf, parseOptionMaps } from "../../src/spec/mount-id-map.ts";

const range = (start: number, size: number) => ({ start, size });
const mapping = (containerID: number, hostID: number, size: number) => ({ containerID, hostID, size });

describe("/etc/subuid", () => {
  test("knows a user by name or by number, and may name it twice", () => {
    const text = "# comment\nann:100000:65536\nbob:1:2\n1000:300000:10\nann:500000:1\nbroken:x:1\nann:7:0\n";
    expect(rangesOf(text, "ann", 1000)).toEqual([
      range(100_000, 65_536),
      range(300_000, 10),
      range(500_000, 1),
    ]);
    expect(rangesOf(text, undefined, 1000)).toEqual([range(300_000, 10)]);
    expect(rangesOf(text, "carl", 7)).toEqual([]);
    expect(rangesOf("", "ann", 1000)).toEqual([]);
  });

  test.each([
    [range(10, 5), true],
    [range(10, 10), true],
    [range(12, 20), true],
    [range(10, 31), false],
    [range(9, 2), false],
    [range(50, 1), false],
  ])("ranges that touch or overlap hold %o together: %s", (wanted, expected) => {
    expect(covers([range(20, 20), range(10, 10), range(15, 10)], wanted)).toBe(expected);
  });
});

describe("mappings that berth makes", () => {
  test("begin with the user itself, and have all that is lent after it", () => {
    expect(automaticMappings(1000, [range(100_000, 10), range(200_000, 5)])).toEqual([
      mapping(0, 1000, 1),
      mapping(1, 100_000, 10),
      mapping(11, 200_000, 5),
    ]);
    expect(automaticMappings(1000, [])).toEqual([mapping(0, 1000, 1)]);
  });

  test("have no id twice, and no more than the kernel takes", () => {
    expect(automaticMappings(1000, [range(1000, 5), range(2000, 5), range(2004, 5)])).toEqual([
      mapping(0, 1000, 1),
      mapping(1, 2000, 5),
    ]);
    const many = Array.from({ length: 400 }, (_, i) => range(10_000 + 10 * i, 1));
    expect(automaticMappings(1000, many)).toHaveLength(340);
  });

  test.each([
    [[mapping(0, 1000, 1)], true],
    [[mapping(5, 1000, 1)], true],
    [[mapping(0, 1000, 2)], false],
    [[mapping(0, 1001, 1)], false],
    [[mapping(0, 1000, 1), mapping(1, 1001, 1)], false],
    [[], false],
  ])("a user may write %o itself: %s", (mappings, expected) => {
    expect(isOnly(1000, mappings)).toBe(expected);
  });
});

describe("an id-mapped mount", () => {
  const maps = { uidMappings: [mapping(0, 1, 1)], gidMappings: [mapping(0, 1, 1)] };
  test.each([
    [{}, undefined],
    [{ options: ["bind", "noidmap"] }, undefined],
    [{ uidMappings: [], gidMappings: [] }, undefined],
    [{ ...maps }, { recursive: false, option: undefined, text: undefined }],
    [{ options: ["bind", "idmap"] }, { recursive: false, option: 1, text: undefined }],
    [
      { options: ["ridmap"], ...maps },
      { recursive: true, option: 0, text: undefined },
    ],
    [{ options: ["idmap", "bind,ridmap=x"] }, { recursive: true, option: 1, text: "x" }],
  ])("%j", (mount, expected) => {
    expect(idMapOf({ destination: "/x", ...mount })).toEqual(expected);
  });

  test("has its mappings in crun's form", () => {
    expect(parseOptionMaps("uids=0-1000-10#@10-5-1;gids=3-4-5")).toEqual({
      uids: [
        { ...mapping(0, 1000, 10), relative: false },
        { ...mapping(10, 5, 1), relative: true },
      ],
      gids: [{ ...mapping(3, 4, 5), relative: false }],
    });
  });

  test.each([
    "",
    "uids",
    "uids=",
    "uids=1-2",
    "uids=1-2-0",
    "uids=1-2-3;uids=1-2-3",
    "pids=1-2-3",
    "uids=-1-2-3",
  ])("%j is not that form", (text) => {
    expect(parseOptionMaps(text)).toBeUndefined();
  });
});
