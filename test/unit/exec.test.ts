import { describe, expect, test } from "vitest";
import { subCgroup } from "../../src/cgroups/join.ts";
import { parseArguments } from "../../src/cli/arguments.ts";
import {
  CLONE_NEWNS,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLOSE_RANGE_CLOEXEC,
  PR_SET_DUMPABLE,
  PR_SET_PDEATHSIG,
  SCM_RIGHTS,
  SIGKILL,
} from "../../src/linux/constants.ts";
import { encode } from "../../src/plan/encode.ts";
import { descriptors } from "../../src/plan/protocol.ts";
import { namedUser } from "../../src/process/accounts.ts";
import { planExecutable } from "../../src/process/exec.ts";
import { compileExec, type ExecContext } from "../../src/runtime/exec-plan.ts";
import { type Command, processOfCommand, processOfFile } from "../../src/runtime/exec-process.ts";
import type { Spec } from "../../src/spec/config.ts";
import { defaultSpec } from "../../src/spec/default.ts";
import { parseProcess } from "../../src/spec/parse.ts";
import type { Process } from "../../src/spec/process.ts";
import { callNames, calls, only, stringsOf } from "./steps.ts";

const SPEC = defaultSpec({ rootless: false, uid: 0, gid: 0, cgroup2: true });
const fds = descriptors(1);
const CONTEXT: ExecContext = {
  id: "c1",
  namespaces: CLONE_NEWNS,
  ownKeyring: true,
  ownPriority: false,
  stdio: [0, 1, 2].map(() => ({ null: false, uid: 0 })),
  descriptors: fds,
  lastCapability: 40,
};
const PROCESS: Process = { cwd: "/srv", args: ["/bin/sh", "-c"], env: ["A=1"] };

const plan = (process: Partial<Process> = {}, context: Partial<ExecContext> = {}, spec: Spec = SPEC) => {
  const whole = { ...PROCESS, ...process };
  return compileExec(spec, whole, planExecutable(whole), { ...CONTEXT, ...context });
};

describe("the Plan of a process that joins a container", () => {
  test("begins closed, and bound to the runtime's life", () => {
    const { steps } = plan();
    expect(
      calls(steps)
        .slice(0, 3)
        .map(({ call, args }) => [call, ...args.slice(0, 3)]),
    ).toEqual([
      ["close_range", fds.sync, 0xffff_ffff, CLOSE_RANGE_CLOEXEC],
      ["prctl", PR_SET_PDEATHSIG, SIGKILL, 0],
      ["prctl", PR_SET_DUMPABLE, 0, 0],
    ]);
  });

  test("ends with execve, right after it has let go of all and said so", () => {
    const all = calls(plan().steps);
    expect(all.slice(-4).map(({ call, args }) => [call, args[0], args[1]])).toEqual([
      ["close_range", fds.sync + 1, 0xffff_ffff],
      ["prctl", PR_SET_PDEATHSIG, 0],
      ["write", fds.sync, expect.anything()],
      ["execve", "/bin/sh", expect.anything()],
    ]);
    expect(stringsOf(all.at(-1)?.args[1])).toEqual(["/bin/sh", "-c"]);
    expect(stringsOf(all.at(-1)?.args[2])).toEqual(["A=1"]);
  });

  test("makes no mounts, no directory, no user namespace maps: it only enters what is there", () => {
    const names = new Set(callNames(plan({ terminal: true }).steps));
    for (const name of ["mount", "move_mount", "pivot_root", "mkdirat", "mknodat", "unshare", "chroot"]) {
      expect(names).not.toContain(name);
    }
  });

  test("enters the time namespace by itself, where it differs", () => {
    expect(callNames(plan().steps)).not.toContain("setns");
    const { steps } = plan({}, { namespaces: CLONE_NEWNS | CLONE_NEWTIME });
    expect(only(steps, "setns").args).toEqual([fds.time, CLONE_NEWTIME]);
  });

  test("takes the root of init where the container has no mount namespace of its own", () => {
    const linux = { ...SPEC.linux, namespaces: SPEC.linux.namespaces.filter(({ type }) => type !== "mount") };
    const names = callNames(plan({}, { namespaces: 0 }, { ...SPEC, linux }).steps);
    expect(names.slice(2, 5)).toEqual(["fchdir", "chroot", "chdir"]);
  });

  test("checks where the working directory lies, after the change of user", () => {
    const names = callNames(plan({ user: { uid: 5, gid: 5 } }).steps);
    expect(names.indexOf("getcwd")).toBeGreaterThan(names.indexOf("setresuid"));
    expect(names.indexOf("getcwd")).toBeLessThan(names.indexOf("capset"));
  });

  test("joins the container's session keyring, unless that is the caller's", () => {
    expect(callNames(plan().steps).filter((name) => name === "keyctl")).toHaveLength(2);
    expect(callNames(plan({}, { ownKeyring: false }).steps)).not.toContain("keyctl");
  });

  test("sends the master of its terminal, and asks for nothing else but what it needs", () => {
    const { steps, requests } = plan({ terminal: true });
    expect(requests.map(({ kind }) => kind)).toEqual(["console", "executing"]);
    const { args } = only(steps, "sendmsg");
    const { bytes } = encode(steps);
    // The control message: 20 bytes, SOL_SOCKET, SCM_RIGHTS, the descriptor.
    const control = new Uint8Array(new Uint32Array([20, 0, 1, SCM_RIGHTS, fds.console]).buffer);
    expect(Buffer.from(bytes).includes(Buffer.from(control))).toBe(true);
    expect(args[0]).toBe(fds.sync);
    expect(
      plan({ rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }] }).requests.map(({ kind }) => kind),
    ).toEqual(["limits", "executing"]);
  });

  test("says of an id that the user namespace does not map it", () => {
    const { steps } = plan({ user: { uid: 70000, gid: 0 } }, { namespaces: CLONE_NEWNS | CLONE_NEWUSER });
    expect(Object.values(only(steps, "setresuid").hints ?? {})).toEqual([
      "the user namespace's mappings do not cover this id",
    ]);
  });
});

