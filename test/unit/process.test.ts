import { describe, expect, test } from "vitest";
import { BerthError } from "../../src/errors.ts";
import {
  IOPRIO_WHO_PROCESS,
  KEYCTL_JOIN_SESSION_KEYRING,
  KEYCTL_SETPERM,
  LINUX_CAPABILITY_VERSION_3,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
  RESOLVE_IN_ROOT,
  TIOCGPTPEER,
  TIOCSCTTY,
  TIOCSPTLCK,
  TIOCSWINSZ,
} from "../../src/linux/constants.ts";
import { EACCES, EINVAL, ENOENT, ENOSYS, ENOTDIR, EPERM, EROFS } from "../../src/linux/errno.ts";
import { slot } from "../../src/plan/build.ts";
import { createRequests, descriptors } from "../../src/plan/protocol.ts";
import type { Call, Step } from "../../src/plan/step.ts";
import { cwdSteps, makeCwdSteps } from "../../src/process/cwd.ts";
import { execSteps, findSteps, homeSteps, lacksHome, planExecutable } from "../../src/process/exec.ts";
import { capabilityMask, identitySteps } from "../../src/process/identity.ts";
import { ownLimitSteps, rlimitSteps } from "../../src/process/limits.ts";
import { schedulingSteps } from "../../src/process/scheduling.ts";
import { keyringSteps, personalitySteps, sessionStep } from "../../src/process/session.ts";
import { nullSteps, ownerSteps } from "../../src/process/stdio.ts";
import { terminalSteps } from "../../src/process/terminal.ts";
import { CAPABILITIES } from "../../src/spec/capabilities.ts";
import type { Process } from "../../src/spec/process.ts";
import { callNames, calls, fieldsOf, only, rawOf, stringsOf, tolerated } from "./steps.ts";

const fds = descriptors(0);
const CWD = { cwd: "/" } as const;
const prctls = (steps: readonly Step[], option: number) =>
  calls(steps).filter(({ call, args }) => call === "prctl" && args[0] === option);
/** One more than berth has names for. */
const LAST = 41;
const identity = (process: Partial<Process>, userNamespace = false, between: readonly Step[] = []) =>
  identitySteps({ ...CWD, ...process }, { userNamespace, filtered: false, lastCapability: LAST }, between);

