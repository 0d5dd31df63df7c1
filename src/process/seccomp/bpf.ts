/*
 * Classic BPF, as far as seccomp filters use it; linux/filter.h, man 2 seccomp. An instruction is eight bytes: the operation
 * (16 bits), how many to skip when true and when false (8 each), a constant (32).
 */
export const LOAD = 0x20;
export const AND = 0x54;
export const JUMP = 0x05;
export const JUMP_EQUAL = 0x15;
export const JUMP_GREATER = 0x25;
export const JUMP_GREATER_EQUAL = 0x35;
export const JUMP_SET = 0x45;
export const RETURN = 0x06;

/** Where in struct seccomp_data the number of the system call lies. */
export const NUMBER = 0;
/** Where in struct seccomp_data the architecture lies, AUDIT_ARCH_*. */
export const ARCHITECTURE = 4;

export const INSTRUCTION_SIZE = 8;
/** The kernel takes no longer program: BPF_MAXINSNS. */
export const MAX_INSTRUCTIONS = 4096;

/** An instruction: operation, constant, and for a conditional jump how many instructions to skip. */
export type Instruction = readonly [operation: number, constant: number, ifTrue?: number, ifFalse?: number];

/** The bytes of a program. */
export function assemble(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_SIZE);
  const view = new DataView(bytes.buffer);
  instructions.forEach(([operation, constant, ifTrue = 0, ifFalse = 0], i) => {
    view.setUint16(INSTRUCTION_SIZE * i, operation, true);
    bytes[INSTRUCTION_SIZE * i + 2] = ifTrue;
    bytes[INSTRUCTION_SIZE * i + 3] = ifFalse;
    view.setUint32(INSTRUCTION_SIZE * i + 4, constant, true);
  });
  return bytes;
}

/**
 * What a filter answers to a system call, whatever its arguments are.
 * @param architecture AUDIT_ARCH_*
 * @returns SECCOMP_RET_* with its value; undefined: that depends on the arguments
 */
export function answerOf(program: Uint8Array, architecture: number, number: number): number | undefined {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  let accumulator = 0;
  for (let at = 0; at < program.length; ) {
    const operation = view.getUint16(at, true);
    const constant = view.getUint32(at + 4, true);
    let skip = 0;
    const jump = (condition: boolean) => view.getUint8(at + (condition ? 2 : 3));
    switch (operation) {
      case LOAD:
        if (constant !== NUMBER && constant !== ARCHITECTURE) return undefined;
        accumulator = constant === NUMBER ? number : architecture;
        break;
      case AND:
        accumulator = (accumulator & constant) >>> 0;
        break;
      case JUMP:
        skip = constant;
        break;
      case JUMP_EQUAL:
        skip = jump(accumulator === constant);
        break;
      case JUMP_GREATER:
        skip = jump(accumulator > constant);
        break;
      case JUMP_GREATER_EQUAL:
        skip = jump(accumulator >= constant);
        break;
      case JUMP_SET:
        skip = jump((accumulator & constant) !== 0);
        break;
      case RETURN:
        return constant;
      default:
        return undefined;
    }
    at += INSTRUCTION_SIZE * (skip + 1);
  }
  return undefined;
}
