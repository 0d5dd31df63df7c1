import { BerthError } from "../errors.ts";
import { ALL_ACCESS, DEVICE_TYPE, type DevicePolicy, type Rule } from "./device-rules.ts";

/*
 * A device policy as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE. The kernel runs it for each open and mknod of a
 * device, with a struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor } (access in the upper half of the
 * first, type in the lower), and allows what returns 1.
 *
 * It is kept short because the kernel's verifier, which walks every path, costs more than all else in making a cgroup: rules
 * for one kind of device in a row test it once, and major and minor are compared together.
 */

// Documentation/bpf/standardization/instruction-set.rst: class, operation and source, or'ed.
const LDX_W = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const OR_REGISTER = 0x4c; // BPF_ALU | BPF_OR | BPF_X
const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_LEFT = 0x64; // BPF_ALU | BPF_LSH | BPF_K
const SHIFT_RIGHT = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MOVE = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const MOVE_REGISTER = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const JUMP = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
const JUMP_IF_SET = 0x46; // BPF_JMP32 | BPF_JSET | BPF_K
const JUMP_IF_NOT_EQUAL = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const EXIT = 0x95; // BPF_JMP | BPF_EXIT

// Registers. The kernel passes the context in r1 and takes the result from r0.
const RESULT = 0;
const CONTEXT = 1;
const TYPE = 2;
/** The accesses asked for that no rule has decided yet. */
const PENDING = 3;
const MAJOR = 4;
const MINOR = 5;
/** Major and minor in one, as the kernel's dev_t. */
const DEVICE = 6;

/** dev_t has 12 bits of major and 20 of minor, which is what devicePolicy lets through. */
const MINOR_BITS = 20;

/** The size of one eBPF instruction, in bytes. */
export const INSTRUCTION_SIZE = 8;

type Decision = "allow" | "deny";

/** Puts instructions (struct bpf_insn) one after the other; jumps to the two exits are resolved when both are there. */
class Assembler {
  declare private readonly words: number[];
  declare private readonly jumps: { at: number; to: Decision }[];
  /** In instructions. */
  declare private length: number;

  constructor() {
    this.words = [];
    this.jumps = [];
    this.length = 0;
  }

  add(opcode: number, to = 0, value = 0, from = 0, offset = 0): void {
    this.words.push(opcode | (to << 8) | (from << 12) | (offset << 16), value);
    this.length++;
  }

  /** A jump to where this is decided. */
  leave(decision: Decision, opcode: number = JUMP, register = 0, value = 0): void {
    this.jumps.push({ at: this.length, to: decision });
    this.add(opcode, register, value);
  }

  /** A jump over what `then` adds, unless the register holds `value`. */
  onlyIf(register: number, value: number, then: () => void): void {
    const at = this.length;
    this.add(JUMP_IF_NOT_EQUAL, register, value);
    then();
    this.setOffset(at, this.length);
  }

  /** Ends the program; what falls off the end of the rules is decided by `otherwise`. */
  finish(otherwise: Decision): Uint8Array {
    const exits: Record<Decision, number> = { allow: this.length, deny: this.length };
    exits[otherwise === "allow" ? "deny" : "allow"] += 2;
    for (const decision of otherwise === "allow" ? [1, 0] : [0, 1]) {
      this.add(MOVE, RESULT, decision);
      this.add(EXIT);
    }
    for (const { at, to } of this.jumps) this.setOffset(at, exits[to]);
    // Every machine that berth knows is little-endian, and so are these words.
    return new Uint8Array(new Int32Array(this.words).buffer);
  }

  private setOffset(at: number, target: number): void {
    const offset = target - at - 1;
    if (offset > 0x7fff) {
      throw new BerthError(
        "invalid-config",
        "linux.resources.devices: too many rules for one device program",
      );
    }
    this.words[2 * at] = (this.words[2 * at] as number) | (offset << 16);
  }
}

/** Compiles a policy; undefined when it allows everything, so that no program is needed. @throws BerthError */
export function compileDevices({ rules, otherwise }: DevicePolicy): Uint8Array | undefined {
  if (rules.length === 0 && otherwise === "allow") return undefined;
  const program = new Assembler();
  program.add(LDX_W, TYPE, 0, CONTEXT, 0);
  program.add(MOVE_REGISTER, PENDING, 0, TYPE);
  program.add(SHIFT_RIGHT, PENDING, 16);
  // Nothing asked for (access(2) with X_OK) is nothing to deny.
  program.leave("allow", JUMP_IF_EQUAL, PENDING, 0);
  program.add(AND, TYPE, 0xffff);
  program.add(LDX_W, MAJOR, 0, CONTEXT, 4);
  program.add(LDX_W, MINOR, 0, CONTEXT, 8);
  program.add(MOVE_REGISTER, DEVICE, 0, MAJOR);
  program.add(SHIFT_LEFT, DEVICE, MINOR_BITS);
  program.add(OR_REGISTER, DEVICE, 0, MINOR);
  for (let first = 0, next = 0; first < rules.length; first = next) {
    const { type } = rules[first] as Rule;
    while (next < rules.length && rules[next]?.type === type) next++;
    const addAll = () => {
      for (let i = first; i < next; i++) addRule(program, rules[i] as Rule);
    };
    if (type === undefined) addAll();
    else program.onlyIf(TYPE, DEVICE_TYPE[type], addAll);
  }
  return program.finish(otherwise);
}

/** The instructions of one rule, for a device of its type. */
function addRule(program: Assembler, { allow, major, minor, access }: Rule): void {
  const decision = allow ? "allow" : "deny";
  const [register, value] = tested(major, minor);
  if (access === ALL_ACCESS) {
    if (register === undefined) program.leave(decision);
    else program.leave(decision, JUMP_IF_EQUAL, register, value);
    return;
  }
  const decide = () => {
    if (!allow) return program.leave("deny", JUMP_IF_SET, PENDING, access);
    program.add(AND, PENDING, ALL_ACCESS & ~access);
    program.leave("allow", JUMP_IF_EQUAL, PENDING, 0);
  };
  if (register === undefined) decide();
  else program.onlyIf(register, value, decide);
}

/** Which register must hold what for a rule to match; none when it has no numbers. */
function tested(
  major: number | undefined,
  minor: number | undefined,
): [register: number | undefined, value: number] {
  if (major !== undefined && minor !== undefined) return [DEVICE, (major << MINOR_BITS) | minor];
  if (major !== undefined) return [MAJOR, major];
  if (minor !== undefined) return [MINOR, minor];
  return [undefined, 0];
}
