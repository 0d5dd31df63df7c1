/** Makes a suite of an engine's operations: each is carried out with runc and with berth, and the outcomes are compared. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { differences, type Verdict } from "./compare.ts";
import type { Engine, Started } from "./engine.ts";
import { type Baseline, leftovers, sweep, takeBaseline } from "./left.ts";
import { normaliseOutcome } from "./normalise.ts";
import type { Operation, Outcome, RuntimeName } from "./operation.ts";
import { RUNTIMES } from "./operation.ts";
import { report } from "./report.ts";
import { makePlace, type Place, removeScratch } from "./scratch.ts";

/** The runtimes of this run. runc alone shows what works on a host: BERTH_ENGINES_ONLY=runc. */
export const wanted = RUNTIMES.filter((name) =>
  [undefined, "", name].includes(process.env.BERTH_ENGINES_ONLY),
);

interface Side<O extends Operation> {
  readonly place: Place;
  readonly started: Started<O>;
}

/** Declares the tests of an engine. */
export function compareRuntimes<O extends Operation>(engine: Engine<O>, operations: readonly O[]): void {
  describe(engine.name, () => {
    const sides: Side<O>[] = [];
    const verdicts: Verdict[] = [];
    let baseline: Baseline;

    beforeAll(async () => {
      baseline = takeBaseline();
      for (const runtime of wanted) {
        const place = makePlace(engine.name, runtime);
        sides.push({ place, started: await engine.start(place) });
      }
    });

    afterAll(async () => {
      let left: string[] = [];
      try {
        for (const { started } of sides) await started.stop();
        left = await leftovers(baseline, engine.keeps);
      } finally {
        sweep(baseline);
        removeScratch();
        report(engine.name, verdicts);
      }
      expect(left).toEqual([]);
    });

    for (const operation of operations) {
      test(operation.name, async ({ signal }) => {
        const judge = async (): Promise<Verdict> => {
          const seen = await Promise.all(sides.map((side) => carryOut(side, operation, signal)));
          const outcomes = Object.fromEntries(seen) as Partial<Record<RuntimeName, Outcome>>;
          return { operation, outcomes, differences: differences(operation, outcomes) };
        };
        const first = await judge();
        // An engine's own races decide some of what its commands say: see docs/engines.md. What is a runtime's fault stays.
        const verdict =
          first.differences.length === 0 ? first : { ...(await judge()), once: first.differences };
        verdicts.push(verdict);
        expect(verdict.differences).toEqual([]);
      });
    }
  });
}

async function carryOut<O extends Operation>(
  { place, started }: Side<O>,
  operation: O,
  signal: AbortSignal,
): Promise<[RuntimeName, Outcome]> {
  return [place.runtime, normaliseOutcome(await started.perform(operation, signal), place)];
}
