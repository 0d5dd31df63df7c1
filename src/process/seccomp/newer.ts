import { ENOSYS } from "../../linux/errno.ts";
import {
  ARCHITECTURE,
  type Instruction,
  JUMP,
  JUMP_EQUAL,
  JUMP_GREATER,
  JUMP_GREATER_EQUAL,
  LOAD,
  NUMBER,
  RETURN,
} from "./bpf.ts";
import { ACTION_MASK, ACTIONS } from "./names.ts";

/** Of <linux/audit.h>: a 64-bit x86 program may use either of two system call tables, and numbers of x32 have a bit of their own. */
export const AUDIT_ARCH_X86_64 = 0xc000_003e;
/** libseccomp's number for x32, which to the kernel is AUDIT_ARCH_X86_64. */
export const SCMP_ARCH_X32 = 0x4000_003e;
const X32_SYSCALL_BIT = 0x4000_0000;

/** The greatest system call number that a profile names, for each architecture (libseccomp's number) of its filter. */
export type LastNumbers = ReadonlyMap<number, number>;

/**
 * Whether system calls that a profile does not know yet are to be answered with ENOSYS. Programs try a new system call and
 * fall back on ENOSYS, and only on that: one that a profile of last year denies with EPERM is an error to them. As in runc, not
 * where the default lets them pass, and not where it is ENOSYS already.
 */
export function answersNewer(defaultAction: number): boolean {
  const action = (defaultAction & ACTION_MASK) >>> 0;
  if (action === ACTIONS.SCMP_ACT_ERRNO) return (defaultAction & 0xffff) !== ENOSYS;
  return (
    action !== ACTIONS.SCMP_ACT_ALLOW &&
    action !== ACTIONS.SCMP_ACT_LOG &&
    // A tracer may well know the newer ones.
    action !== ACTIONS.SCMP_ACT_TRACE
  );
}

/** Instructions to put before a filter: a system call above all that its profile names is answered with ENOSYS. */
export function newerPrologue(last: LastNumbers): Instruction[] {
  const enosys: Instruction = [RETURN, (ACTIONS.SCMP_ACT_ERRNO | ENOSYS) >>> 0];
  const x32 = last.get(SCMP_ARCH_X32);
  const blocks: { architecture: number; block: Instruction[] }[] = [];
  for (const [architecture, number] of last) {
    if (architecture === SCMP_ARCH_X32) continue;
    const block: Instruction[] = [[LOAD, NUMBER]];
    if (architecture === AUDIT_ARCH_X86_64) {
      // Without x32 in the profile, the filter says what becomes of its calls: they are of an architecture it does not know.
      if (x32 === undefined) block.push([JUMP_GREATER_EQUAL, X32_SYSCALL_BIT, 2, 0]);
      else block.push([JUMP_GREATER_EQUAL, X32_SYSCALL_BIT, 0, 1], [JUMP_GREATER, x32, 1, 2]);
    }
    block.push([JUMP_GREATER, number, 0, 1], enosys);
    blocks.push({ architecture, block });
  }
  const instructions: Instruction[] = [];
  blocks.forEach(({ architecture, block }, i) => {
    instructions.push([LOAD, ARCHITECTURE], [JUMP_EQUAL, architecture, 0, block.length + 1], ...block);
    // To the filter, over the blocks that follow.
    instructions.push([JUMP, blocks.slice(i + 1).reduce((sum, later) => sum + later.block.length + 3, 0)]);
  });
  return instructions;
}
