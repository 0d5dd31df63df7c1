// Writes src/spec/accepts.gen.ts from the zod schema in src/spec/config.ts.
//
// To load zod and build the schema costs a process start about a millisecond; to check a config.json with the code
// written here costs nothing that can be measured. So zod is loaded only for a config.json that is wrong.
//
// Usage: bun scripts/compile-schema.ts

import { config } from "../src/spec/config.ts";
import { definitionOf, type Schema } from "../src/spec/schema.ts";

const OUTPUT = new URL("../src/spec/accepts.gen.ts", import.meta.url).pathname;

/** The TypeScript source of accepts.gen.ts, before formatting. */
export function compile(root: Schema): string {
  const compiler = new Compiler();
  const accepts = compiler.functionFor(root, "Spec");
  return [
    "// generated from config.ts by scripts/compile-schema.ts; do not edit",
    "",
    'import type { Spec } from "./config.ts";',
    'import type { KeyTree } from "./unknown.ts";',
    "",
    "/** Whether `value` has the shape of a config.json. What is wrong with one that has not: problems.ts. */",
    "export function acceptsSpec(value: unknown): value is Spec {",
    `  return ${accepts}(value);`,
    "}",
    "",
    "/** The properties that runtime-spec knows. `null`: nothing below is looked at. `*`: any key. */",
    `export const KNOWN_KEYS: KeyTree = ${keyTree(root)};`,
    "",
    ...compiler.functions,
    IS_WHOLE,
  ].join("\n");
}

/** Writes one function for each distinct object, array, record and enum of a schema. */
class Compiler {
  readonly functions: string[] = [];
  private readonly names = new Map<Schema, string>();

  /** The name of the function that checks `schema`; `hint` becomes its name when it is new. */
  functionFor(schema: Schema, hint: string): string {
    const known = this.names.get(schema);
    if (known !== undefined) return known;
    const taken = new Set(this.names.values());
    let name = `is${hint}`;
    for (let n = 2; taken.has(name); n++) name = `is${hint}${n}`;
    this.names.set(schema, name);
    this.functions.push(`function ${name}(value: unknown): boolean {\n${this.body(schema, hint)}\n}\n`);
    return name;
  }

  private body(schema: Schema, hint: string): string {
    const def = definitionOf(schema);
    switch (def.type) {
      case "object":
        return [
          'if (typeof value !== "object" || value === null || Array.isArray(value)) return false;',
          "const o = value as Record<string, unknown>;",
          ...Object.entries(def.shape).map(([key, property]) => this.property(key, property)),
          "return true;",
        ].join("\n");
      case "array":
        return [
          "if (!Array.isArray(value)) return false;",
          `for (const item of value) if (${this.refusal(def.element, "item", hint)}) return false;`,
          "return true;",
        ].join("\n");
      case "record":
        return [
          'if (typeof value !== "object" || value === null || Array.isArray(value)) return false;',
          `for (const item of Object.values(value)) if (${this.refusal(def.valueType, "item", hint)}) return false;`,
          "return true;",
        ].join("\n");
      case "enum":
        return [
          "switch (value) {",
          ...Object.values(def.entries).map((entry) => `case ${JSON.stringify(entry)}:`),
          "return true;",
          "default: return false;",
          "}",
        ].join("\n");
      default:
        throw new Error(`no function needed for ${def.type}`);
    }
  }

  private property(key: string, schema: Schema): string {
    const def = definitionOf(schema);
    const hint = key[0]?.toUpperCase() + key.slice(1);
    if (def.type !== "optional") return `if (${this.refusal(schema, `o.${key}`, hint)}) return false;`;
    return `if (o.${key} !== undefined && ${this.refusal(def.innerType, `o.${key}`, hint)}) return false;`;
  }

  /** An expression that is true when `schema` does not accept the value of the expression `value`. */
  private refusal(schema: Schema, value: string, hint: string): string {
    const def = definitionOf(schema);
    switch (def.type) {
      case "string":
      case "boolean":
        return `typeof ${value} !== "${def.type}"`;
      case "number":
        return `!isWhole(${value}, ${def.lowest}, ${def.highest})`;
      default:
        return `!${this.functionFor(schema, hint)}(${value})`;
    }
  }
}

const IS_WHOLE = `function isWhole(value: unknown, lowest: number, highest: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= lowest && value <= highest;
}
`;

function keyTree(schema: Schema): string {
  const def = definitionOf(schema);
  switch (def.type) {
    case "object":
      return `{ ${Object.entries(def.shape)
        .map(([key, property]) => `${key}: ${keyTree(property)}`)
        .join(", ")} }`;
    case "record": {
      const below = keyTree(def.valueType);
      return below === "null" ? "null" : `{ "*": ${below} }`;
    }
    case "array":
      return keyTree(def.element);
    case "optional":
      return keyTree(def.innerType);
    default:
      return "null";
  }
}

/** `source` as biome formats it. */
export function format(source: string): string {
  const biome = new URL("../node_modules/.bin/biome", import.meta.url).pathname;
  const run = Bun.spawnSync([biome, "format", `--stdin-file-path=${OUTPUT}`], { stdin: Buffer.from(source) });
  if (!run.success) throw new Error(run.stderr.toString());
  return run.stdout.toString();
}

if (import.meta.main) await Bun.write(OUTPUT, format(compile(config)));
