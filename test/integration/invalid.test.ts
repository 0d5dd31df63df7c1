import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { berth, directory, makeBundle, newId, stateRoot } from "../bundle.ts";
import { configWith, INVALID_VALUES, wrongTypes } from "../invalid-values.ts";

/*
 * What unit/spec-invalid.test.ts has as texts, given to the program: each is refused with its line before anything was made. That
 * no process, mount or cgroup is left is checked after each test, see bundle.ts.
 */

function refuseAll(configs: readonly { readonly text: string; readonly line: string }[]): void {
  const bundle = makeBundle();
  const file = join(directory, "invalid.json");
  for (const { text, line } of configs) {
    writeFileSync(file, text);
    const { status, stdout, stderr } = berth(["create", "--bundle", bundle.path, "--config", file, newId()]);
    // After whatever warnings it has of the rest.
    expect({ line, status, stdout, stderr }).toMatchObject({ status: 1, stdout: "" });
    expect(stderr.split("\n")).toContain(`berth: ${file}: ${line}`);
    expect(existsSync(stateRoot) ? readdirSync(stateRoot) : []).toEqual([]);
  }
}

test("a value that makes no sense is refused, and nothing is left behind", () => {
  refuseAll(INVALID_VALUES.map(([changes, line]) => ({ text: configWith(changes), line })));
});

test("every property that there is, of a wrong type, is refused, and nothing is left behind", () => {
  refuseAll(wrongTypes());
});
