import { safeParse } from "zod/mini";
import { BerthError } from "../errors.ts";
import { failedChecks } from "./checks.ts";
import { config, type Spec } from "./config.ts";
import { nearest } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import { definitionOf, type Schema } from "./schema.ts";

// Everything that only an invalid config.json needs. Loaded on demand, and zod with it.

/**
 * Throws the BerthError "invalid-config" that names all that is wrong with `value`, shape and meaning together.
 *
 * Returns `value` in the one case in which nothing is: the escape of a NUL was that of a backslash.
 */
export function explainInvalid(value: unknown, file: string): Spec {
  const result = safeParse(config, value);
  const misshapen = result.success ? [] : shapeProblems(value, result.error.issues);
  const problems = [...misshapen, ...nulProblems(value), ...failedChecks(value, misshapen)];
  if (problems.length > 0) throw new BerthError("invalid-config", messageOf(problems, file));
  // Not result.data, which lacks the properties that zod does not know.
  return value as Spec;
}

interface Issue {
  readonly path: readonly PropertyKey[];
}

function shapeProblems(value: unknown, issues: readonly Issue[]): Problem[] {
  const problems = new Map<string, Problem>();
  for (const { path: steps } of issues) {
    const path = pathOf(steps);
    const found = valueAt(value, steps);
    // One value can fail several checks of zod; the description of what is allowed covers them all.
    problems.set(path, { path, found, allowed: allowedAt(steps, found) });
  }
  return [...problems.values()];
}

/** Every string below `value` that contains a NUL, property names included. */
function nulProblems(value: unknown, steps: readonly PropertyKey[] = []): Problem[] {
  if (typeof value === "string") {
    if (!value.includes("\0")) return [];
    return [{ path: pathOf(steps), found: value, allowed: "a string without a NUL character" }];
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const path = [...steps, Array.isArray(value) ? Number(key) : key];
    const name = key.includes("\0")
      ? [{ path: pathOf(path), found: key, allowed: "a property name without a NUL character" }]
      : [];
    return [...name, ...nulProblems(below, path)];
  });
}

function messageOf(problems: readonly Problem[], file: string): string {
  const lines = problems.map(({ path, found, allowed }) => {
    const place = path === "" ? "the whole file" : path;
    return `${place}: found ${shown(found)}; allowed: ${allowed}`;
  });
  if (lines.length === 1) return `${file}: ${lines[0]}`;
  return `${file} has ${lines.length} problems:\n  ${lines.join("\n  ")}`;
}

/** `value` as JSON, cut to a length that leaves a message readable. */
function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const json = JSON.stringify(value);
  return json.length <= 60 ? json : `${json.slice(0, 57)}...`;
}

function pathOf(steps: readonly PropertyKey[]): string {
  return steps
    .map((step, i) => {
      if (typeof step === "number") return `[${step}]`;
      const name = String(step);
      // Keys of a record, such as sysctl's, have dots of their own.
      if (!/^[\w-]+$/.test(name)) return `[${JSON.stringify(name)}]`;
      return i === 0 ? name : `.${name}`;
    })
    .join("");
}

function valueAt(value: unknown, steps: readonly PropertyKey[]): unknown {
  let at = value;
  for (const step of steps) {
    if (typeof at !== "object" || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[step];
  }
  return at;
}

/** What the schema at `steps` accepts, in words. */
function allowedAt(steps: readonly PropertyKey[], found: unknown): string {
  let schema: Schema = config;
  for (const step of steps) schema = below(schema, step);
  return describe(schema, found);
}

function below(schema: Schema, step: PropertyKey): Schema {
  const def = definitionOf(schema);
  switch (def.type) {
    case "optional":
      return below(def.innerType, step);
    case "object":
      return def.shape[String(step)] ?? schema;
    case "array":
      return def.element;
    case "record":
      return def.valueType;
    default:
      return schema;
  }
}

function describe(schema: Schema, found: unknown): string {
  const def = definitionOf(schema);
  switch (def.type) {
    case "optional":
      return describe(def.innerType, found);
    case "object":
    case "record":
      return "an object";
    case "array":
      return `an array; each item ${describe(def.element, undefined)}`;
    case "string":
      return "a string";
    case "boolean":
      return "true or false";
    case "number":
      return describeNumber(def.lowest, def.highest);
    case "enum": {
      const values = Object.values(def.entries).filter((entry) => entry !== "");
      const near = typeof found === "string" ? nearest(found, values) : undefined;
      const question = near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
      return `${values.length > 1 ? "one of " : ""}${values.map((entry) => JSON.stringify(entry)).join(", ")}${question}`;
    }
  }
}

function describeNumber(lowest: number, highest: number): string {
  if (highest === 2 ** 64) return "a whole number from 0 to 2^64 - 1";
  if (highest === 2 ** 63) return "a whole number from -2^63 to 2^63 - 1";
  // The fields with these limits are file modes, which people think of in octal.
  const isMode = highest === 0o777 || highest === 0o7777;
  const octal = isMode ? ` (octal ${highest.toString(8)})` : "";
  return `a whole number from ${lowest} to ${highest}${octal}`;
}
