import type { Command } from "./command.ts";
import { commandWord } from "./command-word.ts";

/** How to load each command: only the one that was asked for is. */
export const COMMANDS: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  create: () => import("./create.ts"),
  delete: () => import("./delete.ts"),
  exec: () => import("./exec.ts"),
  explain: () => import("./explain.ts"),
  features: () => import("./features.ts"),
  kill: () => import("./kill.ts"),
  list: () => import("./list.ts"),
  pause: () => import("./pause.ts"),
  ps: () => import("./ps.ts"),
  resume: () => import("./resume.ts"),
  run: () => import("./run.ts"),
  spec: () => import("./spec.ts"),
  start: () => import("./start.ts"),
  state: () => import("./state.ts"),
  help: () => import("./help.ts"),
  h: () => import("./help.ts"),
};

/** Loads the command that a command line names; the one that answers for berth as a whole when it names none that there is. */
export async function loadCommand(argv: readonly string[]): Promise<Command> {
  const name = commandWord(argv);
  const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  return (await (load ?? (() => import("./general.ts")))()).command;
}
