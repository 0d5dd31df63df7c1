/** What cannot run everywhere, and why: known.json. */
import known from "./known.json" with { type: "json" };

/** Why a check does not run on a machine of this architecture, if it is known. */
export const whyNotHere = (name: string): string | undefined =>
  known.checks.find(({ check, architectures }) => check === name && architectures.includes(process.arch))
    ?.why;

/** Why a test may be skipped. `name` is its file below test/ and the names around it; a row is for all that begin as it does. */
export const whySkipped = (name: string): string | undefined =>
  known.tests.find(({ test }) => name.startsWith(test))?.why;
