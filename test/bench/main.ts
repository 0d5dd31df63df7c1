/**
 * `npm run bench [-- --rounds N] [--only TEXT]`: berth beside runc and crun, on the same bundle, in turns.
 * Prints a table of medians, and writes it to dist/bench.json and dist/bench.svg.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cases } from "./cases.ts";
import { type Contestant, findContestants } from "./contestants.ts";
import { enter, removeCgroups } from "./host.ts";
import { type Round, takeTurns } from "./measure.ts";
import { plot } from "./plot.ts";
import { summarize, table } from "./report.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "40" }, only: { type: "string", default: "" } },
});
const rounds = Number(values.rounds);

const work = enter();
try {
  const contestants = findContestants(work);
  const [first] = contestants;
  if (first === undefined) throw new Error("nothing to measure");
  const rows = cases
    .filter(({ title }) => title.includes(values.only))
    .map((measured) => {
      process.stderr.write(`bench: ${measured.title}\n`);
      const prepared = new Map<Contestant["name"], Round>();
      for (const one of contestants) {
        const round = measured.prepare(work, one, first);
        if (round !== undefined) prepared.set(one.name, round);
      }
      return summarize(measured, takeTurns(prepared, rounds));
    });

  const os = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  const machine = { cpu: cpus()[0]?.model ?? "", processors: cpus().length, os, kernel: release() };
  console.log(`\n${table(contestants, rows)}\n`);
  for (const { version, note } of contestants) console.log(`- ${version}${note ? `: ${note}` : ""}`);
  console.log(`- ${machine.processors} × ${machine.cpu}, ${os}, Linux ${machine.kernel}; ${rounds} rounds`);

  const dist = join(import.meta.dirname, "../../dist");
  const caption = `medians of ${rounds} rounds in turns, ${os}, ${machine.processors} processors; less is better`;
  writeFileSync(
    join(dist, "bench.json"),
    `${JSON.stringify({ machine, rounds, contestants, rows }, null, 2)}\n`,
  );
  writeFileSync(join(dist, "bench.svg"), plot(contestants, rows, caption));
} finally {
  removeCgroups();
}
