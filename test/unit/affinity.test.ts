import { expect, test } from "vitest";
import { affinitySteps } from "../../src/process/affinity.ts";
import { only, rawOf } from "./steps.ts";

test("process.execCPUAffinity is one sched_setaffinity with the CPUs as bits", () => {
  const { args, path } = only(affinitySteps("final", "0-1,65"), "sched_setaffinity");
  expect([args[0], args[1], path]).toEqual([0, 16, "process.execCPUAffinity.final"]);
  const bits = rawOf(args[2]);
  expect([bits.getUint32(0, true), bits.getUint32(8, true)]).toEqual([3, 2]);
});

test.each([undefined, "", " "])("and none for %j", (cpus) => {
  expect(affinitySteps("initial", cpus)).toEqual([]);
});
