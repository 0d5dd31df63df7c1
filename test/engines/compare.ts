/** Judges the outcomes of an operation. */
import type { Operation, Outcome, Part, RuntimeName } from "./operation.ts";

export interface Verdict {
  readonly operation: Operation;
  readonly outcomes: Partial<Record<RuntimeName, Outcome>>;
  /** What is not as it should be. */
  readonly differences: readonly string[];
}

const PARTS: readonly Part[] = ["exit", "stdout", "stderr"];

/** What is wrong: with runc on this host, or with berth beside it. */
export function differences(operation: Operation, outcomes: Verdict["outcomes"]): string[] {
  const { runc, berth } = outcomes;
  const found: string[] = [];
  const exit = operation.exit ?? 0;
  if (runc && operation.failsHere === undefined && runc.exit !== exit) {
    found.push(`runc: exit ${runc.exit} instead of ${exit}\n${show(runc)}`);
  }
  if (!runc || !berth) return found;
  for (const part of PARTS) {
    if (runc[part] === berth[part] || operation.improves?.[part] !== undefined) continue;
    found.push(`${part}\n  runc:  ${indent(runc[part])}\n  berth: ${indent(berth[part])}`);
  }
  return found;
}

const indent = (value: string | number | null): string => String(value).replaceAll("\n", "\n         ");

const show = ({ stdout, stderr }: Outcome): string => `stdout: ${indent(stdout)}\nstderr: ${indent(stderr)}`;
