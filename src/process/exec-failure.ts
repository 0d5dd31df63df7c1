import { E2BIG, EACCES, EAGAIN, ENOMEM, ENOSYS, EPERM, ETXTBSY } from "../linux/errno.ts";
import { fromDirectory, quote } from "./container-file.ts";
import { programFaults } from "./program-fault.ts";

/** What no file is to blame for. */
const GENERAL: Readonly<Record<number, string>> = {
  [E2BIG]:
    "process.args and process.env are more together than a quarter of RLIMIT_STACK (6 MiB at most), or one of them is more than 128 KiB",
  [ETXTBSY]: "a process has the file open for writing: it must be closed before it can be executed",
  [EAGAIN]: "the user of process.user has more processes than RLIMIT_NPROC allows",
  [ENOMEM]: "the memory limit of the container may be too low to start the program",
  [ENOSYS]: "the seccomp profile may forbid execve",
};

/** What remains when the file and the way to it are in order. */
const REMAINING: Readonly<Record<number, string>> = {
  [EACCES]: "modes and mounts allow it: AppArmor, SELinux or another security module may forbid it",
  [EPERM]: "the seccomp profile or a security module may forbid it",
};

/**
 * Finds out why execve failed, from what lies in the container: an errno alone does not tell which of several files was meant,
 * or what is wrong with it; man 2 execve. Reads a few kilobytes of regular files, all inside of the root.
 * @param root O_PATH descriptor of the container's root, such as of /proc/PID/root
 * @param cwd where the candidates that are relative start
 * @param candidates the files that were tried, see planExecutable
 * @param path PATH of the container's environment
 * @returns a sentence for the error's hint, or undefined when nothing is found
 */
export function explainExecFailure(
  root: number,
  cwd: string,
  candidates: readonly string[],
  path: string | undefined,
  errno: number,
): string | undefined {
  if (GENERAL[errno] !== undefined) return GENERAL[errno];
  if (candidates.length === 0) {
    const fault = path === undefined ? "process.env has no PATH" : "PATH in process.env is empty";
    return `${fault}: set it, or give the whole path in process.args[0]`;
  }
  const search = { root, cwd, errno };
  const faults = candidates.map((candidate) => programFaults(search, fromDirectory(cwd, candidate)));
  const all = faults.flat();
  const sure = all.filter(({ kind }) => kind === "sure");
  const certain = sure.find((fault) => fault.errno === errno) ?? sure[0];
  if (certain !== undefined) return certain.text;
  const doubtful = all.find(({ kind }) => kind === "doubtful");
  // A search reports ENOENT in the end, whatever it met on its way.
  if (doubtful !== undefined && (errno === EACCES || candidates.length > 1)) return doubtful.text;
  if (faults.every(([first]) => first?.kind === "absent")) {
    return candidates.length === 1 ? all[0]?.text : nowhere(candidates);
  }
  return REMAINING[errno];
}

function nowhere(candidates: readonly string[]): string {
  const [first = ""] = candidates;
  const directories = candidates.map((candidate) =>
    quote(candidate.slice(0, candidate.lastIndexOf("/")) || "/"),
  );
  return `no ${quote(first.slice(first.lastIndexOf("/") + 1))} in the directories of PATH: ${directories.join(", ")}`;
}