describe("the process", () => {
  const COMMAND: Command = {
    args: ["true"],
    cwd: undefined,
    env: [],
    terminal: false,
    user: undefined,
    additionalGids: [],
    apparmorProfile: undefined,
    selinuxLabel: undefined,
    noNewPrivileges: undefined,
    capabilities: [],
  };
  const own: Process = {
    cwd: "/own",
    args: ["init"],
    env: ["A=1"],
    terminal: true,
    user: { uid: 1, gid: 2, additionalGids: [3], umask: 0o77 },
    capabilities: { bounding: ["CAP_KILL"] },
    rlimits: [{ type: "RLIMIT_CORE", soft: 1, hard: 1 }],
    noNewPrivileges: true,
    apparmorProfile: "own",
    selinuxLabel: "label",
    oomScoreAdj: 7,
  };
  const container: Spec = { ...SPEC, process: own };
  const read = () => "";
  const of = (command: Partial<Command>) => processOfCommand({ ...COMMAND, ...command }, container, read);

  test("of a command is the container's with another command, and no terminal", () => {
    expect(of({})).toEqual({ ...own, args: ["true"], terminal: false });
  });

  test("has what the options say", () => {
    const process = of({
      cwd: "/x",
      env: ["B=2"],
      terminal: true,
      user: "5:6",
      additionalGids: ["8"],
      apparmorProfile: "p",
      selinuxLabel: "l",
      noNewPrivileges: false,
      capabilities: ["chown"],
    });
    expect(process).toEqual({
      ...own,
      args: ["true"],
      cwd: "/x",
      env: ["A=1", "B=2"],
      user: { uid: 5, gid: 6, additionalGids: [3, 8], umask: 0o77 },
      apparmorProfile: "p",
      selinuxLabel: "l",
      noNewPrivileges: false,
      capabilities: {
        bounding: ["CAP_KILL", "CAP_CHOWN"],
        effective: ["CAP_CHOWN"],
        permitted: ["CAP_CHOWN"],
      },
    });
  });

  test("gets ambient capabilities only where the container has inheritable ones", () => {
    const inheritable = { ...container, process: { ...own, capabilities: { inheritable: [] } } };
    const { capabilities } = processOfCommand({ ...COMMAND, capabilities: ["CAP_CHOWN"] }, inheritable, read);
    expect(capabilities).toMatchObject({ ambient: ["CAP_CHOWN"], inheritable: [] });
  });

  test("of a file takes limits from the container where it has none, and nothing else", () => {
    const { capabilities, rlimits, apparmorProfile, selinuxLabel, oomScoreAdj } = own;
    const limits = { capabilities, rlimits, apparmorProfile, selinuxLabel, oomScoreAdj };
    expect(processOfFile({ cwd: "/f" }, container)).toEqual({ ...limits, cwd: "/f", user: { umask: 0o77 } });
    const full: Process = {
      ...own,
      cwd: "/f",
      apparmorProfile: "mine",
      selinuxLabel: "mine",
      oomScoreAdj: 0,
      capabilities: {},
      rlimits: [{ type: "RLIMIT_CPU", soft: 1, hard: 1 }],
      user: { uid: 9, umask: 1 },
    };
    expect(processOfFile(full, container)).toEqual(full);
  });

  test("of a file that says of a limit that it has none", () => {
    const process = processOfFile(
      { cwd: "/", apparmorProfile: "", selinuxLabel: "", rlimits: [] },
      container,
    );
    expect(process).toMatchObject({ apparmorProfile: "own", selinuxLabel: "label", rlimits: own.rlimits });
  });
});

