import { remove } from "../runtime/delete.ts";
import { forEachMatching } from "../runtime/matching.ts";
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
    regex: {
      kind: "flag",
      short: "r",
      help: "the argument is a regular expression: delete all containers whose id matches",
    },
  },
  takes: [1, 1],
  async run({ positionals: [id = ""], values: { force, regex }, globals: { root, log } }) {
    const warn = (message: string) => log.write("warning", message);
    const one = (id: string) => remove(root, id, { force, warn });
    if (regex) await forEachMatching(root, id, warn, one);
    else await one(id);
  },
});
