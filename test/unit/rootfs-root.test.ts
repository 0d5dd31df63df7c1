import { describe, expect, test } from "vitest";
import {
  AT_RECURSIVE,
  MNT_DETACH,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  OPEN_TREE_CLONE,
} from "../../src/linux/constants.ts";
import { EINVAL } from "../../src/linux/errno.ts";
import { mountSteps, pathSteps, pivotSteps } from "../../src/rootfs/rootfs.ts";
import type { RootfsPropagation } from "../../src/spec/linux.ts";
import { fds, rootfsContext, rootfsSpec, short } from "./rootfs.ts";
import { callNames, calls, fieldsOf, only, straight } from "./steps.ts";

const withPropagation = (rootfsPropagation?: RootfsPropagation) =>
  rootfsSpec({ linux: rootfsPropagation === undefined ? {} : { rootfsPropagation } });

const rootOf = (propagation?: RootfsPropagation, context = rootfsContext()) =>
  mountSteps(withPropagation(propagation), context).filter(
    (step) => step.kind === "mark" || step.phase === "rootfs",
  );

describe("the rootfs", () => {
  test("becomes a private mount on itself, at its descriptor", () => {
    const steps = calls(straight(rootOf())).filter(({ path }) => path === "root.path");
    expect(steps.map(({ call }) => call)).toEqual([
      "open_tree",
      "mount_setattr",
      "move_mount",
      "dup3",
      "close",
    ]);
    const [tree, change, move, dup] = steps;
    expect(tree?.args[1]).toBe("/bundle/rootfs");
    expect(Number(tree?.args[2]) & (OPEN_TREE_CLONE | AT_RECURSIVE)).toBe(OPEN_TREE_CLONE | AT_RECURSIVE);
    expect(fieldsOf(change?.args[3]).propagation).toBe(MS_PRIVATE);
    expect(move?.args.slice(2, 4)).toEqual([-100, "/bundle/rootfs"]);
    expect(dup?.args[1]).toBe(fds.rootfs);
  });

  test.each<[RootfsPropagation | undefined, number]>([
    [undefined, MS_SLAVE | MS_REC],
    ["rslave", MS_SLAVE | MS_REC],
    ["slave", MS_SLAVE],
    ["rprivate", MS_PRIVATE | MS_REC],
    ["private", MS_PRIVATE],
    ["rshared", MS_SHARED | MS_REC],
    ["shared", MS_SHARED],
    ["runbindable", MS_PRIVATE | MS_REC],
    ["unbindable", MS_PRIVATE],
  ])("rootfsPropagation %s: the host's mounts", (propagation, flags) => {
    const first = calls(rootOf(propagation)).find(({ call }) => call === "mount");
    expect(first?.args).toEqual([0, "/", 0, flags, 0]);
  });

  test.each<RootfsPropagation | undefined>([undefined, "rslave", "rprivate", "runbindable"])(
    "rootfsPropagation %s: nothing is left that could reach the host",
    (propagation) => {
      expect(callNames(rootOf(propagation)).filter((name) => name === "mount")).toHaveLength(1);
      const pivot = pivotSteps(withPropagation(propagation), rootfsContext());
      expect(callNames(pivot)).not.toContain("mount_setattr");
    },
  );

  test.each<RootfsPropagation>(["shared", "rshared", "slave", "private", "unbindable"])(
    "rootfsPropagation %s: the mount below the rootfs is not shared, and the host's are let go of as slaves",
    (propagation) => {
      // One that is to follow the host's mounts must go on to hear of them.
      const type = propagation === "slave" ? MS_SLAVE : MS_PRIVATE;
      const made = calls(rootOf(propagation)).filter(
        ({ call, args }) => call === "mount" && args[3] === type,
      );
      expect(made.map(({ args }) => args[1]).slice(-3)).toEqual(["/bundle/rootfs", "/bundle", "/"]);
      const pivot = pivotSteps(withPropagation(propagation), rootfsContext());
      expect(callNames(pivot)).toEqual([
        "openat",
        "fchdir",
        "pivot_root",
        "mount_setattr",
        "fchdir",
        "umount2",
        "chdir",
      ]);
      const change = only(pivot, "mount_setattr");
      expect(fieldsOf(change.args[3]).propagation).toBe(MS_SLAVE);
      expect(Number(change.args[2]) & AT_RECURSIVE).toBe(AT_RECURSIVE);
    },
  );

  test.each<[RootfsPropagation | undefined, number | undefined, boolean]>([
    [undefined, undefined, false],
    ["rslave", undefined, false],
    ["private", undefined, false],
    ["shared", MS_SHARED, false],
    ["rshared", MS_SHARED, true],
    ["unbindable", MS_UNBINDABLE, false],
    ["runbindable", MS_UNBINDABLE, true],
  ])("rootfsPropagation %s: the container's root in the end", (propagation, type, recursive) => {
    const [change] = calls(pathSteps(withPropagation(propagation), rootfsContext()));
    if (type === undefined) return expect(change).toBeUndefined();
    expect(change?.args[0]).toBe(fds.rootfs);
    expect(fieldsOf(change?.args[3]).propagation).toBe(type);
    return expect((Number(change?.args[2]) & AT_RECURSIVE) !== 0).toBe(recursive);
  });

  test("that is to follow the host stays a slave", () => {
    const steps = calls(rootOf("rslave")).filter(({ path }) => path === "root.path");
    expect(steps.map(({ call }) => call)).not.toContain("mount_setattr");
  });
});

