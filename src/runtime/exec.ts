import { readText } from "../linux/file.ts";
import { effectiveIds } from "../linux/process.ts";
import { type Scope, scopedAsync } from "../linux/scope.ts";
import { copyWindowSize } from "../linux/terminal.ts";
import { descriptors } from "../plan/protocol.ts";
import type { ReadFile } from "../process/accounts.ts";
import { readContainerFile } from "../process/home.ts";
import { loadSeccomp } from "../process/seccomp/load.ts";
import type { Spec } from "../spec/config.ts";
import type { Process } from "../spec/process.ts";
import { asksForSpecialExec } from "../spec/special.ts";
import { preserve } from "./caller.ts";
import { type ConsoleReceiver, checkTerminal, connectConsole, connectTo } from "./console.ts";
import { type Container, findContainer, openPlace, type Place } from "./exec-container.ts";
import { type Command, processOfCommand, processOfFile } from "./exec-process.ts";
import { type Joining, start } from "./exec-start.ts";
import { awaitProcess } from "./foreground.ts";

/** What `exec` is asked for. */
export interface ExecOptions {
  /** The directory of all containers' states. */
  readonly root: string;
  readonly id: string;
  /** The process: by a process.json, or by arguments. */
  readonly process: { readonly file: string } | Command;
  readonly detach: boolean;
  readonly pidFile: string | undefined;
  readonly consoleSocket: string | undefined;
  readonly pidfdSocket: string | undefined;
  /** How many descriptors beyond stdio the process inherits. */
  readonly preserveFds: number;
  /** What `--cgroup` says, each time that it is given. */
  readonly cgroup: readonly string[];
  readonly ignorePaused: boolean;
  readonly warn: (message: string) => void;
}

const STDIN = 0;

/**
 * Starts another process in a container, and waits for its end unless it is detached.
 * @returns its exit status, 128 + n when signal n ended it; 0 at once when detached
 * @throws BerthError when it cannot be executed; nothing of it is left then
 */
export async function exec(options: ExecOptions): Promise<number> {
  return scopedAsync(async (scope) => {
    const container = findContainer(options.root, options.id, options.ignorePaused, scope);
    const processIn = await understand(options.process, options.warn);
    const place = openPlace(container, options.cgroup, scope);
    const process = processIn(container.spec, (path) => readContainerFile(place.root, path));
    let master: number | undefined;
    const foreground = (fd: number) => {
      master = fd;
      // Before the program runs: its first look at the size is the right one.
      copyWindowSize(STDIN, fd);
    };
    const prepared = prepare(options, container, place, process, foreground, scope);
    const special = asksForSpecialExec(process)
      ? (await import("./exec-special.ts")).prepareExec(process, prepared.fds, scope)
      : undefined;
    const score =
      effectiveIds().uid === 0 ? undefined : (await import("../process/own-score.ts")).scoreKeeper();
    const seccomp = await loadSeccomp(
      container.spec,
      container.config,
      options.root,
      process.noNewPrivileges === true,
      () => {
        // What it leaves out was said when the container was created.
      },
    );
    const joining = { ...prepared, score, warn: options.warn, special, seccomp };
    const { pid, pidfd } = await start(joining, scope);
    if (options.detach) return 0;
    return awaitProcess({ pid, pidfd, master, reap: false, afterwards: undefined });
  });
}

/** The process in a container with this config.json, whose files can be read. */
type ProcessIn = (spec: Spec, read: ReadFile) => Process;

async function understand(given: ExecOptions["process"], warn: ExecOptions["warn"]): Promise<ProcessIn> {
  if (!("file" in given)) return (spec, read) => processOfCommand(given, spec, read);
  // Loaded for this only: what checks a process is large.
  const { parseProcess } = await import("../spec/parse.ts");
  const { process, warnings } = await parseProcess(readText(given.file), given.file);
  for (const warning of warnings) warn(warning);
  return (spec) => processOfFile(process, spec);
}

/** Finds all that can be wrong before anything is made. */
function prepare(
  options: ExecOptions,
  container: Container,
  place: Place,
  process: Process,
  foreground: ConsoleReceiver,
  scope: Scope,
): Omit<Joining, "score" | "warn" | "special" | "seccomp"> {
  const { detach, pidFile, consoleSocket, pidfdSocket, preserveFds, cgroup } = options;
  checkTerminal(process, consoleSocket, !detach);
  preserve(preserveFds);
  return {
    detach,
    pidFile,
    ownCgroup: cgroup.length > 0,
    container,
    place,
    process,
    fds: descriptors(preserveFds),
    console: detach ? connectConsole(consoleSocket, scope) : foreground,
    pidfdReceiver:
      pidfdSocket === undefined ? undefined : scope.keep(connectTo("--pidfd-socket", pidfdSocket)),
  };
}
