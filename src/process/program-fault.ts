import { ELIBBAD, ELOOP, ENOENT, ENOEXEC } from "../linux/errno.ts";
import { fromUtf8 } from "../linux/text.ts";
import { type ContainerFile, fromDirectory, quote } from "./container-file.ts";
import {
  ALSO_RUNS,
  type Elf,
  type ElfSegment,
  ET_DYN,
  ET_EXEC,
  hasSoundPrograms,
  isElf,
  machineName,
  PT_INTERP,
  PT_LOAD,
  parseElf,
  parseSegments,
  THIS_MACHINE,
} from "./elf.ts";
import { executableFaults, type Fault, fault, type Search } from "./executable-fault.ts";

/**
 * Why the kernel would not execute the file at this absolute path of the container, and the files that it needs in turn: the
 * interpreter of a script, the loader of a dynamically linked program. Empty when no reason is found.
 */
export function programFaults(search: Search, path: string): readonly Fault[] {
  return nestedFaults(search, path, 0);
}

function nestedFaults(search: Search, path: string, depth: number): readonly Fault[] {
  return executableFaults(search, path, (file, head) => {
    if (isElf(head)) return elfFaults(search, file, head);
    if (startsWith(head, [0x23, 0x21])) return scriptFaults(search, file, head, depth);
    return [fault(ENOEXEC, `${quote(path)} ${unknownFormat(head)}`)];
  });
}

/** To the file that needs it, another one's absence is as good as any fault. */
function because(reason: string, faults: readonly Fault[]): Fault[] {
  return faults.map(({ errno, text, kind }) =>
    fault(errno, `${reason}: ${text}`, kind === "absent" ? "sure" : kind),
  );
}

