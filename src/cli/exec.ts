import { BerthError } from "../errors.ts";
import { absolute } from "../linux/directory.ts";
import { exec } from "../runtime/exec.ts";
import type { Command } from "../runtime/exec-process.ts";
import type { Options } from "./arguments.ts";
import { defineCommand, type Invocation } from "./command.ts";

const OPTIONS = {
  "console-socket": { kind: "text", help: "AF_UNIX socket that gets the master of the process's terminal" },
  "pidfd-socket": { kind: "text", help: "AF_UNIX socket that gets a pidfd of the process" },
  cwd: { kind: "text", help: "working directory, an absolute path in the container" },
  env: { kind: "list", short: "e", help: "NAME=VALUE, added to the container's environment" },
  tty: { kind: "flag", short: "t", help: "give the process a terminal" },
  user: {
    kind: "text",
    short: "u",
    help: "UID[:GID], or names of the container's /etc/passwd and /etc/group",
  },
  "additional-gids": { kind: "list", short: "g", help: "group id, added to those of the user" },
  process: {
    kind: "text",
    short: "p",
    help: 'process.json: the whole process, in the form of config.json\'s "process"',
  },
  detach: { kind: "flag", short: "d", help: "return once the process runs" },
  "pid-file": { kind: "text", help: "file to write the process id to" },
  "process-label": { kind: "text", help: "SELinux label of the process" },
  apparmor: { kind: "text", help: "AppArmor profile of the process" },
  "no-new-privs": { kind: "flag", help: "set no_new_privs for the process" },
  cap: { kind: "list", short: "c", help: "capability, added to those of the container's process" },
  "preserve-fds": { kind: "count", default: 0, help: "pass this many descriptors to the process, from 3 on" },
  cgroup: { kind: "list", help: "path of the cgroup to run in, below the container's" },
  "ignore-paused": {
    kind: "flag",
    help: "begin in a paused container too; the process waits there until it is resumed",
  },
  "no-subreaper": { kind: "flag", help: "accepted for the sake of runc's command lines, and of no effect" },
} as const satisfies Options;

export const command = defineCommand({
  name: "exec",
  summary: "run another process in a container",
  operands: "<container-id> <command> [arguments...]  |  --process <process.json> <container-id>",
  description:
    "Without --process, the process is that of the container's config.json with the command and the options in the place of\n" +
    "what is there. Exits as the process does; with 128 + n if signal n ended it, and with 255 if it cannot be executed.",
  options: OPTIONS,
  takes: [1, Number.POSITIVE_INFINITY],
  stopAtPositional: true,
  failure: { prefix: "exec failed: ", status: 255 },
  run({ values, given, positionals: [id = "", ...args], globals: { root, log } }) {
    const warn = (message: string) => log.write("warning", message);
    const path = (value: string | undefined) => (value === undefined ? undefined : absolute(value));
    const file = path(values.process);
    if (file !== undefined) warnOfIgnored(given, args, warn);
    return exec({
      root,
      id,
      process: file === undefined ? commandOf(values, given, args) : { file },
      detach: values.detach,
      pidFile: path(values["pid-file"]),
      consoleSocket: path(values["console-socket"]),
      pidfdSocket: path(values["pidfd-socket"]),
      preserveFds: values["preserve-fds"],
      cgroup: values.cgroup,
      ignorePaused: values["ignore-paused"],
      warn,
    });
  },
});

type Given = Invocation<typeof OPTIONS>;

function commandOf(values: Given["values"], given: Given["given"], args: readonly string[]): Command {
  if (args.length === 0) {
    throw new BerthError("invalid-option", "process args cannot be empty", {
      hint: "give the command after the container's id, or a whole process with --process",
    });
  }
  return {
    args,
    cwd: values.cwd,
    env: values.env,
    terminal: values.tty,
    user: values.user,
    additionalGids: values["additional-gids"],
    apparmorProfile: values.apparmor,
    selinuxLabel: values["process-label"],
    noNewPrivileges: given.has("no-new-privs") ? values["no-new-privs"] : undefined,
    capabilities: values.cap,
  };
}

/** What describes a process, and so is not looked at when --process does. conmon gives --tty all the same. */
const DESCRIBING = [
  "cwd",
  "env",
  "user",
  "additional-gids",
  "process-label",
  "apparmor",
  "no-new-privs",
  "cap",
] as const satisfies (keyof typeof OPTIONS)[];

function warnOfIgnored(
  given: Given["given"],
  args: readonly string[],
  warn: (message: string) => void,
): void {
  const ignored: string[] = DESCRIBING.filter((name) => given.has(name)).map((name) => `--${name}`);
  if (args.length > 0) ignored.push("the command");
  if (ignored.length > 0) warn(`${ignored.join(", ")}: not used, as --process gives the whole process`);
}
