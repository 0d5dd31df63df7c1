import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  ST_NOEXEC,
} from "../linux/constants.ts";
import { EACCES } from "../linux/errno.ts";
import { type ContainerFile, directoriesTo, inspectFile, quote } from "./container-file.ts";

/** Why a file cannot be executed. */
export interface Fault {
  /** What execve answers for it. */
  readonly errno: number;
  readonly text: string;
  /** "absent": a PATH search goes on. "doubtful": a fault for some users only; which one it was is not known here. */
  readonly kind: "sure" | "doubtful" | "absent";
}

/** Where to look, and what execve said. */
export interface Search {
  /** O_PATH descriptor of the container's root. */
  readonly root: number;
  readonly cwd: string;
  readonly errno: number;
}

/** Makes a {@link Fault}. */
export function fault(errno: number, text: string, kind: Fault["kind"] = "sure"): Fault {
  return { errno, text, kind };
}

/** Enough for a "#!" line, of which the kernel reads 256 bytes, for an ELF header, and to tell text from other bytes. */
const HEAD = 512;

/** What keeps a file from being executed whatever it holds, and what `content` says of its first bytes. */
export function executableFaults(
  search: Search,
  path: string,
  content: (file: ContainerFile, head: Uint8Array) => readonly Fault[],
): readonly Fault[] {
  const faults = inspectFile(search.root, path, (file) => {
    if ("errno" in file) return [fault(file.errno, file.text, file.absent ? "absent" : "sure")];
    const type = file.status.mode & S_IFMT;
    if (type !== S_IFREG)
      return [fault(EACCES, `${quote(path)} is ${TYPES[type] ?? "no file"}, not a program`)];
    const head = file.read(0, HEAD);
    return [
      ...wayFaults(search, path),
      ...accessFaults(file),
      ...(head === undefined ? [] : content(file, head)),
    ];
  });
  return faults ?? [];
}

const TYPES: Readonly<Record<number, string>> = {
  [S_IFDIR]: "a directory",
  [S_IFCHR]: "a device",
  [S_IFBLK]: "a device",
  [S_IFIFO]: "a fifo",
  [S_IFSOCK]: "a socket",
};

function accessFaults({ path, status: { mode, uid, gid }, mountFlags }: ContainerFile): Fault[] {
  const faults: Fault[] = [];
  const has = `${quote(path)} has mode ${octal(mode)} and owner ${uid}:${gid}`;
  if ((mountFlags & ST_NOEXEC) !== 0) {
    faults.push(fault(EACCES, `${quote(path)} lies on a file system that is mounted noexec`));
  }
  if ((mode & 0o111) === 0) faults.push(fault(EACCES, `${has}: nobody may execute it before "chmod +x"`));
  else if ((mode & 0o001) === 0) {
    faults.push(fault(EACCES, `${has}: the user of process.user must be allowed to execute it`, "doubtful"));
  }
  return faults;
}

function wayFaults({ root, errno }: Search, path: string): Fault[] {
  if (errno !== EACCES) return [];
  return directoriesTo(path).flatMap((directory) => {
    const found = inspectFile(root, directory, (file) => {
      if ("errno" in file || (file.status.mode & 0o001) !== 0) return [];
      const { mode, uid, gid } = file.status;
      const has = `the directory ${quote(directory)} has mode ${octal(mode)} and owner ${uid}:${gid}`;
      return [fault(EACCES, `${has}: the user of process.user must be allowed to search it`, "doubtful")];
    });
    return found ?? [];
  });
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
