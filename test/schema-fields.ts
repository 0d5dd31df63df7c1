import { type Definition, definitionOf, type Schema } from "../src/spec/schema.ts";

/** A property of config.json's schema. */
export interface SchemaField {
  /** "linux.devices[].major"; "*" stands for any key. */
  readonly path: string;
  /** What it accepts, when it is there. */
  readonly accepts: Exclude<Definition, { type: "optional" }>;
}

/** Every property below a schema, objects and lists before what is in them. */
export function fieldsOf(schema: Schema, path = ""): SchemaField[] {
  const accepts = definitionOf(schema);
  const at = (key: string) => (path === "" ? key : `${path}.${key}`);
  const below = (property: Schema, name: string): SchemaField[] => [
    { path: name, accepts: unwrap(property) },
    ...fieldsOf(property, name),
  ];
  switch (accepts.type) {
    case "optional":
      return fieldsOf(accepts.innerType, path);
    case "object":
      return Object.entries(accepts.shape).flatMap(([key, property]) => below(property, at(key)));
    case "record":
      return below(accepts.valueType, at("*"));
    case "array":
      return fieldsOf(accepts.element, `${path}[]`);
    default:
      return [];
  }
}

/** What a schema accepts when it is not absent. */
export function unwrap(schema: Schema): SchemaField["accepts"] {
  const definition = definitionOf(schema);
  return definition.type === "optional" ? unwrap(definition.innerType) : definition;
}
