/** Tells what was compared: one line per operation, and below it what differs and why that is so. */
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Verdict } from "./compare.ts";

const target = join(realpathSync(join(import.meta.dirname, "../..")), "dist/engines");

/** Writes dist/engines/ENGINE.txt. */
export function report(engine: string, verdicts: readonly Verdict[]): void {
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, `${engine}.txt`), `${verdicts.map(describe).join("\n")}\n`);
}

function describe({ operation, outcomes, differences }: Verdict): string {
  const { runc, berth } = outcomes;
  const lines = [`${differences.length === 0 ? "same     " : "DIFFERENT"} ${operation.name}`];
  if (operation.failsHere !== undefined) {
    lines.push(`  runc fails here (exit ${runc?.exit}), berth: exit ${berth?.exit}: ${operation.failsHere}`);
  }
  for (const [part, reason] of Object.entries(operation.improves ?? {})) {
    lines.push(`  ${part} may differ: ${reason}`);
    lines.push(`    runc:  ${String(runc?.[part as keyof typeof runc]).replaceAll("\n", "\n           ")}`);
    lines.push(`    berth: ${String(berth?.[part as keyof typeof berth]).replaceAll("\n", "\n           ")}`);
  }
  lines.push(`  exit ${runc?.exit}`, ...quote("stdout", runc?.stdout), ...quote("stderr", runc?.stderr));
  for (const difference of differences) lines.push(`  ${difference.replaceAll("\n", "\n  ")}`);
  return lines.join("\n");
}

/** Each line of an output, marked. */
function quote(name: string, text: string | undefined): string[] {
  return text ? text.split("\n").map((line) => `  ${name}: ${line}`) : [];
}
