/** Judges the outcomes of an operation. */
import type { Difference, Operation, Outcome, Part, RuntimeName } from "./operation.ts";

export interface Verdict {
  readonly operation: Operation;
  readonly outcomes: Partial<Record<RuntimeName, Outcome>>;
  /** What is not as it should be. */
  readonly differences: readonly string[];
  /** What was not as it should be the first time, for an operation that was carried out twice. */
  readonly once?: readonly string[];
}

const PARTS: readonly Part[] = ["stdout", "stderr"];

/** What is wrong: with runc on this host, or with berth beside it. */
export function differences(operation: Operation, outcomes: Verdict["outcomes"]): string[] {
  const { runc, berth } = outcomes;
  const found: string[] = [];
  const exit = operation.exit ?? 0;
  if (runc && operation.failsHere === undefined && runc.exit !== exit) {
    found.push(`runc: exit ${runc.exit} instead of ${exit}\n${show(runc)}`);
  }
  // until_ and shows of shell.ts: what was waited for never came.
  if (runc?.stdout.includes("in vain: ")) found.push(`runc: ${indent(runc.stdout)}`);
  if (!runc || !berth) return found;
  if (runc.exit !== berth.exit) found.push(`exit\n  runc:  ${runc.exit}\n  berth: ${berth.exit}`);
  for (const part of PARTS) {
    const meant = (operation.improves ?? []).filter((difference) => difference.part === part);
    found.push(...without(meant, part, runc[part], berth[part]));
  }
  return found;
}

/** Compares texts in which these differences are expected. */
function without(meant: readonly Difference[], part: Part, runc: string, berth: string): string[] {
  const found: string[] = [];
  const rest = { runc: "", berth: "" };
  const left = { runc, berth };
  for (const difference of meant) {
    for (const runtime of ["runc", "berth"] as const) {
      const text = difference[runtime];
      const at = left[runtime].indexOf(text);
      if (at === -1) {
        found.push(`${part} of ${runtime} does not say: ${text}\n  but: ${indent(left[runtime])}`);
        continue;
      }
      rest[runtime] += `${left[runtime].slice(0, at)}(here they differ)`;
      left[runtime] = left[runtime].slice(at + text.length);
    }
  }
  const [one, other] = [rest.runc + left.runc, rest.berth + left.berth];
  if (one !== other) found.push(`${part}\n  runc:  ${indent(one)}\n  berth: ${indent(other)}`);
  return found;
}

const indent = (value: string): string => value.replaceAll("\n", "\n         ");

const show = ({ stdout, stderr }: Outcome): string => `stdout: ${indent(stdout)}\nstderr: ${indent(stderr)}`;
