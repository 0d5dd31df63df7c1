import { describe, expect, test } from "vitest";
import {
  AT_EMPTY_PATH,
  MOUNT_ATTR_RDONLY,
  O_DIRECTORY,
  RESOLVE_NO_MAGICLINKS,
} from "../../src/linux/constants.ts";
import { EACCES, EINVAL, ENOENT, ENOTDIR } from "../../src/linux/errno.ts";
import type { Step } from "../../src/plan/step.ts";
import { mountSteps, pathSteps } from "../../src/rootfs/rootfs.ts";
import type { Spec } from "../../src/spec/config.ts";
import { fds, rootfsContext, rootfsSpec, short } from "./rootfs.ts";
import { callNames, calls, fieldsOf, straight, tolerated } from "./steps.ts";

const paths = (linux: Partial<Spec["linux"]>, root: Spec["root"] = { path: "rootfs" }): Step[] =>
  pathSteps(rootfsSpec({ root, linux }), rootfsContext());

const of = (steps: readonly Step[], path: string) =>
  steps.filter((step) => step.kind !== "mark" && step.path === path);

describe("read-only paths", () => {
  test("are mounted on themselves, in four calls each", () => {
    const steps = paths({ readonlyPaths: ["/proc/sys"] });
    expect(short(steps)).toEqual([
      "openat2 -100 /proc/sys struct 24",
      expect.stringMatching(/^open_tree <target> ""/),
      `mount_setattr <mount> "" ${AT_EMPTY_PATH} struct 32`,
      expect.stringMatching(/^move_mount <mount> "" <target> ""/),
    ]);
    const [open, , change] = calls(steps);
    expect(fieldsOf(change?.args[3])).toMatchObject({ attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0 });
    expect(fieldsOf(open?.args[2]).resolve).toBe(RESOLVE_NO_MAGICLINKS);
  });

  test("may be missing, and count once", () => {
    const steps = paths({ readonlyPaths: ["/a", "/a/", "//a/.", "/b"] });
    const opened = calls(steps).filter(({ call }) => call === "openat2");
    expect(opened.map(({ path, args }) => [path, args[1]])).toEqual([
      ["linux.readonlyPaths[0]", "/a"],
      ["linux.readonlyPaths[3]", "/b"],
    ]);
    for (const step of opened) {
      expect(Object.keys(tolerated(step)).map(Number)).toEqual([ENOENT, EACCES, ENOTDIR]);
    }
  });
});

describe("masked paths", () => {
  test("come after the read-only ones", () => {
    const steps = paths({ readonlyPaths: ["/a"], maskedPaths: ["/a"] });
    const lists = calls(steps).map(({ path }) => path.replace(/\[.*/, ""));
    expect(lists.lastIndexOf("linux.readonlyPaths")).toBeLessThan(lists.indexOf("linux.maskedPaths"));
  });

  test("share one small read-only tmpfs", () => {
    const steps = paths({ maskedPaths: ["/a", "/b", "/a/"] });
    expect(callNames(steps).filter((name) => name === "fsmount")).toHaveLength(1);
    const set = calls(steps).filter(({ call, args }) => call === "fsconfig" && args[2] !== 0);
    expect(set.map(({ args }) => args.slice(2, 4))).toEqual([
      ["source", "tmpfs"],
      ["nr_blocks", "1"],
      ["nr_inodes", "2"],
    ]);
    const made = calls(steps).find(({ call }) => call === "fsmount");
    expect(Number(made?.args[2]) & MOUNT_ATTR_RDONLY).toBe(MOUNT_ATTR_RDONLY);
    expect(of(steps, "linux.maskedPaths[2]")).toEqual([]);
  });

  test("are covered with the tmpfs when they are directories, else with the null device", () => {
    const steps = of(paths({ maskedPaths: ["/a"] }), "linux.maskedPaths[0]");
    const [directory, ofEmpty, , , anything, ofNull] = calls(steps);
    expect(Number(fieldsOf(directory?.args[2]).flags) & O_DIRECTORY).toBe(O_DIRECTORY);
    expect(tolerated(directory as never)).toEqual({
      [ENOENT]: "next path",
      [EACCES]: "next path",
      [ENOTDIR]: "no directory",
    });
    expect(ofEmpty?.args[0]).toBe(fds.temporary);
    expect(Number(fieldsOf(anything?.args[2]).flags) & O_DIRECTORY).toBe(0);
    expect(ofNull?.args[0]).toBe(fds.plan);
  });

  test("take the mount itself where the kernel cannot copy one that is attached nowhere", () => {
    const steps = of(paths({ maskedPaths: ["/proc/kcore"] }), "linux.maskedPaths[0]");
    expect(callNames(steps)).toEqual(["openat2", "open_tree", "move_mount", "move_mount"]);
    const [, copy, , itself] = calls(steps);
    expect(tolerated(copy as never)).toEqual({ [EINVAL]: "the mount itself" });
    expect(itself?.args[0]).toBe(fds.plan);
  });

  test("never run out of descriptors", () => {
    const many = Array.from({ length: 100 }, (_, i) => `/m${i}`);
    const closings = calls(paths({ maskedPaths: many, readonlyPaths: many })).filter(
      ({ call }) => call === "close_range",
    );
    expect(closings.length).toBeGreaterThanOrEqual(12);
    expect(closings.every(({ args }) => Number(args[0]) >= fds.temporary)).toBe(true);
  });

  test("cost nothing when there are none", () => {
    expect(paths({ maskedPaths: [] })).toEqual([]);
  });

  test("are covered with a verified null device of the host: CVE-2025-31133", () => {
    const steps = of(mountSteps(rootfsSpec(), rootfsContext()), "");
    const taken = steps.filter(
      (step) => step.kind !== "mark" && step.subject === "/dev/null" && step.phase === "rootfs",
    );
    expect(callNames(taken)).toEqual(["open_tree", "statx", "dup3", "close"]);
    expect(taken.filter((step) => step.kind === "fail")).toHaveLength(2);
    expect(calls(taken).find(({ call }) => call === "dup3")?.args[1]).toBe(fds.plan);
  });
});

test("a read-only root comes last, and leaves what is mounted in it", () => {
  const steps = paths({ maskedPaths: ["/a"] }, { path: "rootfs", readonly: true });
  const last = calls(steps).at(-1);
  expect(last).toMatchObject({ call: "mount_setattr", path: "root.readonly" });
  expect(last?.args.slice(0, 3)).toEqual([fds.rootfs, "", AT_EMPTY_PATH]);
});

test("without a failure, a default container takes few calls", () => {
  const spec = rootfsSpec({
    linux: { maskedPaths: ["/proc/kcore", "/proc/keys"], readonlyPaths: ["/proc/bus", "/proc/sys"] },
  });
  // Four for each read-only path, three for each masked one, eight to make and close the tmpfs.
  expect(calls(straight(pathSteps(spec, rootfsContext()))).length).toBe(2 * 4 + 2 * 3 + 9);
});
