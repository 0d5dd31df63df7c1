import { describe, expect, test } from "vitest";
import { ENOSYS } from "../../src/linux/errno.ts";
import { answerOf, assemble, type Instruction, LOAD, RETURN } from "../../src/process/seccomp/bpf.ts";
import { pack, unpack } from "../../src/process/seccomp/cache.ts";
import { exactValues } from "../../src/process/seccomp/exact.ts";
import { asksForSeccomp } from "../../src/process/seccomp/load.ts";
import { ACTIONS } from "../../src/process/seccomp/names.ts";
import {
  AUDIT_ARCH_X86_64,
  answersNewer,
  newerPrologue,
  SCMP_ARCH_X32,
} from "../../src/process/seccomp/newer.ts";
import { readProfile } from "../../src/process/seccomp/profile.ts";
import { defaultSpec } from "../../src/spec/default.ts";
import type { Seccomp } from "../../src/spec/seccomp.ts";

const AUDIT_ARCH_I386 = 0x4000_0003;
const AUDIT_ARCH_AARCH64 = 0xc000_00b7;
const FILTER = 0x1234;

describe("the prologue for newer system calls", () => {
  const answers = (last: ReadonlyMap<number, number>) => {
    const program = assemble([...newerPrologue(last), [RETURN, FILTER]]);
    return (architecture: number, number: number) => answerOf(program, architecture, number);
  };
  const enosys = (ACTIONS.SCMP_ACT_ERRNO | ENOSYS) >>> 0;

  test.each<[string, ReadonlyMap<number, number>]>([
    ["one architecture", new Map([[AUDIT_ARCH_X86_64, 300]])],
    [
      "two",
      new Map([
        [AUDIT_ARCH_X86_64, 300],
        [AUDIT_ARCH_I386, 200],
      ]),
    ],
    [
      "three, in another order",
      new Map([
        [AUDIT_ARCH_I386, 200],
        [AUDIT_ARCH_AARCH64, 100],
        [AUDIT_ARCH_X86_64, 300],
      ]),
    ],
    [
      "with x32",
      new Map([
        [AUDIT_ARCH_X86_64, 300],
        [AUDIT_ARCH_I386, 200],
        [SCMP_ARCH_X32, 0x4000_0190],
      ]),
    ],
  ])("%s: up to the last the filter decides, above it ENOSYS", (_, last) => {
    const answer = answers(last);
    for (const [number, greatest] of last) {
      const architecture = number === SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : number;
      expect(answer(architecture, greatest)).toBe(FILTER);
      expect(answer(architecture, greatest + 1)).toBe(enosys);
      expect(answer(architecture, 0)).toBe(FILTER);
    }
    // x32 without rules of its own is for the filter to refuse.
    if (!last.has(SCMP_ARCH_X32)) expect(answer(AUDIT_ARCH_X86_64, 0x4000_0999)).toBe(FILTER);
    expect(answer(0x1234_5678, 9999)).toBe(FILTER);
  });

  test("none without a number", () => {
    expect(newerPrologue(new Map())).toEqual([]);
  });

  test.each<[keyof typeof ACTIONS, number, boolean]>([
    ["SCMP_ACT_ERRNO", 1, true],
    ["SCMP_ACT_ERRNO", ENOSYS, false],
    ["SCMP_ACT_KILL", 0, true],
    ["SCMP_ACT_KILL_PROCESS", 0, true],
    ["SCMP_ACT_TRAP", 0, true],
    ["SCMP_ACT_NOTIFY", 0, true],
    ["SCMP_ACT_TRACE", 1, false],
    ["SCMP_ACT_LOG", 0, false],
    ["SCMP_ACT_ALLOW", 0, false],
  ])("by default %s with %i: %s", (action, value, answered) => {
    expect(answersNewer((ACTIONS[action] | value) >>> 0)).toBe(answered);
  });
});

test("what depends on an argument has no answer", () => {
  const program: Instruction[] = [
    [LOAD, 16],
    [RETURN, 0],
  ];
  expect(answerOf(assemble(program), AUDIT_ARCH_X86_64, 0)).toBe(undefined);
});

const withArgs = (args: { value: number; valueTwo?: number }[]): Seccomp => ({
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [
    { names: ["read"], action: "SCMP_ACT_KILL" },
    {
      names: ["write"],
      action: "SCMP_ACT_KILL",
      args: args.map((arg, index) => ({ index, op: "SCMP_CMP_MASKED_EQ" as const, ...arg })),
    },
  ],
});