describe("capabilities", () => {
  test("masks have a bit for each, in two words", () => {
    expect(capabilityMask(undefined)).toEqual({ low: 0, high: 0 });
    expect(
      capabilityMask(["CAP_CHOWN", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_CHECKPOINT_RESTORE"]),
    ).toEqual({
      low: 0x8000_0001,
      high: 0x101,
    });
    expect(capabilityMask(Object.keys(CAPABILITIES))).toEqual({ low: 0xffff_ffff, high: 0x1ff });
    expect(capabilityMask(["CAP_KILL", "CAP_KILL"])).toEqual({ low: 0x20, high: 0 });
  });

  test.each(["CAP_NOTHING", "cap_kill", "KILL", "", "constructor", "toString", "__proto__"])(
    "the unknown name %j is no capability",
    (name) => {
      expect(capabilityMask([name])).toEqual({ low: 0, high: 0 });
      expect(prctls(identity({ capabilities: { ambient: [name] } }), PR_CAP_AMBIENT)).toHaveLength(1);
    },
  );

  test("all that is not in the bounding set is dropped, also what has no name yet", () => {
    const dropped = prctls(
      identity({ capabilities: { bounding: ["CAP_KILL", "CAP_MAC_ADMIN"] } }),
      PR_CAPBSET_DROP,
    );
    const numbers = dropped.map(({ args }) => args[1]);
    const all = Array.from({ length: LAST + 1 }, (_, n) => n);
    expect(numbers).toEqual(all.filter((n) => n !== 5 && n !== 33));
    // EINVAL ends the list: beyond the last that the kernel knows.
    for (const step of dropped) expect(tolerated(step)).toEqual({ [EINVAL]: "no more capabilities" });
  });

  test("without process.capabilities none is kept", () => {
    const steps = identity({});
    expect(prctls(steps, PR_CAPBSET_DROP)).toHaveLength(LAST + 1);
    expect(fieldsOf(only(steps, "capset").args[1])).toEqual({
      effective: 0,
      permitted: 0,
      inheritable: 0,
      effective_high: 0,
      permitted_high: 0,
      inheritable_high: 0,
    });
  });

  test("capset gets each set where the kernel looks for it", () => {
    const { args } = only(
      identity({
        capabilities: { effective: ["CAP_CHOWN"], permitted: ["CAP_FOWNER"], inheritable: ["CAP_BPF"] },
      }),
      "capset",
    );
    expect(fieldsOf(args[0])).toEqual({ version: LINUX_CAPABILITY_VERSION_3 });
    expect(fieldsOf(args[1])).toMatchObject({
      effective: 1,
      permitted: 8,
      inheritable: 0,
      inheritable_high: 1 << 7,
    });
    // struct __user_cap_data_struct[2]: effective, permitted, inheritable, and the same again for 32 and up.
    const offsets = typeof args[1] === "object" && args[1].kind === "struct" ? args[1].fields : [];
    expect(offsets.map(({ name, offset }) => [name, offset])).toEqual([
      ["effective", 0],
      ["permitted", 4],
      ["inheritable", 8],
      ["effective_high", 12],
      ["permitted_high", 16],
      ["inheritable_high", 20],
    ]);
  });

  test("ambient ones are cleared, then raised after capset; one that cannot be is left out", () => {
    const steps = identity({ capabilities: { ambient: ["CAP_NET_RAW", "CAP_WHAT"] } });
    const ambient = prctls(steps, PR_CAP_AMBIENT);
    expect(ambient.map(({ args }) => args.slice(1, 3))).toEqual([
      [PR_CAP_AMBIENT_CLEAR_ALL, 0],
      [PR_CAP_AMBIENT_RAISE, 13],
    ]);
    expect(tolerated(ambient[1] as Call)).toEqual({ [EPERM]: "next" });
    const all = calls(steps);
    expect(all.indexOf(only(steps, "capset"))).toBeLessThan(all.indexOf(ambient[0] as Call));
  });
});

describe("user", () => {
  test("the order: bounding set, groups, gid, uid, capabilities, no_new_privs", () => {
    const between = [sessionStep()];
    const steps = identity({ user: { uid: 1000, gid: 1001 }, noNewPrivileges: true }, false, between);
    const names = calls(steps).map(({ call, args }) => (call === "prctl" ? `prctl ${args[0]}` : call));
    expect(names.filter((name) => name !== `prctl ${PR_CAPBSET_DROP}`)).toEqual([
      "setgroups",
      `prctl ${PR_SET_KEEPCAPS}`,
      "setresgid",
      "setresuid",
      `prctl ${PR_SET_KEEPCAPS}`,
      "setsid",
      "capset",
      `prctl ${PR_CAP_AMBIENT}`,
      `prctl ${PR_SET_NO_NEW_PRIVS}`,
    ]);
    // While CAP_SETPCAP is still there.
    expect(names.lastIndexOf(`prctl ${PR_CAPBSET_DROP}`)).toBeLessThan(names.indexOf("setgroups"));
    expect(prctls(steps, PR_SET_KEEPCAPS).map(({ args }) => args[1])).toEqual([1, 0]);
    expect(only(steps, "setresgid").args).toEqual([1001, 1001, 1001]);
    expect(only(steps, "setresuid").args).toEqual([1000, 1000, 1000]);
  });

  test("root is the default", () => {
    const steps = identity({});
    expect(only(steps, "setresuid").args).toEqual([0, 0, 0]);
    expect(only(steps, "setresgid").args).toEqual([0, 0, 0]);
  });

  test("additional groups replace the caller's, and none does so too", () => {
    const [count, list] = only(identity({ user: { additionalGids: [7, 4_294_967_294] } }), "setgroups").args;
    expect(count).toBe(2);
    const view = rawOf(list);
    expect([view.getUint32(0, true), view.getUint32(4, true), view.byteLength]).toEqual([
      7, 4_294_967_294, 8,
    ]);
    const none = only(identity({}), "setgroups");
    expect(none.args[0]).toBe(0);
    expect(tolerated(none)).toEqual({});
  });

  test("in a user namespace setgroups may be denied, if there is nothing to set", () => {
    expect(tolerated(only(identity({}, true), "setgroups"))).toEqual({ [EPERM]: "next" });
    expect(tolerated(only(identity({ user: { additionalGids: [5] } }, true), "setgroups"))).toEqual({});
  });

  test("an id that is not mapped gets a hint in a user namespace only", () => {
    expect(only(identity({}, true), "setresuid").hints?.[EINVAL]).toContain("mappings");
    expect(only(identity({}), "setresuid").hints?.[EINVAL]).toBeUndefined();
  });

  test("no_new_privs is set only when asked for", () => {
    expect(prctls(identity({ noNewPrivileges: false }), PR_SET_NO_NEW_PRIVS)).toEqual([]);
    expect(prctls(identity({ noNewPrivileges: true }), PR_SET_NO_NEW_PRIVS)[0]?.args).toEqual([
      38, 1, 0, 0, 0,
    ]);
  });
});

describe("limits", () => {
  const limit = (type: "RLIMIT_NOFILE" | "RLIMIT_CORE", soft: number, hard: number) => ({ type, soft, hard });
  const pair = ({ args }: Call) => {
    const view = rawOf(args[2]);
    return [view.getBigUint64(0, true), view.getBigUint64(8, true)];
  };

  test.each([
    [0, 0, 0n, 0n],
    [1024, 4096, 1024n, 4096n],
    [2 ** 32, 2 ** 40 + 1, 2n ** 32n, 2n ** 40n + 1n],
    // RLIM_INFINITY, as JSON.parse reads it.
    [Number("18446744073709551615"), Number("18446744073709551615"), 2n ** 64n - 1n, 2n ** 64n - 1n],
    [1, Number("9223372036854775807"), 1n, 2n ** 63n],
  ])("soft %d and hard %d", (soft, hard, softBits, hardBits) => {
    const [step] = calls(rlimitSteps([limit("RLIMIT_CORE", soft, hard)], slot("pid")));
    expect(pair(step as Call)).toEqual([softBits, hardBits]);
  });

  test("init sets its own, and asks the runtime for all when it may not raise one", () => {
    const requests = createRequests(fds.sync);
    const limits = [limit("RLIMIT_NOFILE", 10, 20), limit("RLIMIT_CORE", 0, 0)];
    const steps = ownLimitSteps(limits, requests);
    expect(callNames(steps)).toEqual(["prlimit64", "prlimit64", "write", "read"]);
    const [first, second] = calls(steps);
    expect([first?.args[0], first?.args[1], first?.args[3]]).toEqual([0, 7, 0]);
    expect(first?.path).toBe("process.rlimits[0]");
    expect(second?.path).toBe("process.rlimits[1]");
    expect(tolerated(first as Call)).toEqual({ [EPERM]: "the runtime sets limits" });
    expect(requests.list).toEqual([{ kind: "limits" }]);
  });

  test("the runtime tolerates nothing", () => {
    const pid = slot("pid");
    const steps = calls(rlimitSteps([limit("RLIMIT_NOFILE", 10, 20)], pid));
    expect(steps.map(({ args }) => args[0])).toEqual([pid]);
    expect(tolerated(steps[0] as Call)).toEqual({});
    expect(steps[0]?.hints?.[EPERM]).toContain("CAP_SYS_RESOURCE");
  });
});

describe("scheduling", () => {
  const [pid, directory] = [slot("pid"), slot("/proc/PID")];
  const stepsFor = (process: Partial<Process>) =>
    calls(schedulingSteps({ ...CWD, ...process }, pid, directory));

  test("nothing unless asked for", () => {
    expect(stepsFor({})).toEqual([]);
  });

  test.each([0, -1000, 1000])("oom_score_adj %d is written below /proc/PID", (oomScoreAdj) => {
    const steps = stepsFor({ oomScoreAdj });
    expect(steps.map(({ call }) => call)).toEqual(["openat", "write", "close"]);
    expect(steps[0]?.args.slice(0, 2)).toEqual([directory, "oom_score_adj"]);
    expect(steps[1]?.args.slice(1)).toEqual([String(oomScoreAdj), String(oomScoreAdj).length]);
  });

  test("struct sched_attr, field by field", () => {
    const [step] = stepsFor({
      scheduler: {
        policy: "SCHED_DEADLINE",
        nice: -20,
        priority: 99,
        flags: ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"],
        runtime: 10_000_000,
        deadline: 5_000_000_000,
        period: 2 ** 40,
      },
    });
    expect(step?.call).toBe("sched_setattr");
    expect([step?.args[0], step?.args[2]]).toEqual([pid, 0]);
    const view = rawOf(step?.args[1]);
    // SCHED_ATTR_SIZE_VER1
    expect([view.byteLength, view.getUint32(0, true)]).toEqual([56, 56]);
    expect(view.getUint32(4, true)).toBe(6);
    expect(view.getBigUint64(8, true)).toBe(0x5n);
    expect(view.getInt32(16, true)).toBe(-20);
    expect(view.getUint32(20, true)).toBe(99);
    expect(view.getBigUint64(24, true)).toBe(10_000_000n);
    expect(view.getBigUint64(32, true)).toBe(5_000_000_000n);
    expect(view.getBigUint64(40, true)).toBe(2n ** 40n);
  });

  test.each([
    [{ class: "IOPRIO_CLASS_RT", priority: 7 }, 0x2007],
    [{ class: "IOPRIO_CLASS_BE" }, 0x4000],
    [{ class: "IOPRIO_CLASS_IDLE", priority: 0 }, 0x6000],
  ] as const)("I/O priority %j", (ioPriority, value) => {
    const [step] = stepsFor({ ioPriority });
    expect([step?.call, ...(step?.args ?? [])]).toEqual(["ioprio_set", IOPRIO_WHO_PROCESS, pid, value]);
  });
});

describe("session", () => {
  test.each([
    [false, 0x3f000000 | 0x10000 | 0x20000 | 0x100000 | 0x80000],
    [true, 0x3f000000 | 0x10000 | 0x20000 | 0x100000 | 0x8],
  ])("the session keyring's permissions, user namespace: %s", (userNamespace, permissions) => {
    const [join, setPermissions] = calls(keyringSteps("abc", userNamespace));
    expect(join?.args).toEqual([KEYCTL_JOIN_SESSION_KEYRING, "_ses.abc", 0, 0, 0]);
    expect(tolerated(join as Call)).toEqual({ [ENOSYS]: "no keyrings in this kernel" });
    expect(setPermissions?.args).toEqual([KEYCTL_SETPERM, join?.store, permissions, 0, 0]);
  });

  test("personality", () => {
    expect(personalitySteps(undefined)).toEqual([]);
    expect(calls(personalitySteps({ domain: "LINUX32" }))[0]?.args).toEqual([8]);
    expect(calls(personalitySteps({ domain: "LINUX" }))[0]?.args).toEqual([0]);
  });
});

describe("cwd", () => {
  const requests = createRequests(fds.sync);
  const make = makeCwdSteps("/srv/app", fds, requests);
  const { beforeUser, afterUser } = cwdSteps("/srv/app");

  test("is looked for inside the rootfs, and made by the runtime when it is missing", () => {
    expect(callNames(make)).toEqual(["openat2", "close", "write", "read"]);
    const [open] = calls(make);
    expect(open?.args.slice(0, 2)).toEqual([fds.rootfs, "/srv/app"]);
    expect((fieldsOf(open?.args[2]).resolve ?? 0) & RESOLVE_IN_ROOT).toBe(RESOLVE_IN_ROOT);
    expect(tolerated(open as Call)[ENOENT]).toBe("cwd is missing");
    expect(requests.list).toEqual([
      { kind: "make-path", path: "/srv/app", type: "directory", of: "process.cwd" },
    ]);
  });

  test("is entered with the rights of root or, if those do not do, of the user", () => {
    expect(callNames(beforeUser)).toEqual(["chdir"]);
    expect(tolerated(calls(beforeUser)[0] as Call)).toEqual({ [EACCES]: "next", [EPERM]: "next" });
    expect(callNames(afterUser)).toEqual(["chdir", "getcwd"]);
    expect(tolerated(calls(afterUser)[0] as Call)).toEqual({});
    expect(afterUser[0]).toMatchObject({ kind: "branch", slot: calls(beforeUser)[0]?.store, value: 0 });
  });

  test("fails where getcwd does not begin with a slash (CVE-2024-21626)", () => {
    const getcwd = afterUser.findIndex((step) => step.kind === "call" && step.call === "getcwd");
    expect(afterUser[getcwd + 1]).toMatchObject({ kind: "branch", mask: 0xff, value: 0x2f, not: false });
    expect(afterUser[getcwd + 2]).toMatchObject({ kind: "fail" });
    expect(tolerated(afterUser[getcwd] as Call)).toEqual({});
  });
});

describe("executable", () => {
  const plan = (args: string[] | undefined, env: string[] = []) =>
    planExecutable({ ...CWD, ...(args === undefined ? {} : { args }), env });

  test.each([
    [["sh"], ["PATH=/bin:/usr/bin"], ["/bin/sh", "/usr/bin/sh"]],
    [["sh"], ["PATH=:/bin:"], ["./sh", "/bin/sh", "./sh"]],
    [["./sh"], ["PATH=/bin"], ["./sh"]],
    [["/bin/sh"], [], ["/bin/sh"]],
    [["a/b"], ["PATH=/bin"], ["a/b"]],
    [["sh"], [], []],
    [["sh"], ["PATH="], []],
    [["sh"], ["PATH=/a", "PATH=/b"], ["/b/sh"]],
    [["sh"], ["XPATH=/a", "PATHX=/b"], []],
  ])("%j with %j: %j", (args, env, candidates) => {
    expect(plan(args, env).candidates).toEqual(candidates);
  });

  test("no arguments are refused", () => {
    expect(() => plan(undefined)).toThrow(BerthError);
    expect(() => plan([])).toThrow("process.args");
  });

  test("of doubles in the environment the last counts; values may hold anything", () => {
    const { env } = plan(["/x"], ["A=1", "B=two words", "A=3=4\nline", "a=5", "C="]);
    expect(env).toEqual(["B=two words", "A=3=4\nline", "a=5", "C="]);
  });

  test.each([
    [[], true],
    [["HOME="], true],
    [["HOME=/root"], false],
    [["HOME=/root", "HOME="], true],
    [["XHOME=/root"], true],
  ])("HOME is looked for when missing or empty: %j", (env, lacks) => {
    expect(lacksHome(plan(["/x"], env))).toBe(lacks);
  });

  test("HOME comes from the runtime, and replaces an empty one", () => {
    const requests = createRequests(fds.sync);
    const { steps, home } = homeSteps(1000, requests);
    expect(requests.list).toEqual([{ kind: "home", uid: 1000 }]);
    expect(callNames(steps)).toEqual(["write", "read"]);
    const [exec] = calls(execSteps(plan(["/x", "y"], ["A=1", "HOME="]), home));
    expect(stringsOf(exec?.args[1])).toEqual(["/x", "y"]);
    expect(stringsOf(exec?.args[2])).toEqual(["A=1", "<HOME>"]);
  });

  test("one execve for each candidate; all but the last go on when the file is not there", () => {
    const steps = calls(execSteps(plan(["sh", "-c"], ["PATH=/a:/b:/c"]), undefined));
    expect(steps.map(({ call, args }) => [call, args[0]])).toEqual([
      ["execve", "/a/sh"],
      ["execve", "/b/sh"],
      ["execve", "/c/sh"],
    ]);
    const missing = { [ENOENT]: "next", [ENOTDIR]: "next", [EACCES]: "next" };
    expect(steps.map(tolerated)).toEqual([missing, missing, {}]);
    for (const { args } of steps) expect(stringsOf(args[1])).toEqual(["sh", "-c"]);
    expect(new Set(steps.map(({ args }) => args[1])).size).toBe(1);
  });

  test("a single candidate tolerates nothing", () => {
    expect(calls(execSteps(plan(["/bin/sh"]), undefined)).map(tolerated)).toEqual([{}]);
  });

  test("create fails already when there is no such file", () => {
    const direct = findSteps(plan(["/bin/sh"]));
    expect(callNames(direct)).toEqual(["newfstatat", "faccessat2"]);
    expect(tolerated(calls(direct)[0] as Call)).toEqual({});
    const searched = findSteps(plan(["sh"], ["PATH=/a:/b"]));
    expect(callNames(searched)).toEqual(["newfstatat", "faccessat2", "newfstatat", "faccessat2"]);
    expect(searched.at(-2)).toMatchObject({ kind: "fail", errno: ENOENT });
    expect(findSteps(plan(["sh"]))[0]).toMatchObject({ kind: "fail", errno: ENOENT });
  });
});

describe("stdio", () => {
  const host = { null: true, uid: 0 };
  const file = { null: false, uid: 0 };

  test("the host's /dev/null is never given away", () => {
    expect(ownerSteps([host, host, host], 1000, 1000, false)).toEqual([]);
    expect(calls(ownerSteps([host, file, host], 1000, 1000, false)).map(({ args }) => args)).toEqual([
      [1, 1000, -1],
    ]);
    // Nothing is known of a descriptor that was not looked at.
    expect(ownerSteps([], 1000, 1000, false)).toEqual([]);
  });

  test("what root owns, or the user already, is left alone", () => {
    expect(ownerSteps([file, file, file], 0, 0, false)).toEqual([]);
    expect(calls(ownerSteps([{ null: false, uid: 1000 }, file, file], 1000, 1000, false))).toHaveLength(2);
  });

  test("an owner that cannot be changed stays", () => {
    for (const step of calls(ownerSteps([file, file, file], 1000, 1000, false))) {
      expect(step.call).toBe("fchown");
      expect(tolerated(step)).toEqual({ [EPERM]: "next", [EINVAL]: "next", [EROFS]: "next" });
    }
  });

  test("with a terminal, the terminal is given to the user, whatever berth's own stdio is", () => {
    expect(calls(ownerSteps([host, host, host], 1000, 1000, true)).map(({ args }) => args)).toEqual([
      [0, 1000, -1],
    ]);
  });

  test("the container's own null device, verified, takes the place of the host's", () => {
    const steps = nullSteps([host, file, host], fds);
    expect(callNames(steps)).toEqual(["openat2", "newfstatat", "dup3", "dup3", "close"]);
    const [open, , ...rest] = calls(steps);
    expect(open?.args.slice(0, 2)).toEqual([fds.rootfs, "dev/null"]);
    expect((fieldsOf(open?.args[2]).resolve ?? 0) & RESOLVE_IN_ROOT).toBe(RESOLVE_IN_ROOT);
    expect(rest.slice(0, 2).map(({ args }) => args)).toEqual([
      [open?.store, 0, 0],
      [open?.store, 2, 0],
    ]);
    // Both of what it is, character device and 1:3, end in a failure otherwise.
    const firstDup = steps.findIndex((step) => step.kind === "call" && step.call === "dup3");
    expect(steps.slice(0, firstDup).filter((step) => step.kind === "fail")).toHaveLength(2);
    expect(nullSteps([file, file, file], fds)).toEqual([]);
  });
});

describe("terminal", () => {
  const requests = createRequests(fds.sync);
  const steps = terminalSteps({ ...CWD, consoleSize: { height: 24, width: 80 } }, fds, requests);
  const ioctl = (request: number) =>
    calls(steps).filter(({ call, args }) => call === "ioctl" && args[1] === request);

  test("the slave is reached through its master, not by a path (CVE-2025-52565)", () => {
    const [open] = calls(steps);
    expect(open?.args.slice(0, 2)).toEqual([fds.rootfs, "dev/pts/ptmx"]);
    expect(ioctl(TIOCSPTLCK)).toHaveLength(1);
    const [peer] = ioctl(TIOCGPTPEER);
    expect(ioctl(TIOCSCTTY)[0]?.args[0]).toBe(peer?.store);
    expect(only(steps, "open_tree").args[0]).toBe(peer?.store);
    const dups = calls(steps).filter(({ call, args }) => call === "dup3" && args[0] === peer?.store);
    expect(dups.map(({ args }) => args.slice(1))).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
  });

  test("the size is struct winsize: rows, then columns", () => {
    const [size] = ioctl(TIOCSWINSZ);
    expect(size?.args[0]).toBe(fds.console);
    expect(fieldsOf(size?.args[2])).toEqual({ ws_row: 24, ws_col: 80 });
    const without = terminalSteps({ ...CWD }, fds, createRequests(3));
    expect(calls(without).filter(({ args }) => args[1] === TIOCSWINSZ)).toEqual([]);
  });

  test("the master is handed over, then closed", () => {
    expect(requests.list).toEqual([{ kind: "console" }]);
    const last = calls(steps).at(-1);
    expect([last?.call, last?.args[0]]).toEqual(["close_range", fds.console]);
  });
});
