import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { ENOSYS, EPERM } from "../../src/linux/errno.ts";
import type { Seccomp } from "../../src/spec/seccomp.ts";
import { berth, type Config, directory, makeBundle, newId } from "../bundle.ts";
import { script, succeed } from "../container.ts";
import {
  buildProbe,
  drawing,
  engineProfile,
  matches,
  type Probe,
  probeArgument,
  systemCalls,
} from "../seccomp-profile.ts";

type Rule = NonNullable<Seccomp["syscalls"]>[number];
type Argument = NonNullable<Rule["args"]>[number];

/** What the probe itself needs. */
const PROBE_NEEDS =
  "execve write read fork wait4 exit exit_group rt_sigaction clone futex ptrace kill getpid".split(" ");
const SIGSYS = 31;

let probe = "";
beforeAll(() => {
  probe = buildProbe(directory);
});

/** Makes these calls in a container with this profile, and returns what became of each. */
function probed(
  seccomp: Seccomp,
  calls: readonly Probe[],
  patch: (config: Config) => void = () => {},
): string[] {
  const bundle = makeBundle((config) => {
    config.process.args = ["/probe", ...calls.map(probeArgument)];
    config.linux.seccomp = seccomp;
    patch(config);
  });
  copyFileSync(probe, join(bundle.rootfs, "probe"));
  const lines = succeed(["run", "--bundle", bundle.path, newId()]).split("\n").slice(0, -1);
  expect(lines.length).toBe(calls.length);
  return lines;
}

const native = systemCalls("64");
const narrow = systemCalls("32");
const numberOf = (name: string, way: Probe["way"] = "n") => (way === "i" ? narrow : native).get(name) ?? -1;

const allowing = (...syscalls: Rule[]): Seccomp => ({
  defaultAction: "SCMP_ACT_ALLOW",
  architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
  syscalls,
});

/** System calls that Linux has numbers for and nothing behind them: whatever their arguments are, they answer ENOSYS. */
const HOLLOW =
  "create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall security vserver".split(
    " ",
  );
const HOLLOW_NARROW =
  "create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall vserver break stty".split(
    " ",
  );

