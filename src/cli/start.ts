import { start } from "../runtime/start.ts";
import { defineCommand } from "./command.ts";

export const command = defineCommand({
  name: "start",
  summary: "execute the program of a created container",
  operands: "<container-id>",
  description: "",
  options: {},
  takes: [1, 1],
  async run({ positionals: [id = ""], globals }) {
    await start(globals.root, id);
    return undefined;
  },
});
