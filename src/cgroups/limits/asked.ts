import type { Resources } from "../../spec/resources.ts";

type Section = Exclude<keyof Resources, "devices">;

const SECTIONS: readonly Section[] = [
  "memory",
  "cpu",
  "pids",
  "blockIO",
  "hugepageLimits",
  "network",
  "rdma",
  "unified",
];

/** Numbers that ask for something even when they are 0, which engines otherwise write for "not set". */
const ZERO_ASKS: readonly string[] = ["pids.limit", "cpu.idle", "cpu.burst", "memory.swappiness"];

/** Whether config.json asks for any limit: only then is the room that writes them loaded. Device rules are none. */
export function asksForLimits(resources: Resources | undefined): boolean {
  if (resources === undefined) return false;
  for (const name of SECTIONS) {
    const section: Readonly<Record<string, unknown>> | readonly unknown[] | undefined = resources[name];
    for (const key in section) {
      if (asks(`${name}.${key}`, (section as Readonly<Record<string, unknown>>)[key])) return true;
    }
  }
  return false;
}

function asks(field: string, value: unknown): boolean {
  if (value === 0) return ZERO_ASKS.includes(field);
  if (value === undefined || value === false || value === null) return false;
  // An empty text resets a file only where the file is named.
  if (value === "") return field.startsWith("unified.");
  return typeof value !== "object" || Object.keys(value).length > 0;
}
