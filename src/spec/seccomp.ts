import { array, object, enum as oneOf, optional, type output, string } from "zod/mini";
import { strings, uint32, uint64 } from "./scalars.ts";

// config.json: linux.seccomp. Runtime-spec 1.3, config-linux.md "Seccomp".

const ACTIONS = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
  "SCMP_ACT_NOTIFY",
] as const;

const argument = object({
  index: uint32,
  value: uint64,
  valueTwo: optional(uint64),
  op: oneOf([
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
  ]),
});

const rule = object({
  names: strings,
  action: oneOf(ACTIONS),
  errnoRet: optional(uint32),
  args: optional(array(argument)),
});

export const seccomp = object({
  // Go engines write "" for a profile that is not set.
  defaultAction: optional(oneOf([...ACTIONS, ""])),
  defaultErrnoRet: optional(uint32),
  architectures: optional(
    array(
      oneOf([
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
        "SCMP_ARCH_LOONGARCH64",
        "SCMP_ARCH_M68K",
        "SCMP_ARCH_MIPS",
        "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32",
        "SCMP_ARCH_MIPSEL",
        "SCMP_ARCH_MIPSEL64",
        "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_PARISC",
        "SCMP_ARCH_PARISC64",
        "SCMP_ARCH_PPC",
        "SCMP_ARCH_PPC64",
        "SCMP_ARCH_PPC64LE",
        "SCMP_ARCH_RISCV64",
        "SCMP_ARCH_S390",
        "SCMP_ARCH_S390X",
        "SCMP_ARCH_SH",
        "SCMP_ARCH_SHEB",
        "SCMP_ARCH_X32",
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X86_64",
      ]),
    ),
  ),
  flags: optional(
    array(
      oneOf([
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
      ]),
    ),
  ),
  listenerPath: optional(string()),
  listenerMetadata: optional(string()),
  syscalls: optional(array(rule)),
});

export type Seccomp = output<typeof seccomp>;
