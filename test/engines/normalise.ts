/** Takes out of an outcome what differs between any two runs. */
import type { Outcome } from "./operation.ts";
import { type Place, programs } from "./scratch.ts";

const RULES: readonly (readonly [RegExp, string])[] = [
  [/\r/g, ""],
  // A terminal without a keyboard, and the race of ctr with a program that ends at once.
  [/\^@/g, ""],
  [/^.*resize pty.*\n?/gm, ""],
  [/\b[0-9a-f]{64}\b/g, "ID64"],
  [/\b[0-9a-f]{11,12}\b/g, "ID12"],
  // Docker's client, when the daemon is faster than itself.
  [/^.*error waiting for container: context canceled.*\n?/gm, ""],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?([+-]\d\d:?\d\d|Z))?( UTC)?/g, "TIME"],
  [/\b(\d+|About an?|Less than an?) (seconds?|minutes?) ago\b/gi, "AGO"],
  [/\bUp (\d+ seconds?|About a minute|Less than a second)\b/g, "Up AGO"],
  [/\/proc\/\d+\//g, "/proc/PID/"],
  [/\/var\/tmp\/podman\d+/g, "/var/tmp/podmanN"],
];

/** The text as it would be in another place, at another time, with the other runtime. */
function normalise(text: string, place: Place): string {
  let result = text.replaceAll(place.path, "DIR").replaceAll(programs[place.runtime], "RUNTIME");
  result = result.replaceAll(/\b(runc|berth)\b/g, "RUNTIME");
  for (const [pattern, by] of RULES) result = result.replaceAll(pattern, by);
  return result.trim();
}

export function normaliseOutcome({ exit, stdout, stderr }: Outcome, place: Place): Outcome {
  return { exit, stdout: normalise(stdout, place), stderr: normalise(stderr, place) };
}
