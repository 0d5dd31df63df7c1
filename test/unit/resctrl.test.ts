import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { perform } from "../../src/plan/perform.ts";
import { changeSchemata } from "../../src/resctrl/change.ts";
import {
  joinSteps,
  makeStep,
  planGroup,
  removeGroup,
  resctrlMount,
  schemataOf,
} from "../../src/resctrl/group.ts";
import type { IntelRdt } from "../../src/spec/linux.ts";
import { calls } from "./steps.ts";

/*
 * No machine of ours has resctrl, so that a plain directory stands in: what is written, and where, is the same. What the kernel
 * would make in a new group (its files) the tests make.
 */
let mount = "";

beforeEach(() => {
  mount = mkdtempSync(join(tmpdir(), "berth-resctrl-"));
  mkdirSync(join(mount, "mon_groups"));
  addFiles(mount, "L3:0=fff;1=fff\nMB:0=100;1=100\n");
});
afterEach(() => rmSync(mount, { recursive: true }));

function addFiles(path: string, schemata = ""): void {
  writeFileSync(join(path, "schemata"), schemata);
  writeFileSync(join(path, "tasks"), "");
  mkdirSync(join(path, "mon_groups"), { recursive: true });
}

const plan = (rdt: IntelRdt) => planGroup(rdt, "box", mount);
const text = (file: string) => readFileSync(join(mount, file), "utf8");

describe("the mount", () => {
  test("is found in mountinfo by its type", () => {
    const mountinfo = [
      "22 1 0:21 / /proc rw shared:5 - proc proc rw",
      "40 22 0:35 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw",
    ];
    expect(resctrlMount(mountinfo.join("\n"))).toBe("/sys/fs/resctrl");
    expect(resctrlMount(mountinfo[0] ?? "")).toBeUndefined();
    expect(resctrlMount("40 22 0:35 / /resctrl rw - tmpfs resctrl rw")).toBeUndefined();
  });

  test("is needed", () => {
    expect(() => planGroup({}, "box", undefined)).toThrow(
      "linux.intelRdt: no resctrl file system is mounted",
    );
  });
});

describe("the class of service", () => {
  test("without closID has the container's id, and goes with it", () => {
    const group = plan({ schemata: ["L3:0=f"] });
    expect(group).toEqual({
      path: join(mount, "box"),
      monitoring: undefined,
      made: [join(mount, "box")],
      owned: [join(mount, "box")],
      schemata: ["L3:0=f"],
    });
    mkdirSync(join(mount, "box"));
    expect(() => plan({})).toThrow(`linux.intelRdt: "${join(mount, "box")}" exists already`);
  });

  test("with closID and no schema must be there", () => {
    expect(() => plan({ closID: "gold" })).toThrow('linux.intelRdt.closID "gold": there is no');
    mkdirSync(join(mount, "gold"));
    expect(plan({ closID: "gold" })).toMatchObject({ made: [], owned: [], schemata: [] });
  });

  test("with closID and a schema is made, and stays for others", () => {
    expect(plan({ closID: "gold", l3CacheSchema: "L3:0=f" })).toMatchObject({
      made: [join(mount, "gold")],
      owned: [],
      schemata: ["L3:0=f"],
    });
  });

  test("that is there already must have the limits that are asked for, and is not changed", () => {
    mkdirSync(join(mount, "gold"));
    addFiles(join(mount, "gold"), "    L3:0=00f;1=0ff\n    MB:0= 20;1= 70\n");
    const rdt = { closID: "gold", l3CacheSchema: "L3:0=f", memBwSchema: "MB:1=70" };
    expect(plan(rdt)).toMatchObject({ made: [], schemata: [] });
    expect(() => plan({ ...rdt, memBwSchema: "MB:1=80" })).toThrow('with other limits than "MB:1=80"');
    expect(() => plan({ ...rdt, schemata: ["L2:0=f"] })).toThrow('with other limits than "L2:0=f"');
  });

  test("/ is the root of resctrl", () => {
    const group = plan({ closID: "/", enableMonitoring: true });
    expect(group).toMatchObject({ path: mount, schemata: [] });
    expect(group.monitoring).toBe(join(mount, "mon_groups/box"));
    expect(group.made).toEqual([join(mount, "mon_groups/box")]);
    expect(group.owned).toEqual(group.made);
  });
});

