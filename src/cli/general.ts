import { commandLine } from "../linux/native.ts";
import { type Command, defineCommand } from "./command.ts";
import { commandWord } from "./command-word.ts";
import { printHelp, unknownCommand } from "./help-text.ts";

/** What answers when no command is named, or one that there is not. */
export const command: Command = defineCommand({
  name: "",
  summary: "",
  operands: "",
  description: "",
  options: {},
  takes: [0, Number.POSITIVE_INFINITY],
  takesAnything: true,
  async run() {
    const name = commandWord(commandLine);
    if (name !== undefined) throw unknownCommand(name);
    await printHelp(undefined);
    return undefined;
  },
});
