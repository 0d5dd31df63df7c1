import { state } from "../runtime/state.ts";
import { defineCommand } from "./command.ts";
import { print } from "./output.ts";

export const command = defineCommand({
  name: "state",
  summary: "show the state of a container, as JSON",
  operands: "<container-id>",
  description: "",
  options: {},
  takes: [1, 1],
  run({ positionals: [id = ""], globals }) {
    print(JSON.stringify(state(globals.root, id), null, 2));
  },
});
