import { BerthError } from "../errors.ts";
import { idOf, namedUser, type ReadFile } from "../process/accounts.ts";
import { CAPABILITIES } from "../spec/capabilities.ts";
import type { Spec } from "../spec/config.ts";
import { nearest } from "../spec/nearest.ts";
import type { Capabilities, Process } from "../spec/process.ts";

/** The process that `exec` is asked for, by its arguments. */
export interface Command {
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  /** NAME=VALUE, added to those of config.json. */
  readonly env: readonly string[];
  readonly terminal: boolean;
  readonly user: string | undefined;
  readonly additionalGids: readonly string[];
  readonly apparmorProfile: string | undefined;
  readonly selinuxLabel: string | undefined;
  /** undefined: as in config.json. */
  readonly noNewPrivileges: boolean | undefined;
  /** Added to those of config.json. */
  readonly capabilities: readonly string[];
}

/** What a process.json that leaves it out takes from the container's config.json, as with runc. */
const INHERITED = [
  "capabilities",
  "rlimits",
  "apparmorProfile",
  "selinuxLabel",
  "oomScoreAdj",
  "scheduler",
  "ioPriority",
  "execCPUAffinity",
] as const satisfies (keyof Process)[];

/** The process of a process.json, in a container with this config.json. */
export function processOfFile(process: Process, { process: container }: Spec): Process {
  const inherited: Partial<Process> = {};
  for (const key of INHERITED) copy(inherited, container, key);
  const umask = process.user?.umask ?? container?.user?.umask;
  return {
    ...inherited,
    ...process,
    // Engines write an empty string or list for what they leave out.
    ...(process.apparmorProfile === "" ? { apparmorProfile: inherited.apparmorProfile } : {}),
    ...(process.selinuxLabel === "" ? { selinuxLabel: inherited.selinuxLabel } : {}),
    ...(process.rlimits?.length === 0 ? { rlimits: inherited.rlimits } : {}),
    user: { ...process.user, ...(umask === undefined ? {} : { umask }) },
  };
}

function copy<Key extends keyof Process>(to: Partial<Process>, from: Process | undefined, key: Key): void {
  if (from?.[key] !== undefined) to[key] = from[key];
}

/**
 * The container's own process with what the arguments say in place of its own.
 * @param read reads the container's files
 * @throws BerthError "invalid-option"
 */
export function processOfCommand(command: Command, { process: container }: Spec, read: ReadFile): Process {
  const own: Process = container ?? { cwd: "/" };
  const user = own.user ?? {};
  const named = command.user === undefined ? user : namedUser(command.user, user, read);
  const gids = command.additionalGids.map(groupId);
  return {
    ...own,
    args: [...command.args],
    cwd: command.cwd === undefined ? own.cwd : absoluteCwd(command.cwd),
    env: [...(own.env ?? []), ...command.env.map(environmentEntry)],
    // However the container itself was made: a terminal is asked for each time.
    terminal: command.terminal,
    user:
      gids.length === 0 ? named : { ...named, additionalGids: [...(named.additionalGids ?? []), ...gids] },
    apparmorProfile: command.apparmorProfile ?? own.apparmorProfile,
    selinuxLabel: command.selinuxLabel ?? own.selinuxLabel,
    noNewPrivileges: command.noNewPrivileges ?? own.noNewPrivileges,
    capabilities: withCapabilities(own.capabilities, command.capabilities.map(capabilityName)),
  };
}

/**
 * Ambient only where config.json gives inheritable ones, as with runc: without those the kernel refuses it, and nothing is made
 * inheritable here (CVE-2022-29162).
 */
function withCapabilities(own: Capabilities | undefined, added: readonly string[]): Capabilities | undefined {
  if (added.length === 0) return own;
  const { bounding = [], effective = [], permitted = [], inheritable, ambient } = own ?? {};
  return {
    ...own,
    bounding: [...bounding, ...added],
    effective: [...effective, ...added],
    permitted: [...permitted, ...added],
    ...(inheritable === undefined ? {} : { ambient: [...(ambient ?? []), ...added] }),
  };
}

function capabilityName(text: string): string {
  const upper = text.toUpperCase();
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (Object.hasOwn(CAPABILITIES, name)) return name;
  const near = nearest(name, Object.keys(CAPABILITIES));
  throw new BerthError("invalid-option", `--cap ${JSON.stringify(text)}: there is no such capability`, {
    hint: near === undefined ? "a capability is a name such as CAP_NET_ADMIN" : `did you mean ${near}?`,
  });
}

function groupId(text: string): number {
  const id = idOf(text);
  if (id !== undefined) return id;
  throw new BerthError("invalid-option", `--additional-gids ${JSON.stringify(text)}: not a group id`, {
    hint: "it takes a number that is not negative, and may be given more than once",
  });
}

function absoluteCwd(text: string): string {
  if (text.startsWith("/")) return text;
  throw new BerthError("invalid-option", `--cwd ${JSON.stringify(text)}: not an absolute path`);
}

function environmentEntry(text: string): string {
  if (text.indexOf("=") > 0) return text;
  throw new BerthError("invalid-option", `--env ${JSON.stringify(text)}: not of the form NAME=VALUE`);
}