describe("the pivot", () => {
  test("takes four calls", () => {
    expect(short(pivotSteps(rootfsSpec(), rootfsContext()))).toEqual([
      `fchdir ${fds.rootfs}`,
      "pivot_root . .",
      `umount2 . ${MNT_DETACH}`,
      "chdir /",
    ]);
  });

  test("with --no-pivot is a move and a chroot, after the host's proc and sysfs are gone", () => {
    const steps = straight(pivotSteps(rootfsSpec(), rootfsContext({ noPivot: true })));
    const lines = short(steps).map((line) => line.split(" ").slice(0, 2).join(" "));
    expect(lines).toEqual([
      "mount 0",
      "umount2 /proc",
      "mount 0",
      "umount2 /sys",
      `move_mount ${fds.rootfs}`,
      `fchdir ${fds.rootfs}`,
      "chroot .",
      "chdir /",
    ]);
  });

  test.each<RootfsPropagation>(["private", "rprivate"])("with --no-pivot cannot be %s", (propagation) => {
    const context = rootfsContext({ noPivot: true });
    expect(() => mountSteps(withPropagation(propagation), context)).toThrow("not possible with --no-pivot");
  });

  test("explains itself on an initramfs", () => {
    const { hints } = only(pivotSteps(rootfsSpec(), rootfsContext()), "pivot_root");
    expect(hints?.[EINVAL]).toContain("--no-pivot");
  });
});

describe("without a mount namespace", () => {
  const shared = { namespaces: [] };

  test("only the root changes", () => {
    const spec = rootfsSpec({ linux: shared });
    const steps = mountSteps(spec, rootfsContext());
    expect(callNames(steps)).not.toContain("move_mount");
    expect(callNames(steps)).not.toContain("mount");
    expect(callNames(pivotSteps(spec, rootfsContext()))).toEqual(["fchdir", "chroot", "chdir"]);
    expect(pathSteps(spec, rootfsContext())).toEqual([]);
  });

  test.each([
    ["mounts", rootfsSpec({ linux: shared, mounts: [{ destination: "/a", type: "tmpfs" }] })],
    ["linux.maskedPaths", rootfsSpec({ linux: { ...shared, maskedPaths: ["/a"] } })],
    ["linux.readonlyPaths", rootfsSpec({ linux: { ...shared, readonlyPaths: ["/a"] } })],
    ["linux.rootfsPropagation", rootfsSpec({ linux: { ...shared, rootfsPropagation: "rslave" } })],
    ["root.readonly", rootfsSpec({ linux: shared, root: { path: "r", readonly: true } })],
  ])("%s would be made on the host, and is refused", (name, spec) => {
    expect(() => mountSteps(spec, rootfsContext())).toThrow(
      `${name}: not possible in the host's mount namespace`,
    );
  });
});
