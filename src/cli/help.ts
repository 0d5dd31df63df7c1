import { type Command, defineCommand } from "./command.ts";

export const command: Command = defineCommand({
  name: "help",
  summary: "show the commands, or how one of them is called",
  operands: "[command]",
  description: "",
  options: {},
  takes: [0, 1],
  async run({ positionals: [name] }) {
    const { printHelp } = await import("./help-text.ts");
    await printHelp(name);
    return undefined;
  },
});