describe("an action", () => {
  const nr = numberOf("vserver");
  /** Of each of the hollow system calls that both tables have, what its rule is and what a call of it must come to. */
  const rows: readonly (readonly [
    Rule["action"],
    number | undefined,
    Probe["way"],
    (call: number) => string,
  ])[] = [
    ["SCMP_ACT_ALLOW", undefined, "n", () => `= ${-ENOSYS}`],
    ["SCMP_ACT_LOG", undefined, "n", () => `= ${-ENOSYS}`],
    ["SCMP_ACT_KILL", undefined, "n", () => `signal ${SIGSYS}`],
    ["SCMP_ACT_KILL", undefined, "t", () => "thread"],
    ["SCMP_ACT_KILL_THREAD", undefined, "t", () => "thread"],
    ["SCMP_ACT_KILL_THREAD", undefined, "i", () => `signal ${SIGSYS}`],
    ["SCMP_ACT_KILL_PROCESS", undefined, "n", () => `signal ${SIGSYS}`],
    ["SCMP_ACT_KILL_PROCESS", undefined, "t", () => `signal ${SIGSYS}`],
    ["SCMP_ACT_KILL_PROCESS", undefined, "i", () => `signal ${SIGSYS}`],
    ["SCMP_ACT_TRAP", undefined, "n", (call) => `trap ${call} 0`],
    ["SCMP_ACT_TRAP", undefined, "i", (call) => `trap ${call} 0`],
    ["SCMP_ACT_ERRNO", undefined, "n", () => `= ${-EPERM}`],
    ["SCMP_ACT_ERRNO", undefined, "i", () => `= ${-EPERM}`],
    ["SCMP_ACT_ERRNO", 0, "n", () => "= 0"],
    ["SCMP_ACT_ERRNO", 5, "n", () => "= -5"],
    ["SCMP_ACT_ERRNO", 4094, "n", () => "= -4094"],
    // With nobody who traces.
    ["SCMP_ACT_TRACE", undefined, "n", () => `= ${-ENOSYS}`],
    ["SCMP_ACT_TRACE", undefined, "p", () => `trace ${EPERM}`],
    ["SCMP_ACT_TRACE", 0, "p", () => "trace 0"],
    ["SCMP_ACT_TRACE", 65535, "p", () => "trace 65535"],
  ];
  const BOTH = HOLLOW.filter((name) => HOLLOW_NARROW.includes(name));
  test.each([0, 1, 2])("does what it says, by the thread and by the process, part %i", (part) => {
    const mine = rows.slice(part * BOTH.length, (part + 1) * BOTH.length);
    expect(mine.length).toBeGreaterThan(0);
    const rules = mine.map(([action, errnoRet], i): Rule => {
      return { names: [BOTH[i] ?? ""], action, ...(errnoRet === undefined ? {} : { errnoRet }) };
    });
    const calls = mine.map(([, , way], i): Probe => ({ way, call: numberOf(BOTH[i] ?? "", way) }));
    const expected = mine.map(([, , , outcome], i) => outcome(calls[i]?.call ?? 0));
    expect(probed(allowing(...rules), calls)).toEqual(expected);
  });

  test.each<[Rule["action"], number | undefined, string]>([
    ["SCMP_ACT_ERRNO", undefined, `= ${-EPERM}`],
    ["SCMP_ACT_ERRNO", 17, "= -17"],
    ["SCMP_ACT_TRAP", undefined, `trap ${nr} 0`],
    ["SCMP_ACT_KILL", undefined, `signal ${SIGSYS}`],
    ["SCMP_ACT_KILL_PROCESS", undefined, `signal ${SIGSYS}`],
    ["SCMP_ACT_TRACE", undefined, `= ${-ENOSYS}`],
    ["SCMP_ACT_LOG", undefined, `= ${-ENOSYS}`],
  ])("%s by default, with defaultErrnoRet %s: %s", (defaultAction, defaultErrnoRet, expected) => {
    const seccomp: Seccomp = {
      defaultAction,
      ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
      // A later system call than vserver, so that this one is not newer than the profile.
      syscalls: [{ names: [...PROBE_NEEDS, "openat2"], action: "SCMP_ACT_ALLOW" }],
    };
    expect(probed(seccomp, [{ way: "n", call: nr }])).toEqual([expected]);
  });
});

/** Numbers at which comparisons go wrong when they do. */
const EDGES = [0, 1, 2, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const WIDE_EDGES = [...EDGES, 2 ** 32, 2 ** 32 + 1, 2 ** 48, 2 ** 53 - 1];
const OPERATORS = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
] as const;

/** A profile with a rule for each hollow system call, calls of them, and what they must come to. */
function generated(seed: number, way: "n" | "i"): { seccomp: Seccomp; calls: Probe[]; expected: string[] } {
  const draw = drawing(seed);
  const edges = way === "i" ? EDGES : WIDE_EDGES;
  const pick = <T>(list: readonly T[]): T => list[draw(list.length)] as T;
  const rules = (way === "i" ? HOLLOW_NARROW : HOLLOW).map((name, i): Rule => {
    const count = 1 + draw(3);
    const indices = [0, 1, 2, 3, 4, 5].sort(() => draw(3) - 1).slice(0, count);
    const args = indices.map((index, n): Argument => {
      const op = n === 0 ? (OPERATORS[(i + seed) % OPERATORS.length] ?? "SCMP_CMP_EQ") : pick(OPERATORS);
      const value = pick(edges);
      if (op !== "SCMP_CMP_MASKED_EQ") return { index, op, value };
      // A value with bits outside of the mask would never be equal.
      return { index, op, value, valueTwo: Number(BigInt(value) & BigInt(pick(edges))) };
    });
    return { names: [name], action: "SCMP_ACT_ERRNO", errnoRet: 100 + i, args };
  });
  const calls: Probe[] = [];
  const expected: string[] = [];
  for (const rule of rules) {
    const call = numberOf(rule.names[0] ?? "", way);
    for (let n = 0; n < 6; n++) {
      const args = Array.from({ length: 6 }, () => BigInt(pick(edges)));
      // By chance alone a rule of several comparisons would hardly ever match.
      if (n < 3)
        for (const { index, value, valueTwo, op } of rule.args ?? []) {
          const near = op === "SCMP_CMP_MASKED_EQ" ? (valueTwo ?? 0) : value;
          args[index] = BigInt(
            Math.max(0, Math.min(near + draw(3) - 1, way === "i" ? 0xffff_ffff : 2 ** 53)),
          );
        }
      calls.push({ way, call, args });
      expected.push(matches(rule, args) ? `= -${rule.errnoRet}` : `= ${-ENOSYS}`);
    }
  }
  return { seccomp: allowing(...rules), calls, expected };
}

