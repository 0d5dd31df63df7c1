import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as constants from "../../src/linux/constants.ts";
import * as errno from "../../src/linux/errno.ts";
import { syscallNumber } from "../../src/linux/numbers.ts";
import { slot } from "../../src/plan/build.ts";
import { createRequests } from "../../src/plan/protocol.ts";
import { ownLimitSteps } from "../../src/process/limits.ts";
import { schedulingSteps } from "../../src/process/scheduling.ts";
import { MOUNT_ATTR_SIZE, OPEN_HOW_SIZE, STATFS_SIZE, STATX } from "../../src/rootfs/structs.ts";
import { CAPABILITIES } from "../../src/spec/capabilities.ts";
import type { IoPriority, Rlimit, Scheduler } from "../../src/spec/process.ts";
import { calls, rawOf } from "./steps.ts";

/*
 * What the source says of the kernel, against the kernel's own headers: a program with one assertion for each fact, which is
 * only ever checked by the compiler. No libc takes part: linux-libc-dev may be all that there is.
 */

/** In no header of the kernel's (man 2 access, socket, umount2, statfs), or newer than the oldest headers we build with. */
const NOT_IN_HEADERS: ReadonlySet<string> = new Set([
  "X_OK",
  "AF_UNIX",
  "AF_NETLINK",
  "IFF_UP",
  "SOCK_DGRAM",
  "SOCK_RAW",
  "MPOL_WEIGHTED_INTERLEAVE",
  "SOCK_STREAM",
  "SOCK_SEQPACKET",
  "SOCK_CLOEXEC",
  "SCM_RIGHTS",
  "MSG_CMSG_CLOEXEC",
  "MNT_DETACH",
  "ST_NOEXEC",
  "PROC_ROOT_INO",
  "MFD_EXEC",
  "MFD_NOEXEC_SEAL",
]);

const HEADERS = [
  "stdint.h",
  "asm/errno.h",
  "asm/ioctls.h",
  "asm/signal.h",
  "asm/siginfo.h",
  "asm/socket.h",
  "asm/stat.h",
  "asm/statfs.h",
  "asm/termbits.h",
  "asm/termios.h",
  "linux/bpf.h",
  "linux/capability.h",
  "linux/close_range.h",
  "linux/fcntl.h",
  "linux/if_addr.h",
  "linux/if_link.h",
  "linux/ioprio.h",
  "linux/keyctl.h",
  "linux/magic.h",
  "linux/memfd.h",
  "linux/mempolicy.h",
  "linux/mman.h",
  "linux/mount.h",
  "linux/netlink.h",
  "linux/nsfs.h",
  "linux/openat2.h",
  "linux/personality.h",
  "linux/poll.h",
  "linux/prctl.h",
  "linux/resource.h",
  "linux/rtnetlink.h",
  "linux/sched.h",
  "linux/seccomp.h",
  "linux/sched/types.h",
  "linux/signalfd.h",
  "linux/stat.h",
  "linux/wait.h",
];

