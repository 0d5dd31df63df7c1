/** Where outcomes differ from runc's, and why: differences that several rows and engines share. */
import type { Difference, Part } from "./operation.ts";

/** Of the text of errors. Exit codes, and what engines make of the text, are compared all the same. */
export const WORDS = "berth names what of config.json the error is about, and adds a hint where it has one";
export const MASKS =
  "a masked file is the host's own /dev/null, which no container can have changed, and a masked directory has no room for files";
export const PERSONALITY = "runc 1.1 ignores linux.personality";
export const POSTSTART = "at poststart a container runs, and runc 1.1 calls it created";
export const NO_CHECKPOINT = "berth does not checkpoint; runc would, but criu is missing: both refuse";

/** An error as both say it, without what stands before it. */
interface Fault {
  readonly runc: string;
  readonly berth: string;
  readonly hint?: string;
}

/** What is wrong with a program, a directory, or a capability. */
export const FAULTS = {
  noCommand: {
    runc: `exec: "nope": executable file not found in $PATH`,
    berth: `process.args[0] "nope": executable file not found in $PATH: no such file or directory`,
    hint: `no "nope" in the directories of PATH: "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"`,
  },
  noFile: {
    runc: `exec: "/bin/nope": stat /bin/nope: no such file or directory`,
    berth: `process.args[0] "/bin/nope": find the executable: no such file or directory`,
    hint: `there is no "/bin/nope" in the container`,
  },
  notExecutable: {
    runc: `exec: "/etc/passwd": permission denied`,
    berth: `process.args[0] "/etc/passwd": find the executable: permission denied`,
    hint: `"/etc/passwd" has mode 0644 and owner 0:0: nobody may execute it before "chmod +x"`,
  },
  isDirectory: {
    runc: `exec: "/etc": permission denied`,
    berth: `process.args[0] "/etc": is a directory: permission denied`,
  },
  noDirectory: {
    runc: `chdir to cwd ("/nope") set in config.json failed: no such file or directory`,
    berth: "process.cwd /nope: chdir: no such file or directory",
  },
  rlimit: {
    runc: "error during container init: error setting rlimits for ready process: error setting rlimit type 7: operation not permitted",
    berth: "process.rlimits[0] RLIMIT_NOFILE: prlimit64: operation not permitted",
  },
  capabilities: {
    runc: "unable to apply caps: operation not permitted",
    berth:
      "process.capabilities: set effective, permitted and inheritable capabilities: operation not permitted",
    hint: "RUNTIME can only give what it has, and has no CAP_SYS_RESOURCE",
  },
} as const satisfies Record<string, Fault>;

/** What stands before a fault, and whether the engine shows berth's hint. */
export interface Manner {
  readonly runc: string;
  readonly berth: string;
  readonly showsHint: boolean;
}

/** Podman reads what conmon saw on stderr. */
export const PODMAN_CREATE: Manner = {
  runc: "RUNTIME create failed: unable to start container process: ",
  berth: "RUNTIME: ",
  showsHint: false,
};
export const PODMAN_EXEC: Manner = {
  runc: "exec failed: unable to start container process: ",
  berth: "RUNTIME: exec failed: ",
  showsHint: false,
};
/** containerd's shim reads the last error of log.json. */
export const SHIM_CREATE: Manner = { runc: PODMAN_CREATE.runc, berth: "", showsHint: true };
export const SHIM_EXEC: Manner = {
  runc: "unable to start container process: ",
  berth: "",
  showsHint: true,
};

/** The difference that an error makes. */
export function says(manner: Manner, fault: Fault, part: Part = "stderr"): Difference {
  const hint = manner.showsHint && fault.hint !== undefined ? ` (hint: ${fault.hint})` : "";
  return { part, runc: manner.runc + fault.runc, berth: manner.berth + fault.berth + hint, reason: WORDS };
}

/** Of what MASKS in shell.ts tells of a container. */
export const MASKED_DIRECTORIES: Difference = {
  part: "stdout",
  runc: "directory ro,relatime ro\n",
  berth: "directory ro,nosuid,nodev,noexec,relatime rw,size=4k,nr_inodes=2\n",
  reason: MASKS,
};
export const MASKED: readonly Difference[] = [
  MASKED_DIRECTORIES,
  {
    part: "stdout",
    runc: "file of the container's /dev",
    berth: "file of another /dev",
    reason: MASKS,
  },
];
