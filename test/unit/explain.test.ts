import { describe, expect, test } from "vitest";
import { cgroupSteps } from "../../src/cgroups/cgroup.ts";
import { groupsText } from "../../src/cli/explain.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_REC,
  O_CLOEXEC,
  O_CREAT,
  O_NOFOLLOW,
  O_PATH,
  O_WRONLY,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_PDEATHSIG,
  PROC_SUPER_MAGIC,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  SIGKILL,
  TIOCSCTTY,
} from "../../src/linux/constants.ts";
import { EEXIST, ENOENT } from "../../src/linux/errno.ts";
import type { SyscallName } from "../../src/linux/numbers.ts";
import { ALL32, addressOf, label, mark, serving, slot, stringArray } from "../../src/plan/build.ts";
import { type ExplainedStep, explainPlan } from "../../src/plan/explain.ts";
import { parametersOf } from "../../src/plan/signatures.ts";
import type { Step, Value } from "../../src/plan/step.ts";
import { mountAttr, openHow } from "../../src/rootfs/structs.ts";
import { compile } from "../../src/runtime/compile.ts";
import { defaultSpec } from "../../src/spec/default.ts";
import { calls } from "./steps.ts";

const at = serving("mounts", "mounts[3]", "/data");

function explained(...steps: Step[]): readonly ExplainedStep[] {
  return explainPlan([{ by: "init", steps }], new Map([[6, "rootfs"]])).flatMap((group) => group.steps);
}

function argumentsOf(call: SyscallName, args: readonly Value[]): Readonly<Record<string, string>> {
  const [step] = explained(at.call(call, args));
  if (step?.kind !== "call") throw new Error("not a call");
  return step.arguments;
}

