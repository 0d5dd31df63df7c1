import { type DevicePolicy, letters, type Rule } from "../cgroups/device-rules.ts";
import type { Property } from "./property.ts";

/*
 * linux.resources.devices as DevicePolicy= and DeviceAllow=; man 5 systemd.resource-control.
 *
 * systemd has a list of what is allowed, and neither an order nor exceptions. So that it never denies what config.json allows,
 * its list is at times wider than that. berth's own program, on the same cgroup, decides exactly: both must allow an access.
 */

const PATH = "linux.resources.devices";
const CLASS = { b: "block", c: "char" } as const;

/** The properties for a policy; none when it allows everything that it does not deny. */
export function deviceProperties({ rules, otherwise }: DevicePolicy): Property[] {
  if (otherwise === "allow") return [];
  const allowed = rules.filter(({ allow }) => allow).flatMap(entriesOf);
  return [
    { name: "DevicePolicy", type: "s", value: "strict", configPath: PATH },
    { name: "DeviceAllow", type: "a(ss)", value: allowed, configPath: PATH },
  ];
}

function entriesOf(rule: Rule): [string, string][] {
  const types = rule.type === undefined ? (["b", "c"] as const) : [rule.type];
  return types.map((type) => [specifier(type, rule), letters(rule.access)]);
}

/** "/dev/char/1:3", "char-136" for all of a major number, "char-*" for the rest: it cannot name a minor number of all majors. */
function specifier(type: "b" | "c", { major, minor }: Rule): string {
  if (major === undefined) return `${CLASS[type]}-*`;
  return minor === undefined ? `${CLASS[type]}-${major}` : `/dev/${CLASS[type]}/${major}:${minor}`;
}
