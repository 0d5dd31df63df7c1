// The few constructs of zod that config.ts is built from, read from zod's own definition of a schema. Read by
// scripts/compile-schema.ts, which compiles them to code, and problems.ts, which says in words what they allow. And `berth
// features` lists what they name.

/** Any schema that config.ts may contain. */
export interface Schema {
  readonly _zod: { readonly def: unknown };
}

/** What a schema accepts. */
export type Definition =
  | { readonly type: "object"; readonly shape: Readonly<Record<string, Schema>> }
  | { readonly type: "array"; readonly element: Schema }
  | { readonly type: "record"; readonly valueType: Schema }
  | { readonly type: "optional"; readonly innerType: Schema }
  | { readonly type: "enum"; readonly entries: Readonly<Record<string, string>> }
  | { readonly type: "number"; readonly lowest: number; readonly highest: number }
  | { readonly type: "string" | "boolean" };

type RawDefinition = Exclude<Definition, { type: "number" }> | RawNumber;

interface RawNumber {
  readonly type: "number";
  readonly checks?: readonly { readonly _zod: { readonly def: RawCheck } }[];
}

type RawCheck =
  | { readonly check: "custom"; readonly fn: unknown }
  | { readonly check: "greater_than" | "less_than"; readonly value: number; readonly inclusive: boolean };

/** The definition of `schema`. Throws an Error, at build time, for a construct that is not in {@link Definition}. */
export function definitionOf(schema: Schema): Definition {
  const def = schema._zod.def as RawDefinition;
  switch (def.type) {
    case "object":
    case "array":
    case "record":
    case "optional":
    case "enum":
    case "string":
    case "boolean":
      if ("checks" in def) throw new Error(`a check on ${def.type} is not compiled`);
      return def;
    case "number":
      return numberOf(def);
    default:
      throw new Error(`zod's ${(def as { type: string }).type} is not compiled`);
  }
}

/** The properties that an object may have. Throws an Error for what is no object. */
export function keysOf(schema: Schema): string[] {
  const def = definitionOf(schema);
  if (def.type !== "object") throw new Error(`zod's ${def.type} has no properties`);
  return Object.keys(def.shape);
}

/** What a string may be, at a path below a schema, arrays looked through. Throws an Error when it may be anything. */
export function choicesAt(schema: Schema, ...path: readonly string[]): string[] {
  const def = definitionOf(schema);
  switch (def.type) {
    case "optional":
      return choicesAt(def.innerType, ...path);
    case "array":
      return choicesAt(def.element, ...path);
    case "object": {
      const [key = "", ...rest] = path;
      const below = def.shape[key];
      if (below === undefined) throw new Error(`there is no "${key}"`);
      return choicesAt(below, ...rest);
    }
    case "enum":
      return Object.values(def.entries).filter((entry) => entry !== "");
    default:
      throw new Error(`zod's ${def.type} may be anything`);
  }
}

/** Numbers are made by whole() in scalars.ts, and no other way. */
function numberOf(def: RawNumber): Definition {
  let lowest = -Infinity;
  let highest = Infinity;
  let isWhole = false;
  for (const { _zod: check } of def.checks ?? []) {
    if (check.def.check === "custom") isWhole = check.def.fn === Number.isInteger;
    else if (!check.def.inclusive) throw new Error("an exclusive bound is not compiled");
    else if (check.def.check === "greater_than") lowest = check.def.value;
    else highest = check.def.value;
  }
  if (!isWhole) throw new Error("a number that is not whole() is not compiled");
  return { type: "number", lowest, highest };
}
