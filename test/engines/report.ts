/** Tells what was compared: one line per operation, and below it what differs and why that is so. */
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Verdict } from "./compare.ts";
import type { Operation } from "./operation.ts";

const target = join(realpathSync(join(import.meta.dirname, "../..")), "dist/engines");

/** Writes dist/engines/ENGINE.txt. */
export function report(engine: string, verdicts: readonly Verdict[]): void {
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, `${engine}.txt`), `${verdicts.map(describe).join("\n")}\n`);
}

function describe({ operation, outcomes, differences }: Verdict): string {
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