describe("comparisons of arguments", () => {
  test.each([1, 2, 3, 4, 5, 6, 7])("60 calls of 64 bits, seed %i", (seed) => {
    const { seccomp, calls, expected } = generated(seed, "n");
    expect(new Set(expected).size).toBeGreaterThan(3);
    expect(probed(seccomp, calls)).toEqual(expected);
  });

  test.each([8, 9, 10, 11])("60 calls of 32 bits, seed %i", (seed) => {
    const { seccomp, calls, expected } = generated(seed, "i");
    expect(new Set(expected).size).toBeGreaterThan(3);
    expect(probed(seccomp, calls)).toEqual(expected);
  });

  test("an argument that is named twice: one comparison is enough, as in runc", () => {
    const equals = (value: number): Argument => ({ index: 0, op: "SCMP_CMP_EQ", value });
    const rule: Rule = {
      names: ["vserver"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 99,
      args: [equals(3), equals(5)],
    };
    const calls = [3n, 4n, 5n].map(
      (value): Probe => ({ way: "n", call: numberOf("vserver"), args: [value] }),
    );
    expect(probed(allowing(rule), calls)).toEqual(["= -99", `= ${-ENOSYS}`, "= -99"]);
  });

  test("numbers that a double does not hold", () => {
    const seccomp = allowing({
      names: ["vserver"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 99,
      args: [{ index: 1, op: "SCMP_CMP_EQ", value: 424242424242 }],
    });
    const bundle = makeBundle((config) => {
      config.linux.seccomp = seccomp;
      const values = [2n ** 64n - 1n, 2n ** 64n - 2n, 2n ** 64n - 1024n];
      const calls = values.map(
        (value): Probe => ({ way: "n", call: numberOf("vserver"), args: [0n, value] }),
      );
      config.process.args = ["/probe", ...calls.map(probeArgument)];
    });
    copyFileSync(probe, join(bundle.rootfs, "probe"));
    const text = JSON.stringify(bundle.config).replace("424242424242", String(2n ** 64n - 2n));
    const config = join(bundle.path, "long.json");
    Bun.spawnSync(["sh", "-c", 'printf %s "$1" > "$2"', "sh", text, config]);
    const output = succeed(["run", "--config", config, "--bundle", bundle.path, newId()]);
    expect(output).toBe(`= ${-ENOSYS}\n= -99\n= ${-ENOSYS}\n`);
  });
});

describe("system calls newer than the profile", () => {
  const strict = (defaultAction: Rule["action"], names: string[] = []): Seccomp => ({
    defaultAction,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    syscalls: [{ names: [...PROBE_NEEDS, ...names], action: "SCMP_ACT_ALLOW" }],
  });
  const last = numberOf("openat2");
  const calls: Probe[] = [
    { way: "n", call: last - 1 },
    { way: "n", call: last + 1 },
    { way: "n", call: 1000 },
    { way: "i", call: numberOf("openat2", "i") - 1 },
    { way: "i", call: numberOf("openat2", "i") + 1 },
  ];
  const ENOSYS_LINE = `= ${-ENOSYS}`;

  test.each<[Rule["action"], string]>([
    ["SCMP_ACT_ERRNO", "= -1"],
    ["SCMP_ACT_KILL", `signal ${SIGSYS}`],
  ])("answer ENOSYS where %s is the default", (action, denied) => {
    const found = probed(strict(action, ["openat2"]), calls);
    expect(found).toEqual([denied, ENOSYS_LINE, ENOSYS_LINE, denied, ENOSYS_LINE]);
  });

  test("the last number is that of each architecture", () => {
    // On x86 alone there is a waitpid; the numbers of both differ.
    const seccomp = strict("SCMP_ACT_ERRNO");
    const [wide, slim] = [numberOf("wait4"), numberOf("exit_group", "i")].map((n) => n ?? 0) as [
      number,
      number,
    ];
    expect(wide).toBeLessThan(slim);
    expect(
      probed(seccomp, [
        { way: "n", call: numberOf("exit_group") + 1 },
        { way: "i", call: slim - 1 },
        { way: "i", call: slim + 1 },
      ]),
    ).toEqual([ENOSYS_LINE, "= -1", ENOSYS_LINE]);
  });

  test("of an architecture that the profile does not know, all kill", () => {
    const seccomp = { ...strict("SCMP_ACT_ERRNO"), architectures: ["SCMP_ARCH_X86_64" as const] };
    expect(probed(seccomp, [{ way: "i", call: numberOf("getpid", "i") }])).toEqual([`signal ${SIGSYS}`]);
    expect(probed(seccomp, [{ way: "n", call: 0x4000_0000 + numberOf("getpid") }])).toEqual([
      `signal ${SIGSYS}`,
    ]);
  });
});

describe("when it is loaded", () => {
  const onlyExecve: Seccomp = {
    defaultAction: "SCMP_ACT_KILL_PROCESS",
    syscalls: [{ names: ["execve", "exit_group"], action: "SCMP_ACT_ALLOW" }],
  };

  test.each([true, false])("nothing but execve is needed, with noNewPrivileges %s", (noNewPrivileges) => {
    const patch = (config: Config) => {
      config.process.noNewPrivileges = noNewPrivileges;
    };
    // To make no call, the program need only be executed and exit.
    expect(probed(onlyExecve, [], patch)).toEqual([]);
  });

  test.each([0, 1000])(
    "without noNewPrivileges, user %i gets the capabilities of config.json and no other",
    (uid) => {
      const bundle = makeBundle((config) => {
        script("grep -e '^Cap' -e '^NoNew' -e '^Seccomp:' /proc/self/status")(config);
        config.process.noNewPrivileges = false;
        config.process.user = { uid, gid: 0 };
        config.process.capabilities = {
          bounding: ["CAP_KILL", "CAP_CHOWN"],
          permitted: ["CAP_KILL"],
          effective: ["CAP_KILL"],
          inheritable: ["CAP_KILL"],
          ambient: ["CAP_KILL"],
        };
        config.linux.seccomp = allowing();
      });
      const filtered = succeed(["run", "--bundle", bundle.path, newId()]);
      const { seccomp, ...linux } = bundle.config.linux;
      const plain = makeBundle((config) => Object.assign(config, bundle.config, { linux }));
      const unfiltered = succeed(["run", "--bundle", plain.path, newId()]);
      expect(seccomp).toBeDefined();
      expect(filtered).toBe(unfiltered.replace("Seccomp:\t0", "Seccomp:\t2"));
      expect(filtered).toContain("NoNewPrivs:\t0");
    },
  );

  test.each([true, false])("in a user namespace, with noNewPrivileges %s", (noNewPrivileges) => {
    const found = probed(
      allowing({ names: ["vserver"], action: "SCMP_ACT_ERRNO", errnoRet: 99 }),
      [{ way: "n", call: numberOf("vserver") }],
      (config) => {
        config.process.noNewPrivileges = noNewPrivileges;
        config.linux.namespaces.push({ type: "user" });
        config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
        config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
      },
    );
    expect(found).toEqual(["= -99"]);
  });

  test("hooks run without it", () => {
    const bundle = makeBundle((config) => {
      config.linux.seccomp = onlyExecve;
      config.process.args = ["/probe"];
      config.hooks = {
        startContainer: [
          { path: "/bin/sh", args: ["sh", "-c", "grep Seccomp: /proc/self/status > /dev/shm/hook"] },
        ],
        poststart: [{ path: "/bin/true" }],
      };
    });
    copyFileSync(probe, join(bundle.rootfs, "probe"));
    expect(succeed(["run", "--bundle", bundle.path, newId()])).toBe("");
  });

  test.each<[string, Rule["action"]]>([
    ["an errno", "SCMP_ACT_ERRNO"],
    ["death", "SCMP_ACT_KILL_PROCESS"],
    ["a signal", "SCMP_ACT_TRAP"],
  ])("a failed execve is told although all else means %s", (_, defaultAction) => {
    const bundle = makeBundle((config) => {
      config.linux.seccomp = { defaultAction, syscalls: [{ names: ["execve"], action: "SCMP_ACT_ALLOW" }] };
      config.process.args = ["/broken"];
    });
    Bun.spawnSync(["sh", "-c", `printf 'no program' > "$0"; chmod 755 "$0"`, join(bundle.rootfs, "broken")]);
    const { status, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("exec format error"),
    });
    const id = newId();
    succeed(["create", "--bundle", bundle.path, id]);
    expect(berth(["start", id]).stderr).toContain("exec format error");
    succeed(["delete", "--force", id]);
  });
});

test("each flag, alone and with the others", () => {
  const flags: NonNullable<Seccomp["flags"]> = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
  ];
  const denied: Rule = { names: ["vserver"], action: "SCMP_ACT_ERRNO", errnoRet: 99 };
  for (const some of [[], flags, ...flags.map((flag) => [flag])]) {
    const found = probed({ ...allowing(denied), flags: some }, [{ way: "n", call: numberOf("vserver") }]);
    expect({ some, found }).toEqual({ some, found: ["= -99"] });
  }
});