/** What the compiler says of assertions, each "expression" being equal to a number; "" when all hold. */
function complaints(headers: readonly string[], facts: readonly (readonly [string, number])[]): string {
  const directory = mkdtempSync(join(tmpdir(), "berth-constants-"));
  try {
    const source = join(directory, "facts.c");
    writeFileSync(
      source,
      [
        ...headers.map((name) => (name.startsWith("#") ? name : `#include <${name}>`)),
        // A fact that the compiler did not look at would look like one that holds.
        `enum { FACTS = ${facts.length} };`,
        ...facts.map(
          ([name, value]) => `_Static_assert((long long)(${name}) == ${value}LL, "${name} is not ${value}");`,
        ),
        "",
      ].join("\n"),
    );
    const { stdout, stderr } = Bun.spawnSync(["cc", "-std=gnu11", "-ffreestanding", "-fsyntax-only", source]);
    return `${stdout}${stderr}`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const numbersOf = (module: Readonly<Record<string, unknown>>) =>
  Object.entries(module).filter((entry): entry is [string, number] => typeof entry[1] === "number");

describe("the kernel's headers agree with", () => {
  test("nothing that is wrong", () => {
    expect(complaints(["linux/fcntl.h"], [["AT_FDCWD", -99]])).toContain("AT_FDCWD is not -99");
    expect(complaints(["linux/fcntl.h"], [["NO_SUCH_NAME", 1]])).toContain("NO_SUCH_NAME");
  });

  test("src/linux/constants.ts", () => {
    const facts = numbersOf(constants)
      .filter(([name]) => !NOT_IN_HEADERS.has(name))
      .map(([name, value]) => [name === "LINUX_CAPABILITY_VERSION_3" ? `_${name}` : name, value] as const);
    expect(facts.length).toBeGreaterThan(150);
    expect(complaints(HEADERS, facts)).toBe("");
  });

  test("src/linux/errno.ts", () => {
    const facts = numbersOf(errno);
    for (const [name, value] of facts) expect(errno.errnoName(value)).toBe(name);
    expect(complaints(["asm/errno.h"], facts)).toBe("");
    const named = Array.from({ length: 200 }, (_, i) => [errno.errnoName(i), i] as const);
    const known = named.filter(([name]) => name.startsWith("E"));
    expect(known.length).toBeGreaterThan(50);
    expect(complaints(["asm/errno.h"], known)).toBe("");
  });

  test("src/linux/numbers.ts, both columns", () => {
    const source = readFileSync(join(import.meta.dirname, "../../src/linux/numbers.ts"), "utf8");
    const rows = [...source.matchAll(/^ {2}(\w+): \[(\d+), (\d+)\],$/gm)].map(
      ([, name = "", x86, generic]) => [name, Number(x86), Number(generic)] as const,
    );
    expect(rows.length).toBeGreaterThan(80);
    const own = process.arch === "arm64" ? 2 : 1;
    for (const row of rows)
      expect(syscallNumber(row[0] as Parameters<typeof syscallNumber>[0])).toBe(row[own]);
    const here = rows.map((row) => [`__NR_${row[0]}`, row[own]] as const);
    expect(complaints(["asm/unistd.h"], here)).toBe("");
    const generic = rows.map(([name, , number]) => [`__NR_${name}`, number] as const);
    // As arch/arm64/include/uapi/asm/unistd.h includes it.
    const header = [
      "#define __ARCH_WANT_RENAMEAT",
      "#define __ARCH_WANT_NEW_STAT",
      "#include <asm-generic/unistd.h>",
    ];
    expect(complaints(header, generic)).toBe("");
  });

  test("the numbers of capabilities, limits, schedulers and I/O classes", () => {
    const limits = [
      "RLIMIT_AS",
      "RLIMIT_CORE",
      "RLIMIT_CPU",
      "RLIMIT_DATA",
      "RLIMIT_FSIZE",
      "RLIMIT_LOCKS",
      "RLIMIT_MEMLOCK",
      "RLIMIT_MSGQUEUE",
      "RLIMIT_NICE",
      "RLIMIT_NOFILE",
      "RLIMIT_NPROC",
      "RLIMIT_RSS",
      "RLIMIT_RTPRIO",
      "RLIMIT_RTTIME",
      "RLIMIT_SIGPENDING",
      "RLIMIT_STACK",
    ] as const satisfies readonly Rlimit["type"][];
    const limitFacts = limits.map((type) => {
      const [step] = calls(ownLimitSteps([{ type, soft: 1, hard: 1 }], createRequests(3)));
      return [type, Number(step?.args[1])] as const;
    });
    const policies = [
      "SCHED_OTHER",
      "SCHED_FIFO",
      "SCHED_RR",
      "SCHED_BATCH",
      "SCHED_IDLE",
      "SCHED_DEADLINE",
    ] as const;
    const flags = [
      "SCHED_FLAG_RESET_ON_FORK",
      "SCHED_FLAG_RECLAIM",
      "SCHED_FLAG_DL_OVERRUN",
      "SCHED_FLAG_KEEP_POLICY",
      "SCHED_FLAG_KEEP_PARAMS",
      "SCHED_FLAG_UTIL_CLAMP_MIN",
      "SCHED_FLAG_UTIL_CLAMP_MAX",
    ] as const;
    const attributes = (scheduler: Scheduler) =>
      rawOf(calls(schedulingSteps({ cwd: "/", scheduler }, slot("pid"), slot("dir")))[0]?.args[1]);
    const classes = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"] as const;
    const ioprio = (ioPriority: IoPriority) =>
      Number(calls(schedulingSteps({ cwd: "/", ioPriority }, slot("pid"), slot("dir")))[0]?.args[2]);
    const facts = [
      ...Object.entries(CAPABILITIES),
      ["CAP_LAST_CAP", Math.max(...Object.values(CAPABILITIES))] as const,
      ...limitFacts,
      ...policies.map((policy) => {
        // <linux/sched.h> calls it SCHED_NORMAL.
        const name = policy === "SCHED_OTHER" ? "SCHED_NORMAL" : policy;
        return [name, attributes({ policy }).getUint32(4, true)] as const;
      }),
      ...flags.map(
        (flag) => [flag, attributes({ policy: "SCHED_OTHER", flags: [flag] }).getUint32(8, true)] as const,
      ),
      ...classes.map(
        (name) => [`IOPRIO_PRIO_VALUE(${name}, 5)`, ioprio({ class: name, priority: 5 })] as const,
      ),
    ];
    expect(complaints(HEADERS, facts)).toBe("");
  });

  test("the layout of structs", () => {
    const at = (struct: string, field: string) => `__builtin_offsetof(${struct}, ${field})`;
    const arm64 = process.arch === "arm64";
    const facts: (readonly [string, number])[] = [
      ["sizeof(struct open_how)", OPEN_HOW_SIZE],
      [at("struct open_how", "resolve"), 16],
      ["sizeof(struct mount_attr)", MOUNT_ATTR_SIZE],
      [at("struct mount_attr", "attr_set"), 0],
      [at("struct mount_attr", "attr_clr"), 8],
      [at("struct mount_attr", "propagation"), 16],
      ["sizeof(struct statx)", STATX.size],
      [at("struct statx", "stx_uid"), STATX.uid],
      [at("struct statx", "stx_gid"), STATX.gid],
      [at("struct statx", "stx_mode"), STATX.mode],
      [at("struct statx", "stx_rdev_major"), STATX.rdev],
      [at("struct statx", "stx_rdev_minor"), STATX.rdev + 4],
      ["sizeof(struct statfs)", STATFS_SIZE],
      [at("struct statfs", "f_type"), 0],
      [at("struct statfs", "f_flags"), 80],
      // src/linux/status.ts, src/process/stdio.ts and exec.ts
      [at("struct stat", "st_mode"), arm64 ? 16 : 24],
      [at("struct stat", "st_uid"), arm64 ? 24 : 28],
      [at("struct stat", "st_gid"), arm64 ? 28 : 32],
      [at("struct stat", "st_rdev"), arm64 ? 32 : 40],
      [at("struct stat", "st_size"), 48],
      // src/process/terminal.ts
      ["sizeof(struct winsize)", 8],
      [at("struct winsize", "ws_col"), 2],
      ["sizeof(struct termios)", 36],
      [at("struct termios", "c_cc"), 17],
      // src/process/scheduling.ts, identity.ts, limits.ts
      [at("struct sched_attr", "sched_flags"), 8],
      [at("struct sched_attr", "sched_nice"), 16],
      [at("struct sched_attr", "sched_priority"), 20],
      [at("struct sched_attr", "sched_runtime"), 24],
      [at("struct sched_attr", "sched_deadline"), 32],
      [at("struct sched_attr", "sched_period"), 40],
      ["sizeof(struct __user_cap_header_struct)", 8],
      ["sizeof(struct __user_cap_data_struct)", 12],
      ["sizeof(struct rlimit64)", 16],
      // src/linux/process.ts
      [at("siginfo_t", "si_code"), 8],
      [at("siginfo_t", "si_status"), 24],
    ];
    expect(complaints(HEADERS, facts)).toBe("");
  });

  test("the requests that native/spawn.c takes, as src/linux/spawn.ts writes them", () => {
    const at = (field: string) => `__builtin_offsetof(struct request, ${field})`;
    const spawn = join(import.meta.dirname, "../../native/spawn.c");
    const facts: (readonly [string, number])[] = [
      ["sizeof(struct request)", 192],
      [at("flags"), 0],
      [at("argv"), 8],
      [at("executor"), 16],
      [at("cgroup"), 20],
      [at("waits"), 24],
      [at("njoins"), 28],
      [at("nfds"), 32],
      [at("close_from"), 36],
      [at("become_root"), 40],
      [at("join"), 44],
      [at("fds"), 108],
      [at("pid"), 172],
      [at("pidfd"), 176],
      [at("stage"), 180],
      [at("error"), 184],
      [at("which"), 188],
      ["sizeof(struct header)", 40],
      ["sizeof(struct step)", 80],
      ["EXECUTE", 7],
    ];
    expect(complaints([`#include "${spawn}"`], facts)).toBe("");
  });
});
