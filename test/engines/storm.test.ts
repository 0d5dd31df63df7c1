/* Everything that is asked of containerd at once is answered. How long that takes is told, and not judged. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Baseline, leftovers, sweep, takeBaseline } from "./left.ts";
import type { RuntimeName } from "./operation.ts";
import { reportStorm } from "./report.ts";
import { makePlace, removeScratch } from "./scratch.ts";
import { expected, type Figures, storm } from "./storm.ts";
import { wanted } from "./suite.ts";

const figures: Partial<Record<RuntimeName, Figures>> = {};
let baseline: Baseline;

beforeAll(() => {
  baseline = takeBaseline();
});

afterAll(async () => {
  // The cgroups of a namespace of containerd's stay, with runc too.
  const left = await leftovers(baseline, /\/berth-engines-\w+$/);
  sweep(baseline);
  removeScratch();
  reportStorm(figures);
  expect(left).toEqual([]);
});

// One after the other: each has the machine to itself.
for (const runtime of wanted) {
  test(`${runtime}: 100 containers created at once, then 100 execs in each of 10 at once`, async () => {
    const place = makePlace("storm", runtime);
    const result = await storm(place);
    figures[runtime] = result.figures;
    expect(result.answers).toEqual(expected);
  }, 0);
}
