import { commandLine } from "../linux/native.ts";
import { run } from "../runtime/run.ts";
import { defineCommand } from "./command.ts";
import { commandIndex } from "./command-word.ts";
import { CREATION_OPTIONS, creationOptions } from "./creation.ts";

export const command = defineCommand({
  name: "run",
  summary: "create and start a container, wait for its end and delete it",
  operands: "<container-id>",
  description: "Exits as the container's process does; with 128 + n if signal n ended it.",
  options: {
    ...CREATION_OPTIONS,
    detach: { kind: "flag", short: "d", help: "return once the container runs" },
    keep: { kind: "flag", help: "do not delete the container when it has ended" },
    "no-subreaper": { kind: "flag", help: "leave orphans of the container to another process than berth" },
  },
  takes: [1, 1],
  run(invocation) {
    const { detach, keep, "no-subreaper": noSubreaper } = invocation.values;
    const argv = commandLine;
    const deletion = [
      ...argv.slice(0, commandIndex(argv)),
      "delete",
      "--force",
      "--",
      ...invocation.positionals.slice(0, 1),
    ];
    return run({ ...creationOptions(invocation), detach, keep, noSubreaper, deletion });
  },
});