describe("users", () => {
  const files: Record<string, string> = {
    "etc/passwd":
      "root:x:0:0::/root:/bin/sh\nbroken\nann:x:7:8:A:/a:/bin/sh\nbad:x:x:0::/:\nhuge:x:4294967295:0::/:\n",
    "etc/group": "root:x:0:ann\nstaff:x:50:bob,ann\nann:x:8:ann\nmore:x:50:ann\nodd:x::ann\nanna:x:9:anna\n",
  };
  const read = (path: string) => files[path] ?? "";
  const current = { uid: 1, gid: 2, additionalGids: [3] };

  test.each([
    ["7", { uid: 7, gid: 2, additionalGids: [3] }],
    ["007", { uid: 7, gid: 2, additionalGids: [3] }],
    ["7:9", { uid: 7, gid: 9, additionalGids: [3] }],
    ["ann", { uid: 7, gid: 8, additionalGids: [0, 50] }],
    ["ann:staff", { uid: 7, gid: 50, additionalGids: [] }],
    ["ann:9", { uid: 7, gid: 9, additionalGids: [] }],
    ["5:root", { uid: 5, gid: 0, additionalGids: [3] }],
    ["4294967294", { uid: 4294967294, gid: 2, additionalGids: [3] }],
  ])("%j", (text, user) => {
    expect(namedUser(text, current, read)).toEqual(user);
  });

  test.each([
    "",
    ":",
    ":0",
    "0:",
    "nobody",
    "-1",
    "1e3",
    "0x0",
    "1.0",
    " 1",
    "1:2:3",
    "bad",
    "huge",
    "4294967295",
    "0:4294967295",
    "broken",
    "ann:odd",
  ])("%j is refused, not guessed", (text) => {
    expect(() => namedUser(text, current, read)).toThrow(expect.objectContaining({ code: "invalid-option" }));
  });
});

describe("--cgroup", () => {
  const place = { mount: "/sys/fs/cgroup", path: "/c1" };

  test.each([
    ["sub", "/c1/sub"],
    ["/sub/", "/c1/sub"],
    ["./a//b", "/c1/a/b"],
    ["/", "/c1"],
  ])("%j is %j", (path, expected) => {
    expect(subCgroup(place, [path])).toEqual({ ...place, path: expected });
  });

  test.each([
    ["..", "bad sub cgroup path"],
    ["a/../../b", "bad sub cgroup path"],
    ["cpu:x", "invalid --cgroup argument: cpu:x"],
  ])("%j is refused", (path, error) => {
    expect(() => subCgroup(place, [path])).toThrow(error);
  });

  test("more than one is refused", () => {
    expect(() => subCgroup(place, ["a", "b"])).toThrow("invalid --cgroup argument");
  });
});

describe("an option that may be given more than once", () => {
  const options = { env: { kind: "list", short: "e", help: "" } } as const;

  test("has all its values, commas included", () => {
    expect(parseArguments(options, [], true).values.env).toEqual([]);
    const line = ["-e", "A=1,2", "--env=B=3", "-env", "C", "--env", "", "id", "-e", "x"];
    expect(parseArguments(options, line, true).values.env).toEqual(["A=1,2", "B=3", "C", ""]);
  });
});

describe("process.json", () => {
  test("is checked as config.json's process is", async () => {
    const text = JSON.stringify({ args: ["true"], cwd: "/", capabilities: null, apparmorProfil: "x" });
    const { process, warnings } = await parseProcess(text, "p.json");
    expect(process).toMatchObject({ args: ["true"], cwd: "/" });
    expect(process).not.toHaveProperty("capabilities");
    expect(warnings).toEqual([expect.stringContaining("process.apparmorProfil is not a property")]);
    await expect(parseProcess('{"cwd":"/","args":[1]}', "p.json")).rejects.toThrow("p.json: process.args[0]");
  });
});
