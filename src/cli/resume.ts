import { resume } from "../runtime/pause.ts";
import { defineCommand } from "./command.ts";

export const command = defineCommand({
  name: "resume",
  summary: "let all processes of a paused container go on",
  operands: "<container-id>",
  description: "",
  options: {},
  takes: [1, 1],
  run({ positionals: [id = ""], globals }) {
    resume(globals.root, id);
  },
});
