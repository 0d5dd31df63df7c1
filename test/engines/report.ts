/** Tells what was compared: one line per operation, and below it what differs and why that is so. */
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Verdict } from "./compare.ts";
import type { Operation, RuntimeName } from "./operation.ts";
import type { Figures } from "./storm.ts";

const target = join(realpathSync(join(import.meta.dirname, "../..")), "dist/engines");

/** Writes dist/engines/ENGINE.txt. */
export function report(engine: string, verdicts: readonly Verdict[]): void {
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, `${engine}.txt`), `${verdicts.map(describe).join("\n")}\n`);
}

function describe({ operation, outcomes, differences, once = [] }: Verdict): string {
  const { runc, berth } = outcomes;
  const lines = [`${judge(operation, differences)} ${operation.name}`];
  if (operation.failsHere !== undefined) {
    lines.push(`  runc fails here (exit ${runc?.exit}), berth: exit ${berth?.exit}: ${operation.failsHere}`);
  }
  for (const { part, runc, berth, reason } of operation.improves ?? []) {
    lines.push(`  ${part} differs: ${reason}`, ...quote("  runc", runc), ...quote("  berth", berth));
  }
  lines.push(`  exit ${runc?.exit}`, ...quote("stdout", runc?.stdout), ...quote("stderr", runc?.stderr));
  for (const difference of differences) lines.push(`  ${difference.replaceAll("\n", "\n  ")}`);
  for (const difference of once) lines.push(`  the first time: ${difference.replaceAll("\n", "\n  ")}`);
  return lines.join("\n");
}

function judge({ improves }: Operation, differences: readonly string[]): string {
  if (differences.length > 0) return "DIFFERENT";
  return improves === undefined ? "same     " : "improved ";
}

/** Each line of an output, marked. */
function quote(name: string, text: string | undefined): string[] {
  return text ? text.split("\n").map((line) => `  ${name}: ${line}`) : [];
}

/** Writes dist/engines/storm.txt, and says the same: seconds of each runtime, and their ratio. */
export function reportStorm(figures: Partial<Record<RuntimeName, Figures>>): void {
  const { runc, berth } = figures;
  const seconds = (ms: number | undefined) => (ms === undefined ? "-" : (ms / 1000).toFixed(2)).padStart(9);
  const lines = (["create", "exec", "remove"] as const).map((phase) => {
    const [one, other] = [runc?.[phase], berth?.[phase]];
    const ratio = one === undefined || other === undefined ? "-" : (other / one).toFixed(2);
    return `${PHASES[phase].padEnd(45)} ${seconds(one)} ${seconds(other)} ${ratio.padStart(12)}`;
  });
  const table = [
    `${"seconds, through containerd".padEnd(45)}      runc     berth berth / runc`,
    ...lines,
    "",
  ].join("\n");
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, "storm.txt"), table);
  process.stdout.write(`\n${table}\n`);
}

const PHASES = {
  create: "100 containers created and started at once",
  exec: "100 execs in each of 10 containers at once",
  remove: "100 containers killed and removed at once",
};
