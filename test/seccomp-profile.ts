/** Profiles for tests of linux.seccomp. */
import { readFileSync } from "node:fs";
import type { Seccomp } from "../src/spec/seccomp.ts";

/** System call numbers of this machine, from the kernel's header: "64" for its own, "32" for those of int 0x80. */
export function systemCalls(kind: "64" | "32"): ReadonlyMap<string, number> {
  const path = [`/usr/include/x86_64-linux-gnu/asm/unistd_${kind}.h`, `/usr/include/asm/unistd_${kind}.h`];
  const text = path.map(read).find((found) => found !== "") ?? "";
  return new Map(
    [...text.matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map(([, name = "", nr]) => [name, Number(nr)]),
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What a container has no business with: the whole machine, other processes' memory, the kernel's own doings. */
const KEPT_FROM_CONTAINERS =
  /^(acct|add_key|afs_syscall|bpf|break|clock_adjtime|clock_settime|clone3?|create_module|delete_module|fanotify_init|finit_module|fs(config|mount|open|pick)|ftime|get_kernel_syms|getpmsg|gtty|init_module|io_uring_\w+|iopl|ioperm|kcmp|kexec_\w+|keyctl|lock|lookup_dcookie|mbind|migrate_pages|modify_ldt|mount|mount_setattr|move_mount|move_pages|mpx|name_to_handle_at|nfsservctl|open_by_handle_at|open_tree|perf_event_open|personality|pivot_root|prof|profil|ptrace|putpmsg|query_module|quotactl\w*|reboot|request_key|security|set_mempolicy\w*|setdomainname|sethostname|setns|settimeofday|socket|stime|stty|swapo\w+|syslog|sysfs|tuxcall|ulimit|umount2?|unshare|uselib|userfaultfd|ustat|vm86(old)?|vmsplice|vserver|_sysctl|process_vm_\w+|get_mempolicy|clock_\w+_time64)$/;

/**
 * A profile like the default ones of the engines: some hundred system calls allowed, a few by their arguments, and EPERM for
 * the rest, for three architectures.
 */
export function engineProfile(): Seccomp {
  const names = [...new Set([...systemCalls("64").keys(), ...systemCalls("32").keys()])];
  const allow = (list: string[], args?: NonNullable<Seccomp["syscalls"]>[number]["args"]) => ({
    names: list,
    action: "SCMP_ACT_ALLOW" as const,
    ...(args === undefined ? {} : { args }),
  });
  const NAMESPACES = 0x7e02_0000;
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    syscalls: [
      allow(names.filter((name) => !KEPT_FROM_CONTAINERS.test(name))),
      // Any address family but AF_VSOCK.
      allow(["socket"], [{ index: 0, value: 40, op: "SCMP_CMP_NE" }]),
      ...[0, 8, 0x20000, 0x20008, 0xffff_ffff].map((value) =>
        allow(["personality"], [{ index: 0, value, op: "SCMP_CMP_EQ" }]),
      ),
      allow(["clone"], [{ index: 0, value: NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }]),
      // A C library falls back on clone.
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
    ],
  };
}

/** A system call to be made by seccomp-probe.c; see there. */
export interface Probe {
  readonly way: "n" | "i" | "t" | "p";
  readonly call: number;
  readonly args?: readonly bigint[];
}

/** How the probe takes it. */
export function probeArgument({ way, call, args = [] }: Probe): string {
  return [way, call.toString(16), ...args.map((value) => value.toString(16))].join(" ");
}

/** Compiles the probe. @returns the path of the program, in `directory` */
export function buildProbe(directory: string): string {
  const program = `${directory}/seccomp-probe`;
  const flags =
    "-std=gnu11 -O1 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-stack-protector -fno-pie -no-pie -static -nostdlib -nostartfiles -mno-red-zone -fcf-protection=none -fomit-frame-pointer";
  const source = `${import.meta.dirname}/seccomp-probe.c`;
  const { exitCode, stderr } = Bun.spawnSync(["cc", ...flags.split(" "), "-o", program, source]);
  if (exitCode !== 0) throw new Error(`cannot build the probe: ${stderr}`);
  return program;
}

type Rule = NonNullable<Seccomp["syscalls"]>[number];
type Argument = NonNullable<Rule["args"]>[number];

/** Whether a comparison holds, by what runtime-spec says of its operator. */
export function holds({ op, value, valueTwo = 0 }: Argument, argument: bigint): boolean {
  const wanted = BigInt(value);
  switch (op) {
    case "SCMP_CMP_NE":
      return argument !== wanted;
    case "SCMP_CMP_LT":
      return argument < wanted;
    case "SCMP_CMP_LE":
      return argument <= wanted;
    case "SCMP_CMP_EQ":
      return argument === wanted;
    case "SCMP_CMP_GE":
      return argument >= wanted;
    case "SCMP_CMP_GT":
      return argument > wanted;
    case "SCMP_CMP_MASKED_EQ":
      return (argument & wanted) === BigInt(valueTwo);
  }
}

/** Whether all comparisons of a rule hold. */
export function matches({ args = [] }: Rule, call: readonly bigint[]): boolean {
  return args.every((argument) => holds(argument, call[argument.index] ?? 0n));
}

/** Numbers that look as if drawn by chance, the same ones for the same seed. */
export function drawing(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    // A linear congruential generator, by the constants of Numerical Recipes; its upper bits are the good ones.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
