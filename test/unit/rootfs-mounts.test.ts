import { describe, expect, test } from "vitest";
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  MS_I_VERSION,
  MS_NOSUID,
  MS_REMOUNT,
  MS_SHARED,
  MS_SILENT,
  MS_SLAVE,
  MS_SYNCHRONOUS,
  O_NOFOLLOW,
  OPEN_TREE_CLONE,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
} from "../../src/linux/constants.ts";
import { EAGAIN, EBUSY, EINVAL, ENODEV, ENOENT, EPERM } from "../../src/linux/errno.ts";
import { stepError } from "../../src/plan/perform.ts";
import { mountSteps, pathSteps } from "../../src/rootfs/rootfs.ts";
import type { Mount } from "../../src/spec/config.ts";
import { fds, isSlot, rootfsContext, rootfsSpec, short, smooth, stepsOf, stepsOfLast } from "./rootfs.ts";
import { callNames, calls, fieldsOf, only, straight, tolerated } from "./steps.ts";

const TMPFS: Mount = { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755"] };

describe("a new file system", () => {
  test("is made and attached by descriptor", () => {
    const steps = stepsOf({ destination: "/proc", type: "proc", source: "proc" });
    expect(short(straight(steps))).toEqual([
      "fsopen proc 1",
      `fsconfig <context> ${FSCONFIG_SET_STRING} source proc 0`,
      "fsconfig <context> 6 0 0 0",
      "fsmount <context> 1 0",
      `openat2 ${fds.rootfs} /proc struct 24`,
      `move_mount <mount> "" <target> "" ${MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH}`,
      `close_range ${fds.temporary} 4294967295 0`,
    ]);
  });

  test("gets each parameter in a step of its own", () => {
    const options = ["size=64k", "nosuid", "noswap", "sync", "lazytime"];
    const set = calls(stepsOf({ destination: "/t", type: "tmpfs", options })).filter(
      ({ call, args }) => call === "fsconfig" && args[1] !== 6,
    );
    expect(set.map(({ args }) => args.slice(1))).toEqual([
      [FSCONFIG_SET_STRING, "size", "64k", 0],
      [FSCONFIG_SET_FLAG, "noswap", 0, 0],
      [FSCONFIG_SET_FLAG, "sync", 0, 0],
      [FSCONFIG_SET_FLAG, "lazytime", 0, 0],
    ]);
  });

  test("names the parameter that the kernel refuses, and what is wrong with it", () => {
    const steps = stepsOf({ destination: "/dev/shm", type: "tmpfs", options: ["size=64x"] });
    const step = calls(steps).find(({ args }) => args[2] === "size");
    const error = stepError(step, EINVAL);
    expect(error.message).toBe('mounts[0] /dev/shm: tmpfs option "size=64x": invalid argument');
    expect(error.hint).toBe("size takes a number with an optional k, m, g or % suffix");
  });

  test("has its attributes from the begin, recursive options included", () => {
    const options = ["nosuid", "nodev", "strictatime", "rnoexec", "ro"];
    const { args } = only(stepsOf({ destination: "/sys", type: "sysfs", options }), "fsmount");
    const expected =
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
    expect(args[2]).toBe(expected);
  });

  test("is told that it is read-only only where its superblock is its own", () => {
    const flags = (type: string) =>
      calls(stepsOf({ destination: "/x", type, source: "s", options: ["ro"] })).filter(
        ({ args }) => args[2] === "ro",
      );
    expect(flags("ext4")).toHaveLength(1);
    expect(flags("overlay")).toHaveLength(1);
    for (const type of ["sysfs", "cgroup2", "mqueue", "devpts", "tmpfs"]) expect(flags(type)).toEqual([]);
  });

  test("changes its propagation once it is attached, in the order of the options", () => {
    const steps = smooth(stepsOf({ destination: "/t", type: "tmpfs", options: ["rslave", "shared"] }));
    const attached = steps.findIndex(({ call }) => call === "move_mount");
    const changes = steps.slice(attached + 1).filter(({ call }) => call === "mount_setattr");
    expect(changes.map(({ args }) => [args[2], fieldsOf(args[3]).propagation])).toEqual([
      [AT_EMPTY_PATH | AT_RECURSIVE, MS_SLAVE],
      [AT_EMPTY_PATH, MS_SHARED],
    ]);
  });

  test("goes through mount(2) for what fsconfig has no word for", () => {
    const mount = {
      destination: "/t",
      type: "tmpfs",
      options: ["iversion", "silent", "nosuid", "sync", "size=1k"],
    };
    const steps = stepsOf(mount);
    expect(callNames(steps)).not.toContain("fsopen");
    const { args } = only(steps, "mount");
    expect(args).toEqual([
      "tmpfs",
      ".",
      "tmpfs",
      MS_I_VERSION | MS_SILENT | MS_NOSUID | MS_SYNCHRONOUS,
      "size=1k",
    ]);
    const names = callNames(smooth(steps));
    expect(names.indexOf("fchdir")).toBe(names.indexOf("mount") - 1);
  });

  test("goes through mount(2) for a value longer than fsconfig takes", () => {
    const lowerdir = `lowerdir=${"/layer".repeat(60)}`;
    const steps = stepsOf({ destination: "/t", type: "overlay", source: "overlay", options: [lowerdir] });
    expect(only(steps, "mount").args[4]).toBe(lowerdir);
  });
});

describe("a target", () => {
  const how = (mount: Mount) => {
    const open = calls(stepsOf(mount)).find(({ call, args }) => call === "openat2" && args[0] === fds.rootfs);
    return fieldsOf(open?.args[2]);
  };

  test("is looked up inside the rootfs", () => {
    expect(how({ destination: "/a", type: "tmpfs" }).resolve).toBe(RESOLVE_IN_ROOT);
  });

  test("of proc and sysfs may have no symlink: CVE-2023-27561", () => {
    const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
    expect(how({ destination: "/proc", type: "proc" }).resolve).toBe(resolve);
    expect(how({ destination: "/sys", type: "sysfs" }).resolve).toBe(resolve);
    expect(how({ destination: "/proc/uptime", source: "/u", options: ["bind"] }).resolve).toBe(resolve);
  });

  test("with dest-nofollow is the symlink itself", () => {
    const bind = { destination: "/a", source: "/s", options: ["bind", "dest-nofollow"] };
    expect((how(bind).flags ?? 0) & O_NOFOLLOW).toBe(O_NOFOLLOW);
  });

  test("is made by the runtime when it is missing", () => {
    const context = rootfsContext();
    const steps = stepsOf({ destination: "a//b/../c", type: "tmpfs", options: ["mode=1"] }, context);
    const first = calls(steps).find(({ call }) => call === "openat2");
    expect(first?.args[1]).toBe("/a/c");
    expect(Object.keys(tolerated(first as never)).map(Number)).toEqual([ENOENT, EAGAIN]);
    expect(context.requests.list).toContainEqual({
      kind: "make-path",
      path: "/a/c",
      type: "directory",
      of: "mounts[0]",
    });
  });

  test("of a bind is made as what the source is", () => {
    const context = rootfsContext();
    stepsOf({ destination: "/f", source: "/s", options: ["bind"] }, context);
    const types = context.requests.list.flatMap((request) =>
      request.kind === "make-path" ? [request.type] : [],
    );
    expect(types).toEqual(["file", "directory", "directory"]); // the last is for /dev
  });

  test("in a tmpfs that was just mounted is made without asking", () => {
    const context = rootfsContext();
    const steps = stepsOfLast([TMPFS, { destination: "/dev/pts", type: "devpts" }], context);
    expect(short(steps).filter((line) => /mkdirat|openat2 </.test(line))).toEqual([
      "mkdirat <parent> pts 493",
      "openat2 <parent> pts struct 24",
    ]);
    expect(
      context.requests.list.filter((request) => "path" in request && request.path === "/dev/pts"),
    ).toEqual([]);
  });

  test.each<[string, Mount[]]>([
    ["covered by something else", [TMPFS, { destination: "/dev", source: "/d", options: ["bind"] }]],
    ["filled by tmpcopyup", [{ ...TMPFS, options: ["tmpcopyup"] }]],
    [
      "gone with what lies above it",
      [
        { ...TMPFS, destination: "/dev/a" },
        { ...TMPFS, type: "ext4" },
      ],
    ],
  ])("is not taken for such when the tmpfs is %s", (_, before) => {
    const path = before[0]?.destination === "/dev/a" ? "/dev/a/b" : "/dev/b";
    const steps = stepsOfLast([...before, { destination: path, type: "mqueue" }]);
    expect(callNames(steps)).not.toContain("mkdirat");
    expect(callNames(steps)).toContain("fstatfs");
  });
});

describe("a tmpfs", () => {
  test("inherits the mode of a target that was there, and only of such", () => {
    const steps = stepsOf({ destination: "/t", type: "tmpfs" });
    const chmod = only(steps, "fchmodat");
    expect(chmod.args[1]).toBe(".");
    expect(isSlot(chmod.args[0], "mount")).toBe(true);
    const names = callNames(steps);
    expect(names.indexOf("fchmodat")).toBeLessThan(names.lastIndexOf("openat2"));
    expect(callNames(stepsOf({ ...TMPFS, destination: "/t" }))).not.toContain("fchmodat");
    expect(callNames(stepsOfLast([TMPFS, { destination: "/dev/t", type: "tmpfs" }]))).not.toContain(
      "fchmodat",
    );
  });

  test("with tmpcopyup is filled before it is attached", () => {
    const context = rootfsContext();
    const steps = stepsOf({ destination: "/t", type: "tmpfs", options: ["tmpcopyup"] }, context);
    const [from, to] = [fds.temporary + 8, fds.temporary + 9];
    expect(context.requests.list[0]).toEqual({ kind: "copy-up", path: "/t", of: "mounts[0]", from, to });
    expect(short(steps).filter((line) => line.startsWith("dup3"))).toEqual([
      `dup3 <target> ${from} 0`,
      `dup3 <mount> ${to} 0`,
    ]);
    const names = callNames(straight(steps));
    expect(names.indexOf("dup3")).toBeLessThan(names.indexOf("move_mount"));
  });

  test("is read-only only in the end, as is /dev", () => {
    const mounts: Mount[] = [
      { destination: "/t", type: "tmpfs", options: ["ro"] },
      { destination: "/dev", type: "devtmpfs", options: ["ro"] },
      { destination: "/sys", type: "sysfs", options: ["ro"] },
      { destination: "/u", type: "tmpfs", options: ["ro"] },
      { destination: "/u", source: "/s", options: ["bind"] },
    ];
    const spec = rootfsSpec({ mounts });
    const made = calls(mountSteps(spec, rootfsContext())).filter(({ call }) => call === "fsmount");
    expect(made.map(({ args }) => args[2])).toEqual([0, 0, MOUNT_ATTR_RDONLY, 0]);
    const final = calls(pathSteps(spec, rootfsContext())).map(({ call, path, args }) => [
      call,
      path,
      args[1],
    ]);
    expect(final).toEqual([
      ["mount_setattr", "mounts[0]", "/t"],
      ["mount_setattr", "mounts[1]", "/dev"],
    ]);
  });
});

describe("a bind mount", () => {
  test("is a copy of the source's mount, changed before the container sees it", () => {
    const steps = smooth(
      stepsOf({ destination: "/d", source: "/s", type: "none", options: ["rbind", "ro", "exec", "rnosuid"] }),
    );
    expect(steps.slice(0, 3).map(({ call }) => call)).toEqual([
      "open_tree",
      "mount_setattr",
      "mount_setattr",
    ]);
    const [tree, own, recursive] = steps;
    expect(tree?.args[1]).toBe("/s");
    expect(Number(tree?.args[2]) & (OPEN_TREE_CLONE | AT_RECURSIVE)).toBe(OPEN_TREE_CLONE | AT_RECURSIVE);
    expect(own?.args[2]).toBe(AT_EMPTY_PATH);
    expect(fieldsOf(own?.args[3])).toMatchObject({
      attr_set: MOUNT_ATTR_RDONLY,
      attr_clr: MOUNT_ATTR_NOEXEC,
    });
    expect(recursive?.args[2]).toBe(AT_EMPTY_PATH | AT_RECURSIVE);
    expect(fieldsOf(recursive?.args[3])).toMatchObject({ attr_set: MOUNT_ATTR_NOSUID, attr_clr: 0 });
  });

  test("leaves attributes alone that no option names", () => {
    const steps = stepsOf({ destination: "/d", source: "/s", options: ["bind"] });
    expect(callNames(steps)).not.toContain("mount_setattr");
    expect(Number(only(steps, "open_tree").args[2]) & AT_RECURSIVE).toBe(0);
  });

  test("clears the whole field of access times to set one", () => {
    const steps = stepsOf({ destination: "/d", source: "/s", options: ["bind", "relatime"] });
    expect(fieldsOf(only(steps, "mount_setattr").args[3])).toMatchObject({
      attr_set: 0,
      attr_clr: MOUNT_ATTR__ATIME,
    });
  });

  test("says that a locked option cannot be cleared", () => {
    const steps = stepsOf({ destination: "/d", source: "/s", options: ["bind", "rw"] });
    expect(stepError(only(steps, "mount_setattr"), EPERM).hint).toMatch(/cannot be cleared/);
  });

  test("is one by its options, whatever the type, and with type bind", () => {
    for (const mount of [
      { destination: "/d", source: "/s", type: "tmpfs", options: ["bind"] },
      { destination: "/d", source: "/s", type: "bind" },
    ]) {
      expect(callNames(stepsOf(mount))).toContain("open_tree");
      expect(callNames(stepsOf(mount))).not.toContain("fsopen");
    }
  });

  test("has a source relative to the bundle", () => {
    const steps = stepsOf({ destination: "d", source: "../s/./x", options: ["bind"] });
    expect(only(steps, "open_tree").args[1]).toBe("/s/x");
  });

  test("with src-nofollow is one of the symlink itself", () => {
    const steps = stepsOf({ destination: "/d", source: "/s", options: ["bind", "src-nofollow"] });
    expect(Number(only(steps, "open_tree").args[2]) & AT_SYMLINK_NOFOLLOW).toBe(AT_SYMLINK_NOFOLLOW);
  });

  test("with copy-symlink makes the symlink anew, and binds what is none", () => {
    const steps = stepsOf({ destination: "/a/d", source: "/s", options: ["bind", "copy-symlink"] });
    const [read] = calls(steps);
    expect(read).toMatchObject({ call: "readlinkat" });
    expect(tolerated(read as never)).toEqual({ [EINVAL]: "no symlink" });
    expect(short(straight(steps)).filter((line) => /symlinkat|open_tree/.test(line))).toEqual([
      "symlinkat &link <parent> d",
    ]);
    expect(callNames(steps)).toContain("open_tree");
  });

  test("remounted changes only what the options name", () => {
    const steps = smooth(stepsOf({ destination: "/d", type: "none", options: ["remount", "bind", "ro"] }));
    expect(steps.map(({ call }) => call)).toEqual(["openat2", "mount_setattr", "close_range"]);
  });
});

test("a remount without bind is one of the file system", () => {
  const steps = stepsOf({ destination: "/d", type: "tmpfs", options: ["remount", "size=1k"] });
  expect(only(steps, "mount").args.slice(3)).toEqual([MS_REMOUNT, "size=1k"]);
});

describe("what a mount may cover", () => {
  const refused = (mount: Mount) => () => stepsOf(mount);

  test("is not the root", () => {
    expect(refused({ destination: "/", type: "tmpfs" })).toThrow(
      "mounts[0] /: a mount cannot cover the root",
    );
    expect(refused({ destination: "/a/..", type: "tmpfs" })).toThrow("cannot cover the root");
  });

  test("is /proc only for a procfs: CVE-2019-19921", () => {
    expect(refused({ destination: "/proc", type: "tmpfs" })).toThrow("tmpfs cannot be mounted on /proc");
    expect(refused({ destination: "//proc/.", type: "ext4", source: "/dev/x" })).toThrow(
      "cannot be mounted on /proc",
    );
    const bind = stepsOf({ destination: "/proc", source: "/p", options: ["rbind"] });
    const check = only(bind, "fstatfs");
    expect(isSlot(check.args[0], "mount")).toBe(true);
    expect(bind.find(({ kind }) => kind === "fail")).toMatchObject({ what: "the source is not a procfs" });
  });

  test("is nothing inside /proc but a few files", () => {
    expect(refused({ destination: "/proc/sys", source: "/s", options: ["bind"] })).toThrow("inside /proc");
    expect(refused({ destination: "/proc/self/attr", type: "tmpfs" })).toThrow("inside /proc");
    expect(refused({ destination: "/proc/cpuinfo", source: "/s", options: ["bind"] })).not.toThrow();
  });

  test("is no procfs either when a symlink leads there", () => {
    const steps = stepsOf({ destination: "/d", source: "/s", options: ["bind"] });
    expect(isSlot(only(steps, "fstatfs").args[0], "target")).toBe(true);
    expect(steps.find(({ kind }) => kind === "fail")).toBeDefined();
    const failure = steps.filter((step) => step.kind === "fail").map(({ what }) => what);
    expect(failure).toContain("the destination leads into a procfs");
  });
});

test.each<[string, Mount, string]>([
  ["data on a bind", { destination: "/d", source: "/s", options: ["bind", "foo=1"] }, 'no option "foo=1"'],
  ["no type", { destination: "/d", source: "/s" }, "type is missing"],
  ["a bind without source", { destination: "/d", options: ["bind"] }, "needs a source"],
  [
    "tmpcopyup elsewhere",
    { destination: "/d", type: "ext4", options: ["tmpcopyup"] },
    "not possible with ext4",
  ],
  ["tmpcopyup and silent", { destination: "/d", type: "tmpfs", options: ["tmpcopyup", "silent"] }, "silent"],
  [
    "an id-mapped mount that only mount(2) makes",
    { destination: "/d", type: "ext4", source: "/s", options: ["idmap", "silent"] },
    "not possible with silent",
  ],
])("refuses %s", (_, mount, message) => {
  expect(() => stepsOf(mount)).toThrow(message);
});

describe("the cgroup mount", () => {
  const mount: Mount = {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid"],
  };
  const sources = (steps: ReturnType<typeof stepsOf>) =>
    calls(steps)
      .filter(({ call }) => call === "open_tree")
      .map(({ args }) => args[1]);

  test("in a cgroup namespace is a new one, or else shows the container's cgroup", () => {
    const steps = stepsOf(mount);
    expect(smooth(steps)[0]?.args[0]).toBe("cgroup2");
    const made = calls(steps).filter((step) => Object.values(tolerated(step)).includes("own cgroup"));
    expect(made.map(({ call }) => call)).toEqual(["fsopen", "fsconfig", "fsmount"]);
    for (const step of made) expect(Object.keys(tolerated(step)).map(Number)).toEqual([EPERM, EBUSY, ENODEV]);
    expect(sources(steps)).toEqual(["/sys/fs/cgroup/box"]);
  });

  test("without one shows the host's mount, whose options stay", () => {
    const steps = stepsOf(mount, rootfsContext({ cgroupNamespace: false }));
    expect(sources(steps)).toEqual(["/sys/fs/cgroup"]);
    expect(calls(straight(steps)).map(({ call }) => call)).not.toContain("fsopen");
    expect(fieldsOf(smooth(steps)[1]?.args[3]).attr_set).toBe(MOUNT_ATTR_NOSUID);
  });

  test("never shows the host's cgroups writable in a user namespace: CVE-2023-25809", () => {
    const context = rootfsContext({ cgroupNamespace: false, userNamespace: true });
    const steps = stepsOf({ ...mount, options: ["rw"] }, context);
    expect(fieldsOf(smooth(steps)[1]?.args[3]).attr_set).toBe(MOUNT_ATTR_RDONLY);
  });

  test("without any cgroup is an empty read-only tmpfs", () => {
    const steps = stepsOf(mount, rootfsContext({ cgroupNamespace: false, cgroup: null }));
    expect(only(steps, "fsopen").args[0]).toBe("tmpfs");
    expect(Number(only(steps, "fsmount").args[2]) & MOUNT_ATTR_RDONLY).toBe(MOUNT_ATTR_RDONLY);
  });

  test("of a container without a cgroup of its own is read-only", () => {
    const steps = stepsOf({ ...mount, options: ["rw"] }, rootfsContext({ cgroup: null }));
    const made = smooth(steps).find(({ call }) => call === "fsmount");
    expect(made?.args[2]).toBe(MOUNT_ATTR_RDONLY);
  });
});

describe("sysfs in a user namespace", () => {
  const mount: Mount = { destination: "/sys", type: "sysfs", options: ["nosuid"] };

  test("is the host's, read-only, where the kernel refuses a new one", () => {
    const steps = stepsOf(mount, rootfsContext({ userNamespace: true }));
    expect(tolerated(only(steps, "fsopen"))).toEqual({ [EPERM]: "bind /sys" });
    expect(only(steps, "open_tree").args[1]).toBe("/sys");
    const change = calls(steps).find(({ call }) => call === "mount_setattr");
    expect(change?.args[2]).toBe(AT_EMPTY_PATH | AT_RECURSIVE);
    expect(fieldsOf(change?.args[3]).attr_set).toBe(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
  });

  test("is not otherwise replaced", () => {
    expect(callNames(stepsOf(mount))).not.toContain("open_tree");
  });
});

test("every step of a mount names it", () => {
  const steps = stepsOf({ destination: "/d", source: "/s", options: ["rbind", "ro", "rshared"] });
  for (const step of steps) {
    if (step.kind !== "mark")
      expect(step).toMatchObject({ phase: "mounts", path: "mounts[0]", subject: "/d" });
  }
});
