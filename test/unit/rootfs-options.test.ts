import { describe, expect, test } from "vitest";
import {
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_RELATIME,
  MOUNT_ATTR_STRICTATIME,
  MS_I_VERSION,
  MS_PRIVATE,
  MS_SHARED,
  MS_SILENT,
  MS_SLAVE,
  MS_UNBINDABLE,
} from "../../src/linux/constants.ts";
import { mountOptionNames, parseMountOptions } from "../../src/rootfs/mount-options.ts";

const NONE = { set: 0, clear: 0 };

describe("attributes of a mount", () => {
  const flags = [
    ["ro", "rw", MOUNT_ATTR_RDONLY],
    ["nosuid", "suid", MOUNT_ATTR_NOSUID],
    ["nodev", "dev", MOUNT_ATTR_NODEV],
    ["noexec", "exec", MOUNT_ATTR_NOEXEC],
    ["nodiratime", "diratime", MOUNT_ATTR_NODIRATIME],
    ["nosymfollow", "symfollow", MOUNT_ATTR_NOSYMFOLLOW],
  ] as const;

  test.each(flags)("%s sets, %s clears", (on, off, flag) => {
    expect(parseMountOptions([on]).attributes).toEqual({ set: flag, clear: 0 });
    expect(parseMountOptions([off]).attributes).toEqual({ set: 0, clear: flag });
    expect(parseMountOptions([on]).recursiveAttributes).toEqual(NONE);
  });

  test.each(flags)("r%s and r%s do so for submounts too", (on, off, flag) => {
    expect(parseMountOptions([`r${on}`]).recursiveAttributes).toEqual({ set: flag, clear: 0 });
    expect(parseMountOptions([`r${off}`]).recursiveAttributes).toEqual({ set: 0, clear: flag });
    expect(parseMountOptions([`r${on}`]).attributes).toEqual(NONE);
  });

  test.each([
    ["noatime", MOUNT_ATTR_NOATIME],
    ["strictatime", MOUNT_ATTR_STRICTATIME],
    ["relatime", MOUNT_ATTR_RELATIME],
    ["atime", MOUNT_ATTR_RELATIME],
    ["norelatime", MOUNT_ATTR_RELATIME],
    ["nostrictatime", MOUNT_ATTR_RELATIME],
  ])("%s replaces the whole field of access times", (option, value) => {
    const change = { set: value, clear: MOUNT_ATTR__ATIME };
    expect(parseMountOptions([option]).attributes).toEqual(change);
    expect(parseMountOptions([`r${option}`]).recursiveAttributes).toEqual(change);
  });

  test("among contradicting options the last wins", () => {
    expect(parseMountOptions(["ro", "rw"]).attributes).toEqual({ set: 0, clear: MOUNT_ATTR_RDONLY });
    expect(parseMountOptions(["rw", "ro"]).attributes).toEqual({
      set: MOUNT_ATTR_RDONLY,
      clear: MOUNT_ATTR_RDONLY,
    });
    expect(parseMountOptions(["noatime", "strictatime"]).attributes.set).toBe(MOUNT_ATTR_STRICTATIME);
  });
});

describe("other options", () => {
  test("bind and rbind", () => {
    expect(parseMountOptions(["bind"])).toMatchObject({ bind: true, recursive: false });
    expect(parseMountOptions(["rbind"])).toMatchObject({ bind: true, recursive: true });
    expect(parseMountOptions(["rbind", "bind"])).toMatchObject({ bind: true, recursive: true });
    expect(parseMountOptions(["defaults"])).toMatchObject({ bind: false, data: [] });
    expect(parseMountOptions(["remount"]).remount).toBe(true);
  });

  test.each([
    ["private", MS_PRIVATE],
    ["slave", MS_SLAVE],
    ["shared", MS_SHARED],
    ["unbindable", MS_UNBINDABLE],
  ])("propagation %s", (option, type) => {
    expect(parseMountOptions([option]).propagation).toEqual([{ type, recursive: false }]);
    expect(parseMountOptions([`r${option}`]).propagation).toEqual([{ type, recursive: true }]);
  });

  test("propagation options stay in their order", () => {
    const types = parseMountOptions(["rslave", "shared"]).propagation.map(({ type }) => type);
    expect(types).toEqual([MS_SLAVE, MS_SHARED]);
  });

  test.each(["sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime"])(
    "%s is for the superblock",
    (option) => expect(parseMountOptions([option]).superblock).toEqual([option]),
  );

  test.each([
    ["rsync", "sync"],
    ["rasync", "async"],
    ["rdirsync", "dirsync"],
    ["rmand", "mand"],
    ["rnomand", "nomand"],
  ])("%s means %s", (option, flag) => {
    expect(parseMountOptions([option]).superblock).toEqual([flag]);
  });

  test("what only mount(2) can pass on", () => {
    expect(parseMountOptions(["iversion", "silent"]).mountFlags).toBe(MS_I_VERSION | MS_SILENT);
    expect(parseMountOptions(["iversion", "silent", "loud", "noiversion"]).mountFlags).toBe(0);
  });

  test.each(["tmpcopyup", "copy-symlink", "src-nofollow", "dest-nofollow", "idmap", "ridmap"] as const)(
    "extension %s",
    (option) => expect([...parseMountOptions([option]).extensions]).toEqual([option]),
  );

  test("an id map of its own makes a mount id-mapped", () => {
    expect(parseMountOptions(["idmap=uids=0-1-2"]).extensions.has("idmap")).toBe(true);
    expect(parseMountOptions(["ridmap=gids=0-1-2"]).extensions.has("ridmap")).toBe(true);
  });
});

describe("parameters of the file system", () => {
  test("key and value, or a bare word", () => {
    expect(parseMountOptions(["size=64k", "newinstance", "context=a=b", "=x"]).data).toEqual([
      { text: "size=64k", key: "size", value: "64k" },
      { text: "newinstance", key: "newinstance", value: undefined },
      { text: "context=a=b", key: "context", value: "a=b" },
      { text: "=x", key: "=x", value: undefined },
    ]);
  });

  test("one string may hold several, but not where a comma is quoted or escaped", () => {
    const parsed = parseMountOptions(["ro,size=1k", 'context="s0:c1,c2"', "lowerdir=/a\\,b:/c", ""]);
    expect(parsed.attributes.set).toBe(MOUNT_ATTR_RDONLY);
    expect(parsed.data.map(({ text }) => text)).toEqual([
      "size=1k",
      'context="s0:c1,c2"',
      "lowerdir=/a\\,b:/c",
    ]);
  });

  test("names of Object.prototype are parameters like others", () => {
    expect(parseMountOptions(["constructor", "toString"]).data).toHaveLength(2);
  });
});

test("the names for features are sorted and all known", () => {
  const names = mountOptionNames();
  expect(names).toEqual([...names].sort());
  expect(names).toEqual(expect.arrayContaining(["bind", "rro", "tmpcopyup", "iversion", "nosymfollow"]));
  expect(names).toContain("idmap");
  expect(parseMountOptions(names).data).toEqual([]);
});
