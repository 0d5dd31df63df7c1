import { describe, expect, test } from "vitest";
import {
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  O_PATH,
  O_RDWR,
  O_WRONLY,
  PR_SET_PDEATHSIG,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  SIGKILL,
} from "../../src/linux/constants.ts";
import { encode } from "../../src/plan/encode.ts";
import { REQUEST } from "../../src/plan/protocol.ts";
import type { Call, Slot, Step } from "../../src/plan/step.ts";
import { type CompileContext, type ContainerPlan, compile } from "../../src/runtime/compile.ts";
import type { Spec } from "../../src/spec/config.ts";
import { defaultSpec } from "../../src/spec/default.ts";
import { callNames, calls, fieldsOf, rawOf, stringsOf } from "./steps.ts";

/* What must hold for the whole Plan of any container, whatever its parts are made of. */

const CONTEXT: CompileContext = {
  id: "c1",
  bundle: "/bundle",
  rootfs: "/bundle/rootfs",
  noPivot: false,
  noNewKeyring: false,
  preserveFds: 0,
  stdio: [0, 1, 2].map((fd) => ({ null: fd === 0, uid: 0 })),
  mayMakeDevices: true,
  mayTrace: true,
  lastCapability: 40,
  cgroup: { mount: "/sys/fs/cgroup", path: "/c1" },
  seccomp: undefined,
};

const ROOTFUL = defaultSpec({ rootless: false, uid: 0, gid: 0, cgroup2: true });
const ROOTLESS = defaultSpec({ rootless: true, uid: 1000, gid: 1000, cgroup2: true });
const hook = { path: "/bin/true" };

const withProcess = (spec: Spec, change: Partial<NonNullable<Spec["process"]>>): Spec => ({
  ...spec,
  process: { cwd: "/", ...spec.process, ...change },
});

const everything: Spec = {
  ...withProcess(ROOTFUL, {
    terminal: false,
    cwd: "/srv",
    user: { uid: 1000, gid: 1000, additionalGids: [5] },
    rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
  }),
  domainname: "example.org",
  hooks: { createRuntime: [hook], createContainer: [hook] },
  mounts: [
    ...(ROOTFUL.mounts ?? []),
    { destination: "/data", type: "bind", source: "data", options: ["rbind", "ro"] },
    { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "nosuid"] },
  ],
  linux: {
    ...ROOTFUL.linux,
    namespaces: [...ROOTFUL.linux.namespaces, { type: "time" }],
    timeOffsets: { monotonic: { secs: 5 } },
    sysctl: { "net.ipv4.ip_forward": "1" },
    devices: [{ type: "c", path: "/dev/fuse", major: 10, minor: 229, fileMode: 0o600, uid: 1, gid: 2 }],
    personality: { domain: "LINUX32" },
  },
};

const PLANS: readonly (readonly [string, Spec, Partial<CompileContext>])[] = [
  ["the default", ROOTFUL, {}],
  ["the rootless default", ROOTLESS, {}],
  ["without a terminal", withProcess(ROOTFUL, { terminal: false }), {}],
  ["with much in it", everything, {}],
  ["with inherited descriptors, without pivot_root", ROOTFUL, { preserveFds: 3, noPivot: true }],
  ["without a cgroup or a keyring", ROOTFUL, { cgroup: null, noNewKeyring: true }],
];

/** Where in the list of calls the first is that `is` accepts; throws if there is none. */
function indexOf(all: readonly Call[], is: (call: Call) => boolean): number {
  const index = all.findIndex(is);
  if (index < 0) throw new Error("no such call");
  return index;
}

/** The place of the request that init makes of this kind. */
function requestIndex({ init, requests }: ContainerPlan, kind: string): number {
  const number = requests.findIndex((request) => request.kind === kind);
  return indexOf(calls(init), ({ call, args: [, message] }) => {
    if (call !== "write" || typeof message !== "object" || message.kind !== "bytes") return false;
    const view = rawOf(message);
    return view.byteLength === 8 && view.getUint32(0, true) === REQUEST && view.getUint32(4, true) === number;
  });
}

const isPath = (value: unknown): value is string => typeof value === "string";

