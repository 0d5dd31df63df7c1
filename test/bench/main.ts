/**
 * `npm run bench [-- FILTER...] [--rounds N]`: berth beside runc and crun, on the same bundle, in turns.
 * A filter is a part of a row's title; without any, all are measured. Prints tables of medians, and writes them to
 * dist/bench.json and dist/bench.svg. The rows of the VM come last, from one guest.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { whyNotHere } from "../known.ts";
import { type Case, cases } from "./cases.ts";
import { type Contestant, findContestants } from "./contestants.ts";
import { measureInGuest } from "./guest.ts";
import { errand, furnish, measureInNamespaces, type Place, removeCgroups } from "./host.ts";
import { takeTurns } from "./measure.ts";
import { plot } from "./plot.ts";
import { page, type Report, summarize } from "./report.ts";

const dist = join(import.meta.dirname, "../../dist");

function fail(why: string): never {
  process.stderr.write(`bench: ${why}\n`);
  process.exit(1);
}

const { values, positionals } = parseArgs({
  options: { rounds: { type: "string", default: "40" } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds ${values.rounds}: not a number of rounds`);

/** The rows that were asked for, of a machine. */
const rowsOf = (wanted: Place): Case[] =>
  cases.filter(
    ({ title, place = "host" }) =>
      place === wanted && (positionals.length === 0 || positionals.some((part) => title.includes(part))),
  );

/** Measures the rows of this machine. Who cannot take part in a row is left out, but for berth. */
function measure(place: Place, work: string): Report {
  const contestants = findContestants(work);
  const [first] = contestants;
  if (first === undefined) throw new Error("nothing to measure");
  const absences: string[] = [];
  const rows = rowsOf(place).map((row) => {
    process.stderr.write(`bench: ${row.title}\n`);
    const prepared = new Map<Contestant["name"], () => number>();
    for (const one of contestants) {
      try {
        const round = row.prepare(work, one, first);
        // The first one fills caches, and shows whether it can be done at all.
        round?.();
        if (round !== undefined) prepared.set(one.name, round);
      } catch (error) {
        if (one === first) throw error;
        absences.push(`${one.name} has no part in "${row.title}": ${String(error)}`);
      }
    }
    return summarize(row, takeTurns(prepared, rounds));
  });
  const os = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  const machine = { cpu: cpus()[0]?.model ?? "", processors: cpus().length, os, kernel: release() };
  return { machine, rounds, contestants, rows, absences };
}

const read = (text: string): Report => JSON.parse(text);

/** The rows of the machine that this was started on. */
function onHost(): Report {
  const file = join(dist, `bench-${process.pid}.json`);
  try {
    if (measureInNamespaces("host", file) !== 0) fail("it ended with an error, see above");
    return read(readFileSync(file, "utf8"));
  } finally {
    rmSync(file, { force: true });
  }
}

/** The rows of the VM; undefined where it is known that there can be none. */
async function inGuest(): Promise<Report | undefined> {
  const why = whyNotHere("test:vm");
  if (why === undefined) return read(await measureInGuest(process.argv.slice(2)));
  process.stderr.write(`bench: without the rows of the VM: ${why}\n`);
  return undefined;
}

async function measureAll(): Promise<void> {
  const host = rowsOf("host").length > 0 ? onHost() : undefined;
  const guest = rowsOf("vm").length > 0 ? await inGuest() : undefined;
  const reports = [host, guest].filter((report) => report !== undefined);
  const [report] = reports;
  if (report === undefined) fail(`no row has ${positionals.join(" or ")} in its title`);
  for (const each of reports) process.stdout.write(`\n${page(each)}\n`);
  writeFileSync(join(dist, "bench.json"), `${JSON.stringify({ ...host, guest }, null, 2)}\n`);
  const caption = `medians of ${rounds} rounds in turns, ${report.machine.os}, ${report.machine.processors} processors; less is better`;
  const rows = reports.flatMap((each) => each.rows);
  writeFileSync(join(dist, "bench.svg"), plot(report.contestants, rows, caption));
}

const asked = errand();
if (asked === undefined) {
  await measureAll();
} else if (asked.work === undefined) {
  process.exit(measureInNamespaces(asked.place, asked.report));
} else {
  furnish(asked.work);
  try {
    writeFileSync(asked.report, JSON.stringify(measure(asked.place, asked.work)));
  } finally {
    removeCgroups();
  }
}
