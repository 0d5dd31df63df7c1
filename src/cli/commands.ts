import { BerthError } from "../errors.ts";
import type { Command } from "./command.ts";

/** How to load each command: only the one that was asked for is. */
export const COMMANDS = {
  create: () => import("./create.ts"),
  delete: () => import("./delete.ts"),
  explain: () => import("./explain.ts"),
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
} as const satisfies Readonly<Record<string, () => Promise<{ readonly command: Command }>>>;

/** Loads a command. @throws BerthError "unknown-command" */
export async function loadCommand(name: string): Promise<Command> {
  if (isCommand(name)) return (await COMMANDS[name]()).command;
  const { nearest } = await import("../spec/nearest.ts");
  const near = nearest(name, Object.keys(COMMANDS));
  throw new BerthError("unknown-command", `unknown command ${JSON.stringify(name)}`, {
    hint: near === undefined ? '"berth help" lists the commands' : `did you mean "berth ${near}"?`,
  });
}

function isCommand(name: string): name is keyof typeof COMMANDS {
  return Object.hasOwn(COMMANDS, name);
}
