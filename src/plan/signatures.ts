import { PR_CAP_AMBIENT_CLEAR_ALL } from "../linux/constants.ts";
import type { SyscallName } from "../linux/numbers.ts";
import { constantOf } from "./constant-names.ts";
import type { Value } from "./step.ts";

/*
 * How `berth explain` reads the arguments of system calls: their names as in section 2 of the manual, and what a number there
 * stands for. Constants are looked up in linux/constants.ts.
 */

/** What a number in an argument is. */
export type Kind =
  /** A number as it is. */
  | "number"
  /** A descriptor, or AT_FDCWD. */
  | "fd"
  /** An address; 0 is NULL. */
  | "address"
  /** Permission bits, maybe with a file type. */
  | "mode"
  | "hex"
  /** O_* of open(2), where no way of access means O_RDONLY. */
  | "open"
  | "capability"
  | "signal"
  /** Sets of capabilities, from this number on. */
  | { readonly capabilities: number }
  /** Constants added up; each entry is a name, or with a final "*" the begin of names. */
  | { readonly flags: readonly string[] }
  /** One constant, in the same notation. */
  | { readonly one: readonly string[] };

/** One argument, or one field of a struct. */
export type Parameter = readonly [name: string, kind: Kind];

const flags = (...names: string[]): Kind => ({ flags: names });
const one = (...names: string[]): Kind => ({ one: names });

const FD: Parameter = ["fd", "fd"];
const DIRFD: Parameter = ["dirfd", "fd"];
const PATH: Parameter = ["path", "address"];
const SIZE: Parameter = ["size", "number"];
const BUFFER: Parameter = ["buffer", "address"];
const OPEN: Parameter = ["flags", "open"];
const NAMESPACES: Parameter = ["flags", flags("CLONE_NEW*")];
const UID: readonly Parameter[] = ["ruid", "euid", "suid"].map((name) => [name, "number"]);
const GID: readonly Parameter[] = ["rgid", "egid", "sgid"].map((name) => [name, "number"]);

/** Of the calls that a Plan makes; see OPERATIONS for those whose arguments depend on the first. */
const SIGNATURES: Readonly<Partial<Record<SyscallName, readonly Parameter[]>>> = {
  accept4: [FD, ["address", "address"], ["length", "address"], ["flags", flags("SOCK_CLOEXEC")]],
  bpf: [
    ["command", one("BPF_PROG_LOAD", "BPF_PROG_ATTACH", "BPF_PROG_DETACH")],
    ["attributes", "address"],
    SIZE,
  ],
  capset: [
    ["header", "address"],
    ["data", "address"],
  ],
  chdir: [PATH],
  chroot: [PATH],
  close: [FD],
  close_range: [
    ["first", "fd"],
    ["last", "hex"],
    ["flags", flags("CLOSE_RANGE_*")],
  ],
  dup3: [
    ["from", "fd"],
    ["to", "fd"],
    ["flags", flags("O_CLOEXEC")],
  ],
  eventfd2: [
    ["initial", "number"],
    ["flags", "hex"],
  ],
  execve: [PATH, ["argv", "address"], ["envp", "address"]],
  faccessat2: [DIRFD, PATH, ["mode", flags("X_OK")], ["flags", flags("AT_EACCESS", "AT_EMPTY_PATH")]],
  fcntl: [FD, ["command", one("F_DUPFD_CLOEXEC")], ["argument", "number"]],
  fchdir: [FD],
  fchmod: [FD, ["mode", "mode"]],
  fchmodat: [DIRFD, PATH, ["mode", "mode"]],
  fchown: [FD, ["uid", "number"], ["gid", "number"]],
  fchownat: [
    DIRFD,
    PATH,
    ["uid", "number"],
    ["gid", "number"],
    ["flags", flags("AT_SYMLINK_NOFOLLOW", "AT_EMPTY_PATH")],
  ],
  fsconfig: [
    FD,
    ["command", one("FSCONFIG_*")],
    ["key", "address"],
    ["value", "address"],
    ["auxiliary", "number"],
  ],
  fsmount: [FD, ["flags", flags("FSMOUNT_*")], ["attributes", flags("MOUNT_ATTR_*")]],
  fsopen: [
    ["type", "address"],
    ["flags", flags("FSOPEN_*")],
  ],
  fstatfs: [FD, BUFFER],
  ftruncate: [FD, SIZE],
  getcwd: [BUFFER, SIZE],
  ioprio_set: [
    ["which", one("IOPRIO_WHO_*")],
    ["who", "number"],
    ["priority", "hex"],
  ],
  mkdirat: [DIRFD, PATH, ["mode", "mode"]],
  mknodat: [DIRFD, PATH, ["mode", "mode"], ["device", "hex"]],
  mount: [
    ["source", "address"],
    ["target", "address"],
    ["type", "address"],
    ["flags", flags("MS_*")],
    ["data", "address"],
  ],
  mount_setattr: [
    DIRFD,
    PATH,
    ["flags", flags("AT_EMPTY_PATH", "AT_RECURSIVE", "AT_SYMLINK_NOFOLLOW")],
    ["attributes", "address"],
    SIZE,
  ],
  move_mount: [
    ["from_dirfd", "fd"],
    ["from", "address"],
    ["to_dirfd", "fd"],
    ["to", "address"],
    ["flags", flags("MOVE_MOUNT_*")],
  ],
  newfstatat: [DIRFD, PATH, BUFFER, ["flags", flags("AT_SYMLINK_NOFOLLOW", "AT_EMPTY_PATH")]],
  open_tree: [
    DIRFD,
    PATH,
    ["flags", flags("OPEN_TREE_*", "AT_EMPTY_PATH", "AT_RECURSIVE", "AT_SYMLINK_NOFOLLOW")],
  ],
  openat: [DIRFD, PATH, OPEN, ["mode", "mode"]],
  openat2: [DIRFD, PATH, ["how", "address"], SIZE],
  personality: [["persona", "hex"]],
  pivot_root: [
    ["new_root", "address"],
    ["put_old", "address"],
  ],
  prlimit64: [
    ["pid", "number"],
    ["resource", "number"],
    ["new_limit", "address"],
    ["old_limit", "address"],
  ],
  read: [FD, BUFFER, SIZE],
  readlinkat: [DIRFD, PATH, BUFFER, SIZE],
  recvmsg: [FD, ["message", "address"], ["flags", flags("MSG_*")]],
  sched_setaffinity: [["pid", "number"], SIZE, ["cpus", "address"]],
  sched_setattr: [
    ["pid", "number"],
    ["attributes", "address"],
    ["flags", "hex"],
  ],
  setdomainname: [["name", "address"], SIZE],
  setgroups: [SIZE, ["groups", "address"]],
  sethostname: [["name", "address"], SIZE],
  set_mempolicy: [
    ["mode", "hex"],
    ["nodes", "address"],
    ["bits", "number"],
  ],
  setns: [FD, NAMESPACES],
  setresgid: GID,
  setresuid: UID,
  setsid: [],
  setxattr: [PATH, ["name", "address"], ["value", "address"], SIZE, ["flags", "hex"]],
  socket: [
    ["family", one("AF_*")],
    ["type", flags("SOCK_RAW", "SOCK_CLOEXEC")],
    ["protocol", one("NETLINK_ROUTE")],
  ],
  statx: [
    DIRFD,
    PATH,
    ["flags", flags("AT_SYMLINK_NOFOLLOW", "AT_EMPTY_PATH")],
    ["mask", flags("STATX_*")],
    BUFFER,
  ],
  symlinkat: [["target", "address"], DIRFD, PATH],
  umask: [["mask", "mode"]],
  umount2: [PATH, ["flags", flags("MNT_*")]],
  unlinkat: [DIRFD, PATH, ["flags", flags("AT_REMOVEDIR")]],
  unshare: [NAMESPACES],
  write: [FD, BUFFER, SIZE],
};

