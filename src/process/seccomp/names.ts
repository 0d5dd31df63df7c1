import {
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
} from "../../linux/constants.ts";
import type { Seccomp } from "../../spec/seccomp.ts";

/*
 * config.json's words for seccomp as the numbers of <seccomp.h> and <linux/seccomp.h>.
 */

type Rule = NonNullable<Seccomp["syscalls"]>[number];
export type ActionName = Rule["action"];
type Operator = NonNullable<Rule["args"]>[number]["op"];
type Flag = NonNullable<Seccomp["flags"]>[number];

/** SCMP_ACT_*, the same as SECCOMP_RET_*. */
export const ACTIONS: Readonly<Record<ActionName, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_NOTIFY: 0x7fc0_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
};

/** Actions that carry a value, and the greatest that libseccomp takes. */
export const LARGEST_VALUE: Readonly<Partial<Record<ActionName, number>>> = {
  SCMP_ACT_ERRNO: 4094,
  SCMP_ACT_TRACE: 0xffff,
};

/** enum scmp_compare. */
export const OPERATORS: Readonly<Record<Operator, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

export const FLAGS: Readonly<Record<Flag, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};

/** The bits of an action without its value. */
export const ACTION_MASK = 0xffff_0000;
