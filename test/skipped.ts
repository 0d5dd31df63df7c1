/** A reporter for Vitest: what was skipped must be in known.json with its reason, or the run has failed. */
import { relative } from "node:path";
import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";
import { whySkipped } from "./known.ts";

/** As known.json names it: its file below test/, and the names around it. */
const nameOf = (test: TestCase) =>
  `${relative(import.meta.dirname, test.module.moduleId)} > ${test.fullName}`;

/** Tests that were skipped, and why if it is known. */
function skippedOf(
  modules: readonly TestModule[],
): { readonly name: string; readonly why: string | undefined }[] {
  const skipped: ReturnType<typeof skippedOf> = [];
  for (const module of modules) {
    for (const test of module.children.allTests("skipped")) {
      const name = nameOf(test);
      skipped.push({ name, why: whySkipped(name) });
    }
  }
  return skipped;
}

export function skippedReporter(): Reporter {
  let isWhole = true;
  return {
    onInit(vitest: Vitest) {
      // A part that was asked for by name skips the rest by intent.
      isWhole = vitest.config.testNamePattern === undefined;
    },
    onTestRunEnd(modules) {
      if (!isWhole) return;
      for (const { name, why } of skippedOf(modules)) {
        console.log(`not run here: ${name}: ${why ?? "not named in test/known.json, and so a failure"}`);
        if (why === undefined) process.exitCode = 1;
      }
    },
  };
}
