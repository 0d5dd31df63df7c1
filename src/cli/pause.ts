import { pause } from "../runtime/pause.ts";
import { defineCommand } from "./command.ts";

export const command = defineCommand({
  name: "pause",
  summary: "stop all processes of a container, until it is resumed",
  operands: "<container-id>",
  description: "",
  options: {},
  takes: [1, 1],
  run({ positionals: [id = ""], globals }) {
    pause(globals.root, id);
  },
});
