import { remove } from "../runtime/delete.ts";
import { defineCommand } from "./command.ts";

export const command = defineCommand({
  name: "delete",
  summary: "delete a container that has stopped, or was never started",
  operands: "<container-id>",
  description: "",
  options: {
    force: {
      kind: "flag",
      short: "f",
      help: "end the container first if it runs (SIGKILL); that there is none is no error then",
    },
  },
  takes: [1, 1],
  run({ positionals: [id = ""], values: { force }, globals: { root, log } }) {
    remove(root, id, { force, warn: (message) => log.write("warning", message) });
  },
});
