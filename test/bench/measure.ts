/** Timing of whole processes. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";

const stopwatch = join(import.meta.dirname, "../../dist/stopwatch");

export interface Sample {
  readonly milliseconds: number;
  /** The most memory that the process, or one that it waited for, had in residence. In kB. */
  readonly peak: number;
}

/**
 * Runs a command from start to end. Throws with its stderr if it fails.
 * @param onTerminal gives it a terminal
 */
export function time(work: string, command: readonly string[], onTerminal = false): Sample {
  const result = join(work, "stopwatch");
  const log = join(work, "stderr");
  const stderr = openSync(log, "w");
  // Not a pipe: a container that is created keeps it open.
  Bun.spawnSync([stopwatch, ...(onTerminal ? ["-t"] : []), result, ...command], {
    stdio: ["ignore", "ignore", stderr],
  });
  closeSync(stderr);
  const [nanoseconds, peak, status] = readFileSync(result, "utf8").split(" ").map(Number);
  if (nanoseconds === undefined || peak === undefined || status !== 0) {
    throw new Error(`${command.join(" ")}: ${readFileSync(log, "utf8").trim()}`);
  }
  return { milliseconds: nanoseconds / 1e6, peak };
}

/** What happens in one round of one contestant. Returns the figure. */
export type Round = () => number;

/**
 * The figures of each contestant, sorted. The contestants take turns, and another one begins each round: what the
 * machine does meanwhile then hits all of them alike.
 */
export function takeTurns<Name extends string>(
  contestants: ReadonlyMap<Name, Round>,
  rounds: number,
): Map<Name, number[]> {
  const order = [...contestants];
  const figures = new Map(order.map(([name]) => [name, [] as number[]]));
  for (let i = 0; i < rounds; i++) {
    for (let turn = 0; turn < order.length; turn++) {
      const entry = order[(i + turn) % order.length];
      if (entry) figures.get(entry[0])?.push(entry[1]());
    }
  }
  for (const list of figures.values()) list.sort((a, b) => a - b);
  return figures;
}

/** The value below which `fraction` of a sorted list lies. */
export function quantile(sorted: readonly number[], fraction: number): number {
  const position = (sorted.length - 1) * fraction;
  const [low = Number.NaN, high = low] = sorted.slice(Math.floor(position), Math.floor(position) + 2);
  return low + (high - low) * (position % 1);
}
