import { BerthError } from "../errors.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  NS_GET_NSTYPE,
  O_RDONLY,
} from "../linux/constants.ts";
import { errnoText } from "../linux/errno.ts";
import { close, tryOpen } from "../linux/file.ts";
import { syscall } from "../linux/native.ts";
import type { Linux, NamespaceType } from "../spec/linux.ts";

/** The kernel's flag for each namespace of config.json, in the order in which they are joined. */
export const NAMESPACE_FLAGS: Readonly<Record<NamespaceType, number>> = {
  // The user namespace comes last: joining it gives up the rights over the others that the runtime has.
  network: CLONE_NEWNET,
  ipc: CLONE_NEWIPC,
  uts: CLONE_NEWUTS,
  time: CLONE_NEWTIME,
  cgroup: CLONE_NEWCGROUP,
  pid: CLONE_NEWPID,
  mount: CLONE_NEWNS,
  user: CLONE_NEWUSER,
};

/** A namespace to join, from config.json. */
export interface JoinedNamespace {
  readonly type: NamespaceType;
  readonly path: string;
  /** "linux.namespaces[2]" */
  readonly configPath: string;
}

/** What config.json says of namespaces, in the terms of clone3 and setns. */
export interface NamespacePlan {
  readonly has: ReadonlySet<NamespaceType>;
  readonly created: ReadonlySet<NamespaceType>;
  readonly joined: readonly JoinedNamespace[];
  /** CLONE_NEW* for clone3. The cgroup namespace must follow the move into the cgroup, and the time namespace must be
   * entered by a process of its own address space (timens_install): both are steps of init, see steps.ts. */
  readonly cloneFlags: number;
}

const BY_STEP: ReadonlySet<NamespaceType> = new Set(["cgroup", "time"]);

/** Sorts config.json's namespaces into those to make and those to join. */
export function planNamespaces(namespaces: Linux["namespaces"]): NamespacePlan {
  const created = new Set<NamespaceType>();
  const joined: JoinedNamespace[] = [];
  let cloneFlags = 0;
  namespaces.forEach(({ type, path }, i) => {
    if (path !== undefined && path !== "") {
      joined.push({ type, path, configPath: `linux.namespaces[${i}]` });
    } else {
      created.add(type);
      if (!BY_STEP.has(type)) cloneFlags |= NAMESPACE_FLAGS[type];
    }
  });
  const order = Object.keys(NAMESPACE_FLAGS);
  joined.sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
  const has = new Set([...created, ...joined.map(({ type }) => type)]);
  return { has, created, joined, cloneFlags };
}

/**
 * Whether init must be closed to others: they see it by its pid, or are root of its user namespace, and could reach through it what
 * it still has of the host (CVE-2016-9962).
 * @param mayTrace whether berth has CAP_SYS_PTRACE. Without, it can serve init only while that is open; in a user namespace of its
 * own there is nobody beside the caller to reach it, who has all that is to be had there anyway.
 */
export function isExposed({ created, joined }: NamespacePlan, mayTrace: boolean): boolean {
  const joinsUser = joined.some(({ type }) => type === "user");
  return created.has("pid") ? joinsUser && mayTrace : joinsUser || mayTrace;
}

/**
 * The order in which an ordinary user joins namespaces: the user namespace first, for only its root may join the others. For root
 * it is last, see {@link NAMESPACE_FLAGS}.
 */
export function userNamespaceFirst(opened: readonly OpenNamespace[]): OpenNamespace[] {
  const isUser = ({ joined }: OpenNamespace) => joined.type === "user";
  return [...opened.filter(isUser), ...opened.filter((each) => !isUser(each))];
}

/** An open namespace, ready for setns. */
export interface OpenNamespace {
  readonly fd: number;
  readonly type: number;
  readonly subject: string;
  readonly joined: JoinedNamespace;
}

/**
 * Opens the namespaces to join and checks that each is what config.json says.
 * @throws BerthError that names the entry, the file and what it really is
 */
export function openNamespaces(joined: readonly JoinedNamespace[]): OpenNamespace[] {
  const opened: OpenNamespace[] = [];
  try {
    for (const entry of joined) {
      const subject = `${entry.configPath} ${entry.type} namespace "${entry.path}"`;
      const fd = tryOpen(entry.path, O_RDONLY);
      if (fd < 0) throw new BerthError("namespace", `${subject}: ${errnoText(-fd)}`);
      const type = NAMESPACE_FLAGS[entry.type];
      opened.push({ fd, type, subject, joined: entry });
      const found = syscall("ioctl", fd, NS_GET_NSTYPE);
      if (found < 0) throw new BerthError("namespace", `${subject}: is not a namespace`);
      if (found !== type) {
        const name = Object.entries(NAMESPACE_FLAGS).find(([, flag]) => flag === found)?.[0] ?? "another";
        throw new BerthError("namespace", `${subject}: is of type "${name}"`);
      }
    }
    return opened;
  } catch (error) {
    closeNamespaces(opened);
    throw error;
  }
}

/** Closes what {@link openNamespaces} opened. */
export function closeNamespaces(opened: readonly OpenNamespace[]): void {
  for (const { fd } of opened) close(fd);
}
