import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { safeParse } from "zod/mini";
import { compile, format } from "../../scripts/compile-schema.ts";
import { acceptsSpec } from "../../src/spec/accepts.gen.ts";
import { config } from "../../src/spec/config.ts";
import { WHOLE_CONFIG as FULL } from "../whole-config.ts";

const COMPILED = new URL("../../src/spec/accepts.gen.ts", import.meta.url);

type Container = Record<string, unknown>;

/** Every place in `value`, as the object or array that holds it and the key. */
function places(value: unknown): { holder: Container; key: string }[] {
  if (typeof value !== "object" || value === null) return [];
  const holder = value as Container;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...places(holder[key])]);
}

const SUBSTITUTES: unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 32,
  2 ** 64,
  2 ** 65,
  -(2 ** 64),
  Number.POSITIVE_INFINITY,
  "",
  "x",
  [],
  [1],
  {},
  { x: 1 },
];

describe("acceptsSpec", () => {
  test("is what compile-schema.ts writes today", () => {
    expect(readFileSync(COMPILED, "utf8")).toBe(format(compile(config)));
  });

  test("accepts a config with every property", () => {
    expect(acceptsSpec(FULL)).toBe(true);
    const known = JSON.stringify(safeParse(config, FULL).data);
    expect(known, "a property of FULL is not in the schema").toHaveLength(JSON.stringify(FULL).length);
  });

  test("agrees with zod, whichever value is replaced by whichever other", () => {
    const verdicts = { accepted: 0, refused: 0 };
    const mutant = structuredClone(FULL);
    for (const { holder, key } of places(mutant)) {
      const original = holder[key];
      for (const substitute of SUBSTITUTES) {
        // Absent, not undefined: that is how JSON says it.
        if (substitute === undefined && !Array.isArray(holder)) delete holder[key];
        else holder[key] = substitute;
        const isAccepted = acceptsSpec(mutant);
        verdicts[isAccepted ? "accepted" : "refused"]++;
        if (isAccepted !== safeParse(config, mutant).success) {
          expect.unreachable(`acceptsSpec says ${isAccepted} to ${key} = ${JSON.stringify(substitute)}`);
        }
      }
      holder[key] = original;
    }
    expect(verdicts.accepted).toBeGreaterThan(500);
    expect(verdicts.refused).toBeGreaterThan(2000);
  });
});