test.each<[string, Partial<Seccomp>, string]>([
  ["SPEC_ALLOW where config.json has none", {}, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
  ["none where its list is empty", { flags: [] }, "0"],
  ["those it names", { flags: ["SECCOMP_FILTER_FLAG_LOG"] }, "SECCOMP_FILTER_FLAG_LOG"],
  [
    "not WAIT_KILLABLE_RECV, which is about notifications",
    { flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] },
    "0",
  ],
])("flags: %s", (_, more, flags) => {
  const bundle = makeBundle((config) => {
    config.linux.seccomp = { ...allowing(), ...more };
  });
  const steps = succeed(["explain", bundle.path]);
  expect(steps).toMatch(new RegExp(`seccomp\\b.*SECCOMP_SET_MODE_FILTER.*\\b${flags}\\b`));
});

test("a profile like an engine's own", () => {
  const bundle = makeBundle((config) => {
    script("hostname new || echo denied; ls / > /dev/null && echo listed; grep Seccomp: /proc/self/status")(
      config,
    );
    config.process.capabilities = {
      bounding: ["CAP_SYS_ADMIN"],
      permitted: ["CAP_SYS_ADMIN"],
      effective: ["CAP_SYS_ADMIN"],
    };
    config.linux.seccomp = engineProfile();
  });
  const { stdout } = berth(["run", "--bundle", bundle.path, newId()]);
  expect(stdout).toBe("denied\nlisted\nSeccomp:\t2\n");
});

