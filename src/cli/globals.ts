import { BerthError } from "../errors.ts";
import { absolute } from "../linux/directory.ts";
import { isInFirstUserNamespace } from "../linux/ids.ts";
import { environment } from "../linux/native.ts";
import { effectiveIds } from "../linux/process.ts";
import type { Options, Parsed } from "./arguments.ts";
import { LEVELS, type Log, openLog } from "./log.ts";
import { userRoot } from "./user-root.ts";

const DEFAULT_ROOT = "/run/berth";

/** The options before the command. */
export const GLOBAL_OPTIONS = {
  debug: {
    kind: "flag",
    help: "log everything, with causes and stacks of errors (the same as --log-level debug)",
  },
  log: { kind: "text", help: "log file; errors are written to stderr as well (default: stderr alone)" },
  "log-format": { kind: "text", choices: ["text", "json"], help: 'format of the log: "text" or "json"' },
  "log-level": { kind: "text", choices: LEVELS, help: `lowest level that is logged: ${LEVELS.join(", ")}` },
  root: {
    kind: "text",
    help: `directory for the state of containers, best on a tmpfs (default: "${DEFAULT_ROOT}", for users other than root "$XDG_RUNTIME_DIR/berth", else in /run/user/UID or /tmp/berth-UID)`,
  },
  "cgroup-manager": {
    kind: "text",
    default: "cgroupfs",
    choices: ["cgroupfs", "systemd", "disabled"],
    help: 'who makes cgroups: "cgroupfs" (berth itself), "systemd" (as scopes and slices) or "disabled" (containers stay in the caller\'s)',
  },
  "systemd-cgroup": { kind: "flag", help: "the same as --cgroup-manager systemd" },
  rootless: {
    kind: "text",
    default: "auto",
    choices: ["true", "false", "auto"],
    help: "whether to do without what only the host's root may: device rules, and a cgroup where nothing asks for one (auto: unless root calls, outside of a user namespace)",
  },
  version: { kind: "flag", short: "v", help: "print the version" },
} as const satisfies Options;

/** What holds for every command. */
export interface Globals {
  /** Absolute: where the state of containers is kept. */
  readonly root: string;
  /** The caller named it. */
  readonly rootGiven: boolean;
  readonly cgroupManager: "cgroupfs" | "systemd" | "disabled";
  readonly rootless: "true" | "false" | "auto";
  readonly log: Log;
}

type GlobalValues = Parsed<typeof GLOBAL_OPTIONS>["values"];

/** The log that the options ask for. @throws BerthError */
export function logOf(values: GlobalValues): Log {
  const level = values.debug ? "debug" : (values["log-level"] ?? "info");
  return openLog(values.log, values["log-format"], level);
}

/** Makes sense of the options before the command. @throws BerthError "root" */
export function globalsOf({ values }: Parsed<typeof GLOBAL_OPTIONS>, log: Log): Globals {
  const given = values.root;
  const root = given === undefined ? defaultRoot(environment.XDG_RUNTIME_DIR, isHostRoot) : absolute(given);
  if (root === "/") {
    throw new BerthError(
      "invalid-option",
      '--root must not be "/": every directory there would count as a container',
    );
  }
  return {
    root,
    rootGiven: given !== undefined,
    cgroupManager: values["systemd-cgroup"] ? "systemd" : values["cgroup-manager"],
    rootless: values.rootless,
    log,
  };
}

/**
 * Where state is kept by default. An empty XDG_RUNTIME_DIR, which Podman sets, is none.
 * @param isHostRoot only asked when it matters
 */
export function defaultRoot(runtimeDirectory: string | undefined, isHostRoot: () => boolean): string {
  if (runtimeDirectory === undefined || runtimeDirectory === "") {
    const { uid } = effectiveIds();
    return uid === 0 ? DEFAULT_ROOT : userRoot(uid);
  }
  if (isHostRoot()) return DEFAULT_ROOT;
  return absolute(`${runtimeDirectory}/berth`);
}

/** Not so the root of a user namespace that an ordinary user has made. */
function isHostRoot(): boolean {
  if (effectiveIds().uid !== 0) return false;
  return environment.USER === "root" || isInFirstUserNamespace();
}

/** Whether containers are to do without what the host's root alone may: what --rootless says, or else who calls. */
export function isRootless(rootless: Globals["rootless"]): boolean {
  if (rootless !== "auto") return rootless === "true";
  return effectiveIds().uid !== 0 || !isInFirstUserNamespace();
}
