import { BerthError } from "../errors.ts";
import { nearest } from "../spec/nearest.ts";
import { type Command, defineCommand } from "./command.ts";
import { COMMANDS, commandWord } from "./commands.ts";
import { printOverview } from "./help.ts";

/** What answers when no command is named, or one that there is not. */
export const command: Command = defineCommand({
  name: "",
  summary: "",
  operands: "",
  description: "",
  options: {},
  takes: [0, Number.POSITIVE_INFINITY],
  stopAtPositional: true,
  async run() {
    const name = commandWord(process.argv.slice(2));
    if (name === undefined) return printOverview();
    const near = nearest(name, Object.keys(COMMANDS));
    throw new BerthError("unknown-command", `unknown command ${JSON.stringify(name)}`, {
      hint: near === undefined ? '"berth help" lists the commands' : `did you mean "berth ${near}"?`,
    });
  },
});
