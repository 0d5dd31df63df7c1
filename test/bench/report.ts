/** What the benchmark says. */
import type { Case } from "./cases.ts";
import type { Contestant } from "./contestants.ts";
import { quantile } from "./measure.ts";

export interface Figure {
  readonly median: number;
  readonly quartiles: readonly [number, number];
}

export interface Row {
  readonly title: string;
  readonly unit: Case["unit"];
  readonly figures: Partial<Record<Contestant["name"], Figure>>;
  /** berth's median by that of the other. */
  readonly ratios: Partial<Record<Contestant["name"], number>>;
}

/** What was measured on one machine. */
export interface Report {
  readonly machine: {
    readonly cpu: string;
    readonly processors: number;
    readonly os: string;
    readonly kernel: string;
  };
  readonly rounds: number;
  readonly contestants: readonly Contestant[];
  readonly rows: readonly Row[];
  /** Why a contestant is missing in a row. */
  readonly absences: readonly string[];
}

const round = (value: number) => Math.round(value * 1000) / 1000;

/** Sums up the sorted figures of one case. */
export function summarize({ title, unit }: Case, sorted: ReadonlyMap<Contestant["name"], number[]>): Row {
  const figures: Row["figures"] = {};
  const ratios: Row["ratios"] = {};
  for (const [name, list] of sorted) {
    const [low, median, high] = [quantile(list, 0.25), quantile(list, 0.5), quantile(list, 0.75)];
    figures[name] = { median: round(median), quartiles: [round(low), round(high)] };
  }
  for (const name of ["runc", "crun"] as const) {
    if (figures.berth && figures[name]) ratios[name] = round(figures.berth.median / figures[name].median);
  }
  return { title, unit, figures, ratios };
}

/** The table as Markdown, aligned, to read in a terminal as well as in a README. */
export function table(contestants: readonly Contestant[], rows: readonly Row[]): string {
  const names = contestants.map(({ name }) => name);
  const peers = names.includes("berth") ? names.filter((name) => name !== "berth") : [];
  const head = ["median", ...names, ...peers.map((peer) => `berth / ${peer}`)];
  const body = rows.map(({ title, unit, figures, ratios }) => [
    title,
    ...names.map((name) => `${figures[name]?.median.toFixed(2) ?? "-"} ${unit}`),
    ...peers.map((peer) => ratios[peer]?.toFixed(2) ?? "-"),
  ]);
  const widths = head.map((_, column) =>
    Math.max(...[head, ...body].map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...body.map(line)].join("\n");
}

/** A table, and below it what has run there. */
export function page({ machine, rounds, contestants, rows, absences }: Report): string {
  const notes = contestants.map(({ version, note }) => `${version}${note === undefined ? "" : `: ${note}`}`);
  const { processors, cpu, os, kernel } = machine;
  notes.push(...absences, `${processors} × ${cpu}, ${os}, Linux ${kernel}; ${rounds} rounds`);
  return [table(contestants, rows), "", ...notes.map((note) => `- ${note}`)].join("\n");
}
