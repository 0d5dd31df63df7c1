import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { config } from "../../src/spec/config.ts";
import { fieldsOf, type SchemaField, unwrap } from "../schema-fields.ts";

/* docs/fields.md says of every field how berth carries it out, and where that is tested: all of them, and nothing untrue. */

const tests = join(import.meta.dirname, "..");

interface Row {
  readonly fields: string[];
  readonly how: string;
  readonly where: string;
}

function rows(): Row[] {
  const text = readFileSync(join(tests, "../docs/fields.md"), "utf8");
  return text
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => {
      const [, first = "", how = "", where = ""] = line.split("|").map((cell) => cell.trim());
      return { fields: [...first.matchAll(/`([^`]+)`/g)].map(([, field = ""]) => field), how, where };
    });
}

const all = fieldsOf(config);
const paths = new Set(all.map(({ path }) => path));

/** Whether something itself stands there, rather than an object that has fields of its own. */
function isValue(accepts: SchemaField["accepts"]): boolean {
  if (accepts.type === "array") return isValue(unwrap(accepts.element));
  if (accepts.type === "record") return isValue(unwrap(accepts.valueType));
  return accepts.type !== "object";
}

/** The fields of config.json: what has a value. That of a list or a record of plain values is one. */
const needed = all
  .filter(({ path, accepts }) => isValue(accepts) && !path.endsWith(".*"))
  .map(({ path }) => path);

/** "hooks.*[].path" stands for that of every hook. */
function matches(pattern: string, path: string): boolean {
  const escaped = pattern.split("*").map((part) => part.replace(/[.[\]]/g, "\\$&"));
  return new RegExp(`^${escaped.join("(?:\\*|\\w+)")}$`).test(path);
}

describe("docs/fields.md", () => {
  test("has a row for every field", () => {
    const given = rows().flatMap(({ fields }) => fields);
    const missing = needed.filter((path) => !given.some((pattern) => matches(pattern, path)));
    expect(missing).toEqual([]);
  });

  test("has no row for what is no field", () => {
    for (const field of rows().flatMap(({ fields }) => fields)) {
      const meant = [...paths].filter((path) => matches(field, path));
      expect([field, meant.length > 0]).toEqual([field, true]);
    }
  });

  test("has no empty cell", () => {
    for (const row of rows())
      expect(row).toEqual({ ...row, how: expect.stringMatching(/\w/), where: expect.stringMatching(/\w/) });
  });

  test("names tests that there are", () => {
    for (const { fields, where } of rows()) {
      const named = [...where.matchAll(/(unit|integration|vm)\/([\w/-]+) "([^"]+)"/g)];
      expect([fields, named.length]).toEqual([fields, where.split("; ").length]);
      for (const [, kind = "", file = "", title = ""] of named) {
        const text = readFileSync(join(tests, kind, `${file}.test.ts`), "utf8");
        expect([fields, title, text.includes(title)]).toEqual([fields, title, true]);
      }
    }
  });
});