describe.each(PLANS)("the Plan of a container: %s", (_, spec, context) => {
  const plan = compile(spec, { ...CONTEXT, ...context });
  const { init, descriptors } = plan;
  const all = calls(init);
  const ready = requestIndex(plan, "ready");

  test("can be encoded: all jumps lead ahead, no step tolerates too much", () => {
    expect(encode(init, descriptors.sync).steps.length).toBe(
      init.filter(({ kind }) => kind !== "mark").length,
    );
  });

  test("begins by closing on exec all that is not the container's", () => {
    expect(all[0]).toMatchObject({
      call: "close_range",
      args: [3 + (context.preserveFds ?? 0), 0xffff_ffff, CLOSE_RANGE_CLOEXEC],
    });
    expect(init[0]).toBe(all[0]);
  });

  test("dies with the runtime until it is ready, and not from then on", () => {
    const signals = all.flatMap(({ call, args }, i) =>
      call === "prctl" && args[0] === PR_SET_PDEATHSIG ? [[args[1], i < ready]] : [],
    );
    expect(signals).toEqual([
      [SIGKILL, true],
      [0, true],
    ]);
    expect(all[1]?.args[0]).toBe(PR_SET_PDEATHSIG);
  });

  test("closes what it has of the host before it is ready, and waits then", () => {
    const close = all.findLastIndex(({ call }, i) => call === "close_range" && i < ready);
    expect(all[close]?.args).toEqual([descriptors.listen + 1, 0xffff_ffff, 0]);
    // Nothing is opened after that: only the parent-death signal lies between.
    expect(all.slice(close + 1, ready).map(({ call }) => call)).toEqual(["prctl"]);
  });

  test("does nothing after the start but to execute", () => {
    const after = all.slice(ready).map(({ call }) => call);
    const execs = after.filter((call) => call === "execve").length;
    expect(execs).toBeGreaterThan(0);
    expect(after).toEqual([
      "write",
      "read",
      "accept4",
      "dup3",
      "close_range",
      "read",
      ...Array.from({ length: execs }, () => "execve"),
    ]);
    // All but the connection, which is close-on-exec, is closed by then.
    expect(all[ready + 4]?.args).toEqual([descriptors.sync + 1, 0xffff_ffff, 0]);
    expect(callNames(init).filter((call) => call === "execve")).toHaveLength(execs);
  });

  test("fails unless start says so: the end of the connection does not execute", () => {
    const go = init.indexOf(all[ready + 5] as Step);
    expect(init[go + 1]).toMatchObject({ kind: "branch", value: 1, not: false, mask: 0xffff_ffff });
    expect(init[go + 2]).toMatchObject({ kind: "fail" });
  });

  test("opens nothing below /proc by its path but to look, and never to write", () => {
    for (const { call, args } of all) {
      if (call === "openat" && args[0] === AT_FDCWD) expect(Number(args[2]) & O_PATH).toBe(O_PATH);
      if (call !== "openat2" || args[0] !== AT_FDCWD) continue;
      const { flags = 0, resolve = 0 } = fieldsOf(args[2]);
      expect(flags & (O_WRONLY | O_RDWR)).toBe(0);
      expect(resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT)).not.toBe(0);
    }
  });

  test("uses the host's /proc only after it was verified", () => {
    const taken = indexOf(all, ({ call, args }) => call === "dup3" && args[1] === descriptors.proc);
    expect(all.slice(0, taken).map(({ call }) => call)).toContain("fstatfs");
    const used = all.findIndex(({ args }) => args[0] === descriptors.proc);
    if (used >= 0) expect(used).toBeGreaterThan(taken);
    const check = init.indexOf(all[indexOf(all, ({ call }) => call === "fstatfs")] as Step);
    expect(init[check + 1]).toMatchObject({ kind: "branch", value: 0x9fa0, not: false });
    expect(init[check + 2]).toMatchObject({ kind: "fail" });
  });

  test("names nothing in the rootfs except as if that were the root", () => {
    const inside = all.filter(
      ({ args }) => args[0] === descriptors.rootfs && isPath(args[1]) && args[1] !== "",
    );
    expect(inside.length).toBeGreaterThan(0);
    for (const { call, args } of inside) {
      expect(call).toBe("openat2");
      expect((fieldsOf(args[2]).resolve ?? 0) & RESOLVE_IN_ROOT).toBe(RESOLVE_IN_ROOT);
    }
  });

  test("reaches the rootfs by its host path only to open it", () => {
    const { rootfs } = { ...CONTEXT, ...context };
    const named = all.filter(({ args }) => args.some((arg) => isPath(arg) && arg.startsWith(`${rootfs}/`)));
    expect(named).toEqual([]);
  });

  test("resolves no destination by path before the root has changed", () => {
    const changed = indexOf(all, ({ call }) => call === "pivot_root" || call === "chroot");
    for (const { call, args } of all.slice(0, changed)) {
      if (call === "mkdirat" || call === "mknodat" || call === "symlinkat" || call === "unlinkat") {
        const [directory, name] = call === "symlinkat" ? args.slice(1) : args;
        expect(directory).not.toBe(AT_FDCWD);
        expect(isPath(name) && !name.includes("/") && name !== "..").toBe(true);
      }
      // What is attached is attached by descriptor: the rootfs itself is the one exception.
      if (call === "move_mount" && args[2] === AT_FDCWD) expect([CONTEXT.rootfs, "/"]).toContain(args[3]);
    }
  });

  test("changes the root before anything of the container runs, and its user after", () => {
    const changed = indexOf(all, ({ call }) => call === "pivot_root" || call === "chroot");
    const user = indexOf(all, ({ call }) => call === "setresuid");
    const capabilities = indexOf(all, ({ call }) => call === "capset");
    expect(changed).toBeLessThan(user);
    expect(user).toBeLessThan(capabilities);
    expect(capabilities).toBeLessThan(ready);
    // No mount is made or changed by the container's user.
    const mounts = ["mount", "move_mount", "mount_setattr", "open_tree", "fsmount", "umount2", "pivot_root"];
    const last = all.findLastIndex(({ call }) => mounts.includes(call));
    expect(last).toBeLessThan(user);
  });

  test("masks and protects paths after sysctls are written, before the user changes", () => {
    const masked = all.flatMap(({ path }, i) => (path.startsWith("linux.maskedPaths[") ? [i] : []));
    const protectedPaths = all.flatMap(({ path }, i) => (path.startsWith("linux.readonlyPaths[") ? [i] : []));
    const changed = indexOf(all, ({ call }) => call === "pivot_root" || call === "chroot");
    const sysctl = all.findLastIndex(({ path }) => path.startsWith("linux.sysctl"));
    expect(Math.min(...masked, ...protectedPaths)).toBeGreaterThan(Math.max(changed, sysctl));
    const user = indexOf(all, ({ call }) => call === "setresuid");
    expect(Math.max(...masked, ...protectedPaths)).toBeLessThan(user);
    for (const i of spec.linux.maskedPaths?.keys() ?? []) {
      expect(all.some(({ path, call }) => path === `linux.maskedPaths[${i}]` && call === "move_mount")).toBe(
        true,
      );
    }
  });

  test("loads from slots only what an earlier step has stored", () => {
    const stored = new Set<Slot>();
    const filled = new Set<Slot>();
    for (const step of all) {
      for (const arg of step.args) {
        if (typeof arg !== "object") continue;
        if (arg.kind === "address") filled.add(arg.of);
        if (arg.kind === "slot") expect(stored.has(arg) || filled.has(arg)).toBe(true);
      }
      if (step.store !== undefined) stored.add(step.store);
    }
  });

  test("executes with the config's arguments", () => {
    const exec = all.at(-1);
    expect(exec?.call).toBe("execve");
    expect(stringsOf(exec?.args[1])).toEqual(spec.process?.args);
  });
});

