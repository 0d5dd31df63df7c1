import { type Event, events, stats } from "../runtime/events.ts";
import { defineCommand } from "./command.ts";
import { print } from "./output.ts";
import { duration } from "./quantities.ts";
import { statsHeader, statsRow } from "./stats-table.ts";

export const command = defineCommand({
  name: "events",
  summary: "show what a container uses, and when it runs out of memory",
  operands: "<container-id>",
  description:
    "Goes on until the container ends: statistics at each interval, and an event for each process that is killed for memory.",
  options: {
    interval: { kind: "text", default: "5s", help: 'time between two statistics: "5s", "1m30s", "250ms"' },
    stats: { kind: "flag", help: "show the statistics of now, and end" },
    format: {
      kind: "text",
      default: "json",
      choices: ["json", "table"],
      help: '"json", an object a line, or "table"',
    },
  },
  takes: [1, 1],
  run({ positionals: [id = ""], values, globals: { root } }) {
    const interval = duration(values.interval, "interval");
    const show = values.format === "json" ? showJson : showRow();
    if (values.stats) show(stats(root, id));
    else events(root, id, Math.max(interval, 1), show);
  },
});

function showJson(event: Event): void {
  print(`${JSON.stringify(event)}\n`);
}

/** Prints the header before the first row. */
function showRow(): (event: Event) => void {
  let header = statsHeader();
  return (event) => {
    print(
      `${header}${event.type === "stats" ? statsRow(event.data) : "a process was killed: out of memory\n"}`,
    );
    header = "";
  };
}