describe("arguments by name", () => {
  test.each<[SyscallName, readonly Value[], Record<string, string>]>([
    [
      "openat",
      [AT_FDCWD, "/a\n", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644],
      { dirfd: "AT_FDCWD", path: '"/a\\n"', flags: "O_WRONLY|O_CREAT|O_CLOEXEC", mode: "0644" },
    ],
    ["openat", [6, "x", 0, 0], { dirfd: "6 (rootfs)", path: '"x"', flags: "O_RDONLY", mode: "0" }],
    [
      "openat2",
      [slot("dir"), "x", openHow(O_PATH | O_NOFOLLOW, 0x10), 24],
      {
        dirfd: "<dir>",
        path: '"x"',
        how: "{ flags: O_NOFOLLOW|O_PATH, resolve: RESOLVE_IN_ROOT }",
        size: "24",
      },
    ],
    [
      "mount_setattr",
      [
        slot("mount"),
        "",
        AT_EMPTY_PATH | AT_RECURSIVE,
        mountAttr({ set: 3, clear: 0x70, propagation: MS_PRIVATE }),
        32,
      ],
      {
        dirfd: "<mount>",
        path: '""',
        flags: "AT_EMPTY_PATH|AT_RECURSIVE",
        attributes: `{ attr_set: MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID, attr_clr: MOUNT_ATTR__ATIME, propagation: MS_PRIVATE }`,
        size: "32",
      },
    ],
    [
      "mount",
      [0, "/", 0, MS_REC | MS_PRIVATE, 0],
      { source: "NULL", target: '"/"', type: "NULL", flags: "MS_REC|MS_PRIVATE", data: "NULL" },
    ],
    [
      "mknodat",
      [3, "tty", S_IFCHR | 0o666, 0x500],
      { dirfd: "3", path: '"tty"', mode: "S_IFCHR|0666", device: "0x500" },
    ],
    ["prctl", [PR_CAPBSET_DROP, 21, 0, 0, 0], { operation: "PR_CAPBSET_DROP", capability: "CAP_SYS_ADMIN" }],
    ["prctl", [PR_CAPBSET_DROP, 63, 0, 0, 0], { operation: "PR_CAPBSET_DROP", capability: "capability 63" }],
    ["prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0], { operation: "PR_SET_PDEATHSIG", signal: "SIGKILL" }],
    ["prctl", [PR_SET_PDEATHSIG, 0, 0, 0, 0], { operation: "PR_SET_PDEATHSIG", signal: "0" }],
    [
      "prctl",
      [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0],
      { operation: "PR_CAP_AMBIENT", action: "PR_CAP_AMBIENT_RAISE", capability: "CAP_CHOWN" },
    ],
    [
      "prctl",
      [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0],
      { operation: "PR_CAP_AMBIENT", action: "PR_CAP_AMBIENT_CLEAR_ALL" },
    ],
    ["ioctl", [slot("slave"), TIOCSCTTY, 0], { fd: "<slave>", operation: "TIOCSCTTY", steal: "0" }],
    ["read", [3, addressOf(slot("status"), 24), 8], { fd: "3", buffer: "&<status>[24]", size: "8" }],
    [
      "execve",
      ["/bin/sh", stringArray(["sh", "-c", 'echo "$1"']), stringArray([])],
      { path: '"/bin/sh"', argv: '["sh", "-c", "echo \\"$1\\""]', envp: "[]" },
    ],
    ["fsmount", [5, 1, 0], { fd: "5", flags: "FSMOUNT_CLOEXEC", attributes: "0" }],
    // A bit without a name must not get lost.
    ["unshare", [0x40000001], { flags: "0x1|CLONE_NEWNET" }],
    ["setsid", [], {}],
  ])("%s %j", (call, args, expected) => {
    expect(argumentsOf(call, args)).toEqual(expected);
  });

  test("the attributes above are what they are called", () => {
    expect([MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, MOUNT_ATTR__ATIME]).toEqual([3, 0x70]);
  });
});

describe("steps", () => {
  const done = label("done");
  const status = slot("status", 144);

  test("results, tolerated errnos and purpose", () => {
    const fd = slot("target");
    const step = at.call("openat", [3, "x", O_PATH, 0], {
      store: fd,
      on: { [ENOENT]: done, [EEXIST]: "next" },
    });
    expect(explained(step, mark(done))[0]).toMatchObject({
      kind: "call",
      path: "mounts[3]",
      subject: "/data",
      result: "target",
      tolerates: { ENOENT: "done", EEXIST: "next step" },
    });
  });

  test("comparisons and jumps", () => {
    const steps = explained(
      at.when({ slot: status, offset: 24, mask: S_IFMT, value: S_IFDIR }, done),
      at.unless({ slot: status, mask: ALL32, value: PROC_SUPER_MAGIC }, done),
      at.when({ slot: status, mask: 0xff, value: 47 }, done),
      at.when({ slot: status, offset: 128, mask: -1, value: 0x3_0000_0001 }, done),
      at.jump(done),
      at.fail(ENOENT, "look for it"),
      mark(done),
    );
    const shared = { path: "mounts[3]", subject: "/data" };
    expect(steps).toEqual([
      { ...shared, kind: "if", condition: "(<status>[24] & S_IFMT) == S_IFDIR", to: "done" },
      { ...shared, kind: "if", condition: "<status> != PROC_SUPER_MAGIC", to: "done" },
      { ...shared, kind: "if", condition: "(<status> & 0xff) == 47", to: "done" },
      { ...shared, kind: "if", condition: "<status>[128] == 0x300000001", to: "done" },
      { ...shared, kind: "jump", to: "done" },
      { ...shared, kind: "fail", errno: "ENOENT", what: "look for it" },
      { ...shared, kind: "label", label: "done" },
    ]);
  });

  test("a group ends with its phase and with who runs it", () => {
    const start = serving("start", "");
    const groups = explainPlan([
      { by: "berth", steps: [at.call("setsid", [])] },
      {
        by: "init",
        steps: [at.call("setsid", []), start.call("setsid", []), mark(done), at.call("setsid", [])],
      },
    ]);
    expect(groups.map(({ by, phase, steps }) => [by, phase, steps.length])).toEqual([
      ["berth", "mounts", 1],
      ["init", "mounts", 1],
      ["init", "start", 2],
      ["init", "mounts", 1],
    ]);
  });

  test("as text", () => {
    const step = at.call("openat", [3, "x", O_PATH, 0], { store: status, on: { [ENOENT]: done } });
    expect(groupsText(explainPlan([{ by: "init", steps: [step, at.jump(done), mark(done)] }]))).toBe(
      [
        "init: mounts",
        "  mounts[3] /data",
        '    <status> = openat(dirfd: 3, path: "x", flags: O_PATH, mode: 0)',
        '      ENOENT: go to "done"',
        '    go to "done"',
        '    "done":',
        "",
      ].join("\n"),
    );
  });
});

test("every argument of every call in a container's Plan has a name", () => {
  const spec = defaultSpec({ rootless: false, uid: 0, gid: 0, cgroup2: true });
  const cgroup = { mount: "/sys/fs/cgroup", path: "/box" };
  const { init } = compile(
    {
      ...spec,
      domainname: "example.org",
      process: { ...spec.process, cwd: "/work", terminal: true, consoleSize: { width: 80, height: 25 } },
      linux: {
        ...spec.linux,
        sysctl: { "net.ipv4.ip_forward": "1" },
        personality: { domain: "LINUX32" },
        devices: [{ path: "/dev/fuse", type: "c", major: 10, minor: 229 }],
      },
    },
    {
      id: "box",
      bundle: "/b",
      rootfs: "/b/rootfs",
      noPivot: false,
      noNewKeyring: false,
      preserveFds: 0,
      stdio: [0, 1, 2].map(() => ({ null: true, uid: 0 })),
      mayMakeDevices: true,
      mayTrace: true,
      lastCapability: 40,
      cgroup,
      seccomp: undefined,
    },
  );
  const found = calls([
    ...cgroupSteps(spec, cgroup, { rootless: false }).filter((step) => step.kind !== "action"),
    ...init,
  ]);
  expect(found.length).toBeGreaterThan(200);
  const unnamed = found.filter(({ call, args }) =>
    args.slice(parametersOf(call, args).length).some((argument) => argument !== 0),
  );
  expect(unnamed.map(({ call, args }) => `${call}(${args.join(", ")})`)).toEqual([]);
});
