import { BerthError } from "../errors.ts";
import { acceptsSpec, KNOWN_KEYS } from "./accepts.gen.ts";
import { failedChecks } from "./checks.ts";
import type { Spec } from "./config.ts";
import { inNewTerms } from "./older.ts";
import type { Process } from "./process.ts";
import { dropNulls } from "./saved.ts";
import { warnOfUnknown } from "./unknown.ts";
import { warnOf } from "./warnings.ts";

/** A config.json that is valid, and what its author should be told about it. */
export interface ParsedConfig {
  readonly spec: Spec;
  /** One sentence each, beginning with the path in config.json. */
  readonly warnings: string[];
}

/**
 * Checks the text of a config.json (runtime-spec 1.3, config.md) and gives it its type.
 *
 * `null` counts as absent wherever it stands for a property: Go engines write it for what is empty. Unknown properties
 * are left where they are, out of sight of the types, and warned about.
 *
 * `file` is the name for messages only.
 *
 * Throws a BerthError "invalid-config" that lists every problem at once. zod, and all else that only an error needs, is
 * loaded then and not before: it would cost a valid config.json a millisecond.
 */
export async function parseConfig(text: string, file: string): Promise<ParsedConfig> {
  try {
    const value = await parseJson(text, file);
    // Many have none, and to look at every property takes longer than to search the text.
    if (text.includes("null")) dropNulls(value);
    return await check(value, text, file);
  } catch (error) {
    throw (await import("./json-fault.ts")).orTooDeep(error, file);
  }
}

/** A process.json that is valid, and what its author should be told about it. */
export interface ParsedProcess {
  readonly process: Process;
  readonly warnings: string[];
}

/**
 * As {@link parseConfig}, for the text of a process.json, which is what config.json has as `process`. Paths in messages are
 * those of config.json.
 */
export async function parseProcess(text: string, file: string): Promise<ParsedProcess> {
  try {
    const process = await parseJson(text, file);
    dropNulls(process);
    const config = { ociVersion: "1.0.0", root: { path: "/" }, linux: { namespaces: [] }, process };
    const { spec, warnings } = await check(config, text, file);
    if (spec.process === undefined)
      throw new BerthError("invalid-config", `${file}: there is no process in it`);
    return { process: spec.process, warnings };
  } catch (error) {
    throw (await import("./json-fault.ts")).orTooDeep(error, file);
  }
}

async function parseJson(text: string, file: string): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { describeJsonFault } = await import("./json-fault.ts");
    const hint = "the file is strict JSON: double quotes, no comments, no comma after the last item";
    throw new BerthError("invalid-config", describeJsonFault(text, file), { hint, cause });
  }
}

async function check(value: unknown, text: string, file: string): Promise<ParsedConfig> {
  // In valid JSON a NUL can only be written as an escape, so one search of the text stands for all strings.
  if (!text.includes("\\u0000") && acceptsSpec(value) && failedChecks(value, []).length === 0) {
    return { spec: inNewTerms(value), warnings: warningsOf(value) };
  }
  const { explainInvalid } = await import("./problems.ts");
  const spec = explainInvalid(value, file);
  return { spec: inNewTerms(spec), warnings: warningsOf(spec) };
}

function warningsOf(spec: Spec): string[] {
  const warnings: string[] = [];
  const warn = (warning: string) => warnings.push(warning);
  warnOfUnknown(spec, KNOWN_KEYS, warn);
  warnOf(spec, warn);
  return warnings;
}