/** The arguments after the first, by the first: a constant's name. */
const BY_OPERATION: Readonly<Record<string, readonly Parameter[]>> = {
  PR_CAPBSET_DROP: [["capability", "capability"]],
  PR_CAP_AMBIENT: [
    ["action", one("PR_CAP_AMBIENT_*")],
    ["capability", "capability"],
  ],
  PR_SET_PDEATHSIG: [["signal", "signal"]],
  PR_SET_KEEPCAPS: [["keep", "number"]],
  PR_SET_NO_NEW_PRIVS: [["value", "number"]],
  PR_SET_DUMPABLE: [["dumpable", "number"]],
  PR_SET_NAME: [["name", "address"]],
  KEYCTL_JOIN_SESSION_KEYRING: [["name", "address"]],
  KEYCTL_SETPERM: [
    ["key", "number"],
    ["permissions", "hex"],
  ],
  TIOCGPTPEER: [OPEN],
  TIOCSPTLCK: [["lock", "address"]],
  TIOCSWINSZ: [["size", "address"]],
  TIOCSCTTY: [["steal", "number"]],
};

/** Where the operation stands in the arguments of a call that has one, and the names that it may have. */
const OPERATIONS: Readonly<
  Partial<Record<SyscallName, { readonly at: number; readonly names: readonly string[] }>>
> = {
  prctl: { at: 0, names: ["PR_SET_*", "PR_CAPBSET_*", "PR_CAP_AMBIENT"] },
  keyctl: { at: 0, names: ["KEYCTL_*"] },
  ioctl: { at: 1, names: ["TIOC*"] },
};

/** The parameters of a system call with these arguments. Arguments beyond them are fillers. */
export function parametersOf(call: SyscallName, args: readonly Value[]): readonly Parameter[] {
  const operations = OPERATIONS[call];
  if (operations === undefined) return SIGNATURES[call] ?? [];
  const { at, names } = operations;
  const operation = args[at];
  const name = typeof operation === "number" ? constantOf(operation, names) : undefined;
  const parameters: readonly Parameter[] = [
    ...(at === 0 ? [] : [FD]),
    ["operation", one(...names)],
    ...(BY_OPERATION[name ?? ""] ?? []),
  ];
  return name === "PR_CAP_AMBIENT" && args[1] === PR_CAP_AMBIENT_CLEAR_ALL
    ? parameters.slice(0, 2)
    : parameters;
}

/** The fields of the structs that a call takes, as far as they are not plain numbers. */
export const FIELDS: Readonly<Partial<Record<SyscallName, Readonly<Record<string, Kind>>>>> = {
  openat2: { flags: "open", mode: "mode", resolve: flags("RESOLVE_*") },
  mount_setattr: {
    attr_set: flags("MOUNT_ATTR_*"),
    attr_clr: flags("MOUNT_ATTR_*"),
    propagation: flags("MS_*"),
    userns_fd: "fd",
  },
  bpf: { prog_type: one("BPF_PROG_TYPE_*"), prog_name: "hex" },
  capset: {
    version: one("LINUX_CAPABILITY_VERSION_*"),
    effective: { capabilities: 0 },
    permitted: { capabilities: 0 },
    inheritable: { capabilities: 0 },
    effective_high: { capabilities: 32 },
    permitted_high: { capabilities: 32 },
    inheritable_high: { capabilities: 32 },
  },
};
