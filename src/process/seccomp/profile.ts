import { BerthError } from "../../errors.ts";
import type { Seccomp } from "../../spec/seccomp.ts";
import { exactValues, type Halves } from "./exact.ts";
import { ACTIONS, type ActionName, LARGEST_VALUE, OPERATORS } from "./names.ts";

/** One comparison of an argument: struct scmp_arg_cmp. */
export interface Comparison {
  readonly index: number;
  readonly operator: number;
  readonly a: Halves;
  readonly b: Halves;
}

/** What one entry of linux.seccomp.syscalls means. */
export interface Rule {
  /** "linux.seccomp.syscalls[3]". */
  readonly path: string;
  readonly names: readonly string[];
  /** SCMP_ACT_*, with its value. */
  readonly action: number;
  /** Each is a rule of its own: its comparisons must all hold. An empty one always does. */
  readonly conditions: readonly (readonly Comparison[])[];
}

/** linux.seccomp, checked, in libseccomp's numbers. */
export interface Profile {
  readonly defaultAction: number;
  /** Their names in config.json. Beside them there is always that of the machine. */
  readonly architectures: readonly string[];
  readonly rules: readonly Rule[];
  readonly notifies: boolean;
}

const EPERM = 1;
const ARGUMENTS = 6;

/**
 * Reads a profile; config-linux.md "Seccomp". Pure.
 * @param text the config.json that it is from
 * @throws BerthError "invalid-config"
 */
export function readProfile(seccomp: Seccomp, text: string): Profile {
  const at = "linux.seccomp";
  const { defaultAction = "" } = seccomp;
  if (defaultAction === "") throw invalid(`${at}.defaultAction: missing`, "it answers what no rule names");
  const exact = exactValues(seccomp, text);
  const rules = (seccomp.syscalls ?? []).map((rule, i): Rule => {
    const path = `${at}.syscalls[${i}]`;
    if (rule.names.length === 0 || rule.names.includes("")) {
      throw invalid(`${path}.names: ${rule.names.length === 0 ? "empty" : "a name is empty"}`);
    }
    const comparisons = (rule.args ?? []).map(({ index, op }, n): Comparison => {
      if (index >= ARGUMENTS) {
        throw invalid(
          `${path}.args[${n}].index: found ${index}; a system call has ${ARGUMENTS} arguments, from 0`,
        );
      }
      return { index, operator: OPERATORS[op], a: exact(i, n, "value"), b: exact(i, n, "valueTwo") };
    });
    const action = actionOf(rule.action, rule.errnoRet, `${path}.errnoRet`);
    return { path, names: rule.names, action, conditions: split(comparisons) };
  });
  const notify = ACTIONS.SCMP_ACT_NOTIFY;
  const action = actionOf(defaultAction, seccomp.defaultErrnoRet, `${at}.defaultErrnoRet`);
  return {
    defaultAction: action,
    architectures: seccomp.architectures ?? [],
    rules,
    notifies: action === notify || rules.some((rule) => rule.action === notify),
  };
}

/**
 * A filter compares an argument only once in a rule. As in runc, a rule that names an argument twice is one rule for each of
 * its comparisons, and matches when any of them holds.
 */
function split(comparisons: readonly Comparison[]): readonly (readonly Comparison[])[] {
  const twice = comparisons.some(({ index }, n) => comparisons.findIndex((c) => c.index === index) !== n);
  return twice ? comparisons.map((comparison) => [comparison]) : [comparisons];
}

function actionOf(name: ActionName, value: number | undefined, path: string): number {
  const largest = LARGEST_VALUE[name];
  if (largest === undefined) {
    // config-linux.md: "When the action doesn't support an errno, the runtime MUST print and error and fail."
    if (value !== undefined) throw invalid(`${path}: found ${value}, but ${name} returns no errno`);
    return ACTIONS[name];
  }
  if (value !== undefined && value > largest) {
    throw invalid(`${path}: found ${value}; ${name} takes at most ${largest}`);
  }
  return (ACTIONS[name] | (value ?? EPERM)) >>> 0;
}

function invalid(message: string, hint?: string): BerthError {
  return new BerthError("invalid-config", message, { hint });
}