describe("the lines of schemata", () => {
  test.each<[IntelRdt, string[]]>([
    [{}, []],
    [{ l3CacheSchema: "L3:0=f" }, ["L3:0=f"]],
    [{ memBwSchema: "MB:0=20" }, ["MB:0=20"]],
    [{ l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20" }, ["L3:0=f", "MB:0=20"]],
    [{ l3CacheSchema: "L3:0=f\nMB:0=50", memBwSchema: "MB:0=20" }, ["L3:0=f", "MB:0=20"]],
    [{ l3CacheSchema: "L3:0=f\nMB:0=50" }, ["L3:0=f", "MB:0=50"]],
    [{ l3CacheSchema: "L3:0=f", schemata: ["L2:0=3", "MB:0=30"] }, ["L3:0=f", "L2:0=3", "MB:0=30"]],
  ])("of %j", (rdt, lines) => {
    expect(schemataOf(rdt)).toEqual(lines);
  });
});

describe("what is done", () => {
  test("the group is made, limited line by line, and joined", () => {
    const group = plan({ schemata: ["L3:0=f", "MB:0=20"], enableMonitoring: true });
    expect(group.made).toEqual([join(mount, "box/mon_groups/box"), join(mount, "box")]);
    perform([makeStep(group.path)]);
    addFiles(group.path);
    perform([makeStep(group.monitoring ?? "")]);
    addFiles(group.monitoring ?? "");
    perform(joinSteps(group, "4711"));
    expect(text("box/tasks")).toBe("4711");
    expect(text("box/mon_groups/box/tasks")).toBe("4711");
    // A plain file keeps only the last of writes that each begin at its start, as the kernel takes them.
    expect(text("box/schemata")).toBe("MB:0=20\n");
    const writes = calls(joinSteps(group, "4711")).filter(({ call }) => call === "write");
    expect(writes.map(({ args }) => args[1])).toEqual(["L3:0=f\n", "MB:0=20\n", "4711", "4711"]);
  });

  test("what is deprecated has no effect", () => {
    const old = plan({ enableCMT: true, enableMBM: true });
    expect(old).toEqual(plan({}));
    expect(old.monitoring).toBeUndefined();
  });

  test("measuring needs counters", () => {
    rmSync(join(mount, "mon_groups"), { recursive: true });
    expect(() => plan({ closID: "/", enableMonitoring: true })).toThrow(
      "linux.intelRdt.enableMonitoring: this CPU or kernel cannot measure",
    );
  });

  test("a directory that cannot be made is named", () => {
    expect(() => perform([makeStep(join(mount, "no/such"))])).toThrow(
      `linux.intelRdt ${join(mount, "no/such")}: make the resctrl group: no such file or directory`,
    );
  });

  test("what was made goes, the innermost first, and may be gone already", () => {
    mkdirSync(join(mount, "a/b"), { recursive: true });
    removeGroup([join(mount, "a/b"), join(mount, "gone"), join(mount, "a")]);
    expect(existsSync(join(mount, "a"))).toBe(false);
  });
});

describe("an update", () => {
  const rdt = { closID: "guests", l3CacheSchema: "L3:0=f" };
  const warn = (message: string) => {
    throw new Error(message);
  };
  beforeEach(() => {
    mkdirSync(join(mount, "guests"));
    addFiles(join(mount, "guests"), "L3:0=f\n");
  });

  // The kernel takes one line after the other; a plain file holds the last one, for all are of one length.
  test("writes the new schemas to the container's class of service, and can be set back", () => {
    const setBack = changeSchemata(
      rdt,
      "box",
      { l3CacheSchema: "L3:0=3", memBwSchema: "MB:0=2" },
      warn,
      mount,
    );
    expect(text("guests/schemata")).toBe("MB:0=2\n");
    expect(text("schemata")).toBe("L3:0=fff;1=fff\nMB:0=100;1=100\n");
    setBack();
    expect(text("guests/schemata")).toBe("L3:0=f\n");
  });

  test("needs the class of service, and resctrl", () => {
    expect(() => changeSchemata({ closID: "gone" }, "box", { l3CacheSchema: "L3:0=3" }, warn, mount)).toThrow(
      `open "${mount}/gone/schemata": no such file or directory`,
    );
    expect(() => changeSchemata(rdt, "box", { l3CacheSchema: "L3:0=3" }, warn)).toThrow(
      "linux.intelRdt: no resctrl file system is mounted",
    );
  });
});
