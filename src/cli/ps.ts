import { BerthError } from "../errors.ts";
import { findInPath } from "../linux/find.ts";
import { environment } from "../linux/native.ts";
import { exitStatus } from "../linux/process.ts";
import { runTool } from "../plan/program.ts";
import { processes } from "../runtime/ps.ts";
import { defineCommand } from "./command.ts";
import { print } from "./output.ts";

/** Engines may call without PATH. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export const command = defineCommand({
  name: "ps",
  summary: "show the processes of a container",
  operands: "<container-id> [ps options]",
  description: "The table is that of the host's ps, called with the options given, or with -ef.",
  options: {
    format: {
      kind: "text",
      short: "f",
      default: "table",
      choices: ["table", "json"],
      help: '"table" or "json"',
    },
  },
  takes: [1, Number.POSITIVE_INFINITY],
  stopAtPositional: true,
  run({ positionals: [id = "", ...options], values: { format }, globals }) {
    const pids = processes(globals.root, id);
    if (format === "json") print(`${JSON.stringify(pids)}\n`);
    else print(processTable(runPs(options.length === 0 ? ["-ef"] : options), pids));
  },
});

/**
 * The lines of ps's output that are about these processes, and its header.
 * @throws BerthError "ps" when there is no column PID
 */
export function processTable(output: string, pids: readonly number[]): string {
  const [header = "", ...rows] = output.split("\n");
  const column = header.trim().split(/\s+/).indexOf("PID");
  if (column < 0) {
    throw new BerthError("ps", 'couldn\'t find the field "PID" in ps output', {
      hint: "give ps options that show a column PID, such as -ef or aux",
    });
  }
  const wanted = new Set(pids.map(String));
  const kept = rows.filter((row) => wanted.has(row.trim().split(/\s+/)[column] ?? ""));
  return `${[header, ...kept].join("\n")}\n`;
}

function runPs(options: readonly string[]): string {
  const path = findInPath("ps", environment.PATH || PATH);
  if (path === undefined) {
    throw new BerthError("ps", "ps: executable file not found in $PATH", {
      hint: 'install ps (Debian: procps), or use "--format json"',
    });
  }
  const { exit, stdout, stderr } = runTool([path, ...options]);
  const status = exitStatus(exit);
  if (status === 0) return stdout;
  const said = stderr.trim();
  throw new BerthError(
    "ps",
    `ps ${options.join(" ")}: exit status ${status}${said === "" ? "" : `: ${said}`}`,
  );
}
