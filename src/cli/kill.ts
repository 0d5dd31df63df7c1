import { kill } from "../runtime/kill.ts";
import { forEachMatching } from "../runtime/matching.ts";
import { defineCommand } from "./command.ts";
import { signalNumber } from "./signals.ts";

export const command = defineCommand({
  name: "kill",
  summary: "send a signal to a container's first process",
  operands: "<container-id> [signal]",
  description: "The signal is a name, with or without SIG, or a number. By default it is SIGTERM.",
  options: {
    all: { kind: "flag", short: "a", help: "send it to all processes of the container" },
    regex: {
      kind: "flag",
      short: "r",
      help: "the argument is a regular expression: send it to all containers whose id matches",
    },
  },
  takes: [1, 2],
  stopAtPositional: true,
  async run({ positionals: [id = "", text = "SIGTERM"], values: { all, regex }, globals: { root, log } }) {
    const signal = signalNumber(text);
    const one = (id: string) => kill(root, id, signal, { all });
    if (regex) await forEachMatching(root, id, (message) => log.write("warning", message), one);
    else one(id);
  },
});