describe("values", () => {
  test.each<[number, readonly [number, number]]>([
    [0, [0, 0]],
    [0xffff_ffff, [0xffff_ffff, 0]],
    [2 ** 32, [0, 1]],
    [2 ** 53 - 1, [0xffff_ffff, 0x1f_ffff]],
  ])("%d", (value, halves) => {
    expect(exactValues(withArgs([{ value }]), "not looked at")(1, 0, "value")).toEqual(halves);
  });

  test.each(["18446744073709551615", "18446744073709551614", "9007199254740993", "9223372036854775808"])(
    "%s as config.json writes it",
    (digits) => {
      const seccomp = withArgs([{ value: 1, valueTwo: 424242 }]);
      const annotations = { value: `"value": ${digits},`, note: '\\"value\\": 1111111111111111111,' };
      const text = JSON.stringify({ annotations, linux: { seccomp } }).replace("424242", digits);
      const parsed = JSON.parse(text) as { linux: { seccomp: Seccomp } };
      const [low, high] = exactValues(parsed.linux.seccomp, text)(1, 0, "valueTwo");
      expect((BigInt(high) << 32n) | BigInt(low)).toBe(BigInt(digits));
      expect(exactValues(parsed.linux.seccomp, text)(1, 0, "value")).toEqual([1, 0]);
    },
  );

  test("a number with an exponent is what a double makes of it", () => {
    const text = JSON.stringify({ linux: { seccomp: withArgs([{ value: 424242 }]) } }).replace(
      "424242",
      "1e19",
    );
    const parsed = JSON.parse(text) as { linux: { seccomp: Seccomp } };
    const [low, high] = exactValues(parsed.linux.seccomp, text)(1, 0, "value");
    expect((BigInt(high) << 32n) | BigInt(low)).toBe(10n ** 19n);
  });
});

describe("a profile", () => {
  test("actions with their values, EPERM where none is given", () => {
    const { defaultAction, rules, notifies } = readProfile(
      {
        defaultAction: "SCMP_ACT_ERRNO",
        syscalls: [
          { names: ["a"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
          { names: ["b"], action: "SCMP_ACT_TRACE" },
          { names: ["c"], action: "SCMP_ACT_KILL_PROCESS" },
        ],
      },
      "",
    );
    expect([defaultAction, ...rules.map(({ action }) => action)]).toEqual([
      0x50001, 0x50026, 0x7ff00001, 0x80000000,
    ]);
    expect(notifies).toBe(false);
  });

  test("comparisons of one argument become rules of their own, those of several stay together", () => {
    const rule = (indices: number[]): Seccomp => ({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [
        {
          names: ["a"],
          action: "SCMP_ACT_NOTIFY",
          args: indices.map((index) => ({ index, value: 1, op: "SCMP_CMP_EQ" as const })),
        },
      ],
    });
    const shape = (indices: number[]) =>
      readProfile(rule(indices), "").rules[0]?.conditions.map((all) => all.map(({ index }) => index));
    expect(shape([0, 1, 5])).toEqual([[0, 1, 5]]);
    expect(shape([0, 1, 0])).toEqual([[0], [1], [0]]);
    expect(shape([])).toEqual([[]]);
    expect(readProfile(rule([]), "").notifies).toBe(true);
  });

  test("nothing in it asks for nothing", () => {
    const spec = defaultSpec({ rootless: false, uid: 0, gid: 0, cgroup2: true });
    const asks = (seccomp: Seccomp | undefined) =>
      asksForSeccomp({ ...spec, linux: { ...spec.linux, ...(seccomp === undefined ? {} : { seccomp }) } });
    expect(asks(undefined)).toBe(false);
    expect(asks({ defaultAction: "", architectures: [], syscalls: [] })).toBe(false);
    expect(asks({ defaultAction: "SCMP_ACT_ALLOW" })).toBe(true);
    expect(asks({ syscalls: [{ names: ["read"], action: "SCMP_ACT_KILL" }] })).toBe(true);
  });
});

describe("a kept filter", () => {
  const compiled = { program: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), notifies: true, unknown: ["ä", "b"] };
  const key = "0123";

  test("is what was kept", () => {
    expect(unpack(key, pack(key, compiled))).toEqual(compiled);
  });

  test("is none with any bit changed, when cut, or under another name", () => {
    const bytes = pack(key, compiled);
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.slice();
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(unpack(key, changed)).toBe(undefined);
      expect(unpack(key, bytes.subarray(0, i))).toBe(undefined);
    }
    expect(unpack("0124", bytes)).toBe(undefined);
  });
});