/** BINPRM_BUF_SIZE of <linux/binfmts.h>: what the kernel reads of a "#!" line. */
const LINE = 256;
/** A script may have a script as its interpreter, and so on; fs/exec.c. */
const DEPTH = 5;
function scriptFaults(search: Search, { path }: ContainerFile, head: Uint8Array, depth: number): Fault[] {
  const name = quote(path);
  const buffer = fromUtf8(head.subarray(2, LINE));
  const [line = ""] = buffer.split(/[\n\0]/, 1);
  const interpreter = /^[ \t]*([^ \t]*)/.exec(line)?.[1] ?? "";
  if (interpreter === "") return [fault(ENOEXEC, `${name} begins with "#!" but names no interpreter`)];
  if (head.length >= LINE && /^[ \t]*[^ \t\n\0]*$/.test(buffer)) {
    const text = `the "#!" line of ${name} is too long: the kernel reads no more than ${LINE} bytes`;
    return [fault(ENOEXEC, text)];
  }
  if (depth === DEPTH) {
    return [
      fault(
        ELOOP,
        `${name} is a script, the interpreter of a script for the ${DEPTH}th time: no more may follow`,
      ),
    ];
  }
  const faults = nestedFaults(search, fromDirectory(search.cwd, interpreter), depth + 1);
  if (interpreter.endsWith("\r") && faults.some(({ kind }) => kind === "absent")) {
    const text = `the first line of ${name} ends with CRLF, and there is no ${quote(interpreter)} in the container`;
    return [fault(ENOENT, `${text}: save the file with LF line ends`)];
  }
  const unsearched = interpreter.includes("/") ? "" : ", for which the kernel does not search PATH";
  return because(`${name} begins with ${quote(`#!${interpreter}`)}${unsearched}`, faults);
}

const MACH_O = [0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe];

function unknownFormat(head: Uint8Array): string {
  if (head.length === 0) return "is empty";
  if (startsWith(head, [0xef, 0xbb, 0xbf, 0x23, 0x21])) {
    return 'has a byte order mark before "#!": save the file without it';
  }
  const magic = head.length < 4 ? 0 : new DataView(head.buffer, head.byteOffset).getUint32(0);
  if (MACH_O.includes(magic)) return "is built for macOS, not for Linux";
  if (startsWith(head, [0x4d, 0x5a]) && !isText(head)) return "is built for Windows, not for Linux";
  if (isText(head))
    return 'is text without "#!": its first line must name an interpreter, such as "#!/bin/sh"';
  return 'is no program: neither ELF nor a script with "#!"';
}

function startsWith(head: Uint8Array, bytes: readonly number[]): boolean {
  return bytes.every((byte, i) => head[i] === byte);
}

function isText(head: Uint8Array): boolean {
  // Tab, line feed, form feed, carriage return, escape; bytes above 0x7f may be of any encoding.
  return head.every((byte) => (byte >= 0x20 && byte !== 0x7f) || [9, 10, 12, 13, 27].includes(byte));
}

/** A program has about ten program headers, of 56 bytes. */
const SEGMENTS = 8192;
const PATH_MAX = 4096;

function elfFaults(search: Search, file: ContainerFile, head: Uint8Array): Fault[] {
  const name = quote(file.path);
  const elf = parseElf(head);
  if (elf === undefined) return [fault(ENOEXEC, `${name} is a truncated or corrupt ELF file`)];
  const machine = machineName(elf);
  const option = ALSO_RUNS[machine];
  if (machine !== THIS_MACHINE && option === undefined) return [wrongMachine(search, name, machine)];
  if (elf.type !== ET_EXEC && elf.type !== ET_DYN) {
    return [
      fault(
        ENOEXEC,
        `${name} is an ELF file but no program: an object file that was not linked, or a core dump`,
      ),
    ];
  }
  if (!hasSoundPrograms(elf)) return [fault(ENOEXEC, `${name} is a corrupt ELF file`)];
  const { offset, entrySize, count } = elf.programs;
  const bytes = file.read(offset, Math.min(entrySize * count, SEGMENTS)) ?? new Uint8Array();
  const segments = parseSegments(elf, bytes);
  const end = Math.max(
    offset + entrySize * count,
    ...segments.filter(isRead).map((it) => it.offset + it.size),
  );
  const faults: Fault[] = [];
  if (end > file.status.size) {
    const text = `${name} is a truncated ELF file: it has ${file.status.size} bytes of ${end}`;
    faults.push(fault(ENOEXEC, text));
  }
  if (option !== undefined && search.errno === ENOEXEC) {
    const text = `${name} is built for ${machine}, this machine is ${THIS_MACHINE}: its kernel needs ${option}`;
    faults.push(fault(ENOEXEC, text));
  }
  const loader = segments.find(({ type }) => type === PT_INTERP);
  return loader === undefined ? faults : [...faults, ...loaderFaults(search, file, elf, loader)];
}

function isRead({ type }: ElfSegment): boolean {
  return type === PT_LOAD || type === PT_INTERP;
}

function wrongMachine({ errno }: Search, name: string, machine: string): Fault {
  const text = `${name} is built for ${machine}, this machine is ${THIS_MACHINE}`;
  // Without binfmt_misc it would be ENOEXEC.
  return errno === ENOENT
    ? fault(ENOENT, `${text}, and the emulator that binfmt_misc names is not in the container`)
    : fault(ENOEXEC, text);
}

const LIBCS: readonly (readonly [mark: string, text: string])[] = [
  ["/ld-linux", " of glibc, which images with musl (Alpine) lack"],
  ["/ld-musl", " of musl, which images with glibc lack"],
];

function loaderFaults(search: Search, file: ContainerFile, elf: Elf, { offset, size }: ElfSegment): Fault[] {
  const name = quote(file.path);
  const bytes = size < 2 || size > PATH_MAX ? undefined : file.read(offset, size);
  if (bytes?.length !== size || bytes[size - 1] !== 0) {
    return [fault(ENOEXEC, `${name} is a corrupt ELF file: the name of its loader is not terminated`)];
  }
  const loader = fromUtf8(bytes.subarray(0, bytes.indexOf(0)));
  const faults = executableFaults(search, fromDirectory(search.cwd, loader), ({ path }, head) => {
    const other = isElf(head) ? parseElf(head) : undefined;
    if (other === undefined) return [fault(ELIBBAD, `${quote(path)} is no ELF file, or a truncated one`)];
    const [theirs, ours] = [machineName(other), machineName(elf)];
    return theirs === ours
      ? []
      : [fault(ELIBBAD, `${quote(path)} is built for ${theirs}, the program for ${ours}`)];
  });
  const absent = faults.some(({ kind }) => kind === "absent");
  const libc = absent ? LIBCS.find(([mark]) => loader.includes(mark))?.[1] : undefined;
  return because(libc === undefined ? `${name} needs a loader` : `${name} needs the loader${libc}`, faults);
}
