import { ENOENT, systemError } from "../linux/errno.ts";
import { list } from "../runtime/list.ts";
import type { ContainerState } from "../runtime/state.ts";
import { defineCommand } from "./command.ts";
import { print } from "./output.ts";
import { formatTable } from "./table.ts";

export const command = defineCommand({
  name: "list",
  summary: "list the containers below the root",
  operands: "",
  description: "",
  options: {
    format: {
      kind: "text",
      short: "f",
      default: "table",
      choices: ["table", "json"],
      help: '"table" or "json"',
    },
    quiet: { kind: "flag", short: "q", help: "print ids only" },
  },
  takes: [0, 0],
  run({ values: { format, quiet }, globals: { root, rootGiven, log } }) {
    const listing = list(root);
    // A root that was never used is empty; one that was asked for by name and is not there may be a mistake.
    if (listing === undefined && rootGiven) throw systemError(ENOENT, `list containers in "${root}"`);
    const { states, problems } = listing ?? { states: [], problems: [] };
    for (const problem of problems) log.write("warning", problem);
    if (quiet) print(states.map(({ id }) => `${id}\n`).join(""));
    else if (format === "json") print(`${states.length === 0 ? "null" : JSON.stringify(states)}\n`);
    else print(containerTable(states));
  },
});

/** The table of `list`. */
export function containerTable(states: readonly ContainerState[]): string {
  const header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
  const rows = states.map(({ id, pid, status, bundle, created, owner }) => [
    id,
    String(pid),
    status,
    bundle,
    created,
    owner,
  ]);
  return formatTable([header, ...rows]);
}
