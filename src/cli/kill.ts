import { kill } from "../runtime/kill.ts";
import { defineCommand } from "./command.ts";
import { signalNumber } from "./signals.ts";

export const command = defineCommand({
  name: "kill",
  summary: "send a signal to a container's first process",
  operands: "<container-id> [signal]",
  description: "The signal is a name, with or without SIG, or a number. By default it is SIGTERM.",
  options: { all: { kind: "flag", short: "a", help: "send it to all processes of the container" } },
  takes: [1, 2],
  stopAtPositional: true,
  run({ positionals: [id = "", signal = "SIGTERM"], values: { all }, globals }) {
    kill(globals.root, id, signalNumber(signal), { all });
  },
});