describe("compile", () => {
  test("is pure: the same twice", () => {
    const one = encode(compile(everything, CONTEXT).init, 3).bytes;
    expect(encode(compile(everything, CONTEXT).init, 3).bytes).toEqual(one);
  });

  test("hooks are asked for between the mounts and the pivot", () => {
    const plan = compile(everything, CONTEXT);
    const all = calls(plan.init);
    const asked = requestIndex(plan, "mounted");
    expect(asked).toBeLessThan(indexOf(all, ({ call }) => call === "pivot_root"));
    expect(asked).toBeGreaterThan(all.findLastIndex(({ phase }) => phase === "devices"));
    expect(compile(ROOTFUL, CONTEXT).requests.some(({ kind }) => kind === "mounted")).toBe(false);
  });

  test("without a process it waits for a start that cannot come", () => {
    const { process: _, ...spec } = ROOTFUL;
    const names = callNames(compile(spec, CONTEXT).init);
    expect(names).not.toContain("execve");
    expect(names).toContain("accept4");
  });

  test("a umask is set after the runtime's own, 022 when none is asked for", () => {
    const masks = (umask?: number) =>
      calls(compile(withProcess(ROOTFUL, { user: umask === undefined ? {} : { umask } }), CONTEXT).init)
        .filter(({ call }) => call === "umask")
        .map(({ args }) => args[0]);
    expect(masks(0o077).at(-1)).toBe(0o077);
    expect(masks().at(-1)).toBe(0o022);
    expect(new Set(masks(0o077).slice(0, -1))).toEqual(new Set([0]));
  });

  test("a keyring of its own unless --no-new-keyring", () => {
    expect(callNames(compile(ROOTFUL, CONTEXT).init)).toContain("keyctl");
    expect(callNames(compile(ROOTFUL, { ...CONTEXT, noNewKeyring: true }).init)).not.toContain("keyctl");
  });
});