/** Where Debian's golang-github-containers-common has Podman's own. */
const PODMAN = "/usr/share/containers/seccomp.json";

test.skipIf(!existsSync(PODMAN))("Podman's default profile", () => {
  interface Condition {
    readonly arches?: readonly string[];
    readonly caps?: readonly string[];
  }
  type Entry = Rule & { readonly includes?: Condition; readonly excludes?: Condition };
  const podman = JSON.parse(readFileSync(PODMAN, "utf8")) as {
    defaultAction: Rule["action"];
    defaultErrnoRet?: number;
    syscalls: readonly Entry[];
  };
  // As an engine does it for a container without capabilities.
  const syscalls = podman.syscalls
    .filter(({ includes = {}, excludes = {} }) => {
      const here = (arches: readonly string[] = []) =>
        arches.some((arch) => ["amd64", "x86", "x32"].includes(arch));
      if ((includes.caps ?? []).length > 0) return false;
      return ((includes.arches ?? []).length === 0 || here(includes.arches)) && !here(excludes.arches);
    })
    .map(({ names, action, errnoRet, args }): Rule => {
      return { names, action, ...(errnoRet == null ? {} : { errnoRet }), ...(args == null ? {} : { args }) };
    });
  const bundle = makeBundle((config) => {
    script("ls / > /dev/null && echo listed; grep Seccomp: /proc/self/status")(config);
    config.linux.seccomp = {
      defaultAction: podman.defaultAction,
      ...(podman.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: podman.defaultErrnoRet }),
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      syscalls,
    };
  });
  expect(syscalls.length).toBeGreaterThan(5);
  const { status, stdout } = berth(["run", "--bundle", bundle.path, newId()]);
  expect({ status, stdout }).toEqual({ status: 0, stdout: "listed\nSeccomp:\t2\n" });
});
