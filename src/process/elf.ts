import { machine } from "../linux/engine.ts";
/*
 * As much of an ELF file as execve looks at; man 5 elf. Headers are read in the byte order and the width of their own machine,
 * so that one built for another can be told.
 */

/** What the first bytes of an ELF file tell. */
export interface Elf {
  readonly bits: 32 | 64;
  readonly order: "little" | "big";
  /** ET_*. */
  readonly type: number;
  /** EM_*. */
  readonly machine: number;
  /** Where the program headers lie in the file: `count` of them, `entrySize` bytes each. */
  readonly programs: { readonly offset: number; readonly entrySize: number; readonly count: number };
}

/** A program header: a part of the file that the kernel maps or reads. */
export interface ElfSegment {
  /** PT_*. */
  readonly type: number;
  readonly offset: number;
  /** In the file, in bytes. */
  readonly size: number;
}

export const ET_EXEC = 2;
export const ET_DYN = 3;
export const PT_LOAD = 1;
export const PT_INTERP = 3;

const SIZES = { 32: { header: 52, segment: 32 }, 64: { header: 64, segment: 56 } } as const;

/** Whether these first bytes are those of an ELF file. */
export function isElf(head: Uint8Array): boolean {
  return head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

/** Reads the header of an ELF file from its first bytes; undefined when it is cut off or no machine's. */
export function parseElf(head: Uint8Array): Elf | undefined {
  const bits = head[4] === 1 ? 32 : head[4] === 2 ? 64 : undefined;
  const order = head[5] === 1 ? "little" : head[5] === 2 ? "big" : undefined;
  if (!isElf(head) || bits === undefined || order === undefined || head.length < SIZES[bits].header)
    return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const little = order === "little";
  const [offset, entrySize, count] =
    bits === 64 ? [u64(view, 32, little), 54, 56] : [view.getUint32(28, little), 42, 44];
  return {
    bits,
    order,
    type: view.getUint16(16, little),
    machine: view.getUint16(18, little),
    programs: { offset, entrySize: view.getUint16(entrySize, little), count: view.getUint16(count, little) },
  };
}

/** Whether the program headers are as the kernel wants them: 1 to 65536 bytes of the right size each. */
export function hasSoundPrograms({ bits, programs: { entrySize, count } }: Elf): boolean {
  return entrySize === SIZES[bits].segment && count > 0 && count * entrySize <= 65536;
}

/** Reads program headers, as many as `bytes` holds in whole. */
export function parseSegments({ bits, order, programs }: Elf, bytes: Uint8Array): ElfSegment[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = order === "little";
  const segments: ElfSegment[] = [];
  for (let at = 0; at + programs.entrySize <= bytes.length; at += programs.entrySize) {
    const [offset, size] =
      bits === 64
        ? [u64(view, at + 8, little), u64(view, at + 32, little)]
        : [view.getUint32(at + 4, little), view.getUint32(at + 16, little)];
    segments.push({ type: view.getUint32(at, little), offset, size });
  }
  return segments;
}

function u64(view: DataView, at: number, little: boolean): number {
  const [high, low] = little ? [at + 4, at] : [at, at + 4];
  return view.getUint32(high, little) * 0x1_0000_0000 + view.getUint32(low, little);
}

/** Names of a machine with 32 and 64 bits, and what is added to them in little and in big endian. */
type Names = readonly [bits32: string, bits64: string, little?: string, big?: string];

// <linux/elf-em.h>
const MACHINES: Readonly<Record<number, Names>> = {
  2: ["sparc", "sparc"],
  3: ["32-bit x86", "32-bit x86"],
  4: ["m68k", "m68k"],
  6: ["32-bit x86", "32-bit x86"],
  8: ["mips", "mips64", "el"],
  15: ["parisc", "parisc64"],
  18: ["sparc32plus", "sparc32plus"],
  20: ["powerpc", "powerpc", "le"],
  21: ["ppc64", "ppc64", "le"],
  22: ["s390", "s390x"],
  40: ["32-bit arm", "32-bit arm", "", " (big endian)"],
  42: ["sh", "sh"],
  43: ["sparc64", "sparc64"],
  50: ["ia64", "ia64"],
  62: ["x86-64 x32", "x86-64"],
  92: ["openrisc", "openrisc"],
  94: ["xtensa", "xtensa"],
  183: ["aarch64 ILP32", "aarch64", "", "_be"],
  189: ["microblaze", "microblaze"],
  243: ["riscv32", "riscv64"],
  247: ["bpf", "bpf"],
  252: ["csky", "csky"],
  258: ["loongarch32", "loongarch64"],
  36902: ["alpha", "alpha"],
};

/** What a program is built for, in the field's words: "aarch64", "ppc64le". */
export function machineName({ bits, order, machine }: Elf): string {
  const names = MACHINES[machine];
  if (names === undefined) return `machine ${machine}`;
  const [bits32, bits64, little = "", big = ""] = names;
  return (bits === 64 ? bits64 : bits32) + (order === "little" ? little : big);
}

/** What this machine is, named as {@link machineName} does. */
export const THIS_MACHINE = machine === "aarch64" ? "aarch64" : "x86-64";

/** What this machine may run besides, and the kernel option that it takes. */
export const ALSO_RUNS: Readonly<Record<string, string>> =
  machine === "aarch64"
    ? { "32-bit arm": "CONFIG_COMPAT, and a processor that has it" }
    : {
        "32-bit x86": "CONFIG_IA32_EMULATION, not switched off by ia32_emulation=0",
        "x86-64 x32": "CONFIG_X86_X32_ABI",
      };
