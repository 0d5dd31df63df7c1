import type { Resources } from "./resources.ts";

/**
 * linux.resources after an update: what the update does not name stays. Lists are merged by what their entries are about: a device, a
 * page size, an interface. Device rules are not updated.
 */
export function mergeResources(before: Resources, change: Resources): Resources {
  const merged: Resources = { ...before };
  if (change.memory !== undefined) merged.memory = mergeMemory(before.memory, change.memory);
  if (change.cpu !== undefined) merged.cpu = mergeCpu(before.cpu, change.cpu);
  if (change.pids !== undefined) merged.pids = { ...before.pids, ...change.pids };
  if (change.blockIO !== undefined) merged.blockIO = mergeBlockIO(before.blockIO, change.blockIO);
  if (change.hugepageLimits !== undefined) {
    merged.hugepageLimits = upsert(before.hugepageLimits, change.hugepageLimits, ({ pageSize }) => pageSize);
  }
  if (change.network !== undefined) merged.network = mergeNetwork(before.network, change.network);
  if (change.rdma !== undefined) merged.rdma = { ...before.rdma, ...change.rdma };
  if (change.unified !== undefined) merged.unified = { ...before.unified, ...change.unified };
  return merged;
}

type Section<K extends keyof Resources> = NonNullable<Resources[K]>;

/**
 * What a section really names: engines fill in what they do not mean with 0 and "", as `docker update --cpus` does for memory.
 * @param zeros the numbers that say something by 0, too
 */
function named<T extends object>(section: T, zeros: readonly (keyof T)[] = []): T {
  const result = { ...section };
  for (const key of Object.keys(section) as (keyof T)[]) {
    if (section[key] === "" || (section[key] === 0 && !zeros.includes(key))) delete result[key];
  }
  return result;
}

function mergeMemory(before: Resources["memory"] = {}, section: Section<"memory">): Section<"memory"> {
  const change = named(section, ["swappiness"]);
  const merged = { ...before, ...change };
  const { limit = 0, swap = 0 } = before;
  // Without a limit on memory there is none on memory and swap together: that of before would bind again.
  if (change.limit === -1 && change.swap === undefined) delete merged.swap;
  // A limit that rises above that on both takes it along: there is as much swap as before, as with runc on v2.
  else if (change.limit !== undefined && change.swap === undefined && swap > 0 && change.limit > swap) {
    merged.swap = change.limit + (limit > 0 ? swap - limit : 0);
  }
  return merged;
}

function mergeCpu(before: Resources["cpu"], section: Section<"cpu">): Section<"cpu"> {
  const change = named(section, ["idle", "burst"]);
  const merged = { ...before, ...change };
  // An idle cgroup has no weight, and one that is no longer idle begins with the kernel's own.
  if (change.idle !== undefined && change.shares === undefined) delete merged.shares;
  return merged;
}

function mergeBlockIO(before: Resources["blockIO"] = {}, section: Section<"blockIO">): Section<"blockIO"> {
  const change = named(section);
  const merged: Section<"blockIO"> = { ...before, ...change };
  if (change.weightDevice !== undefined) {
    merged.weightDevice = upsert(before.weightDevice, change.weightDevice, deviceOf);
  }
  for (const key of [
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
  ] as const) {
    if (change[key] !== undefined) merged[key] = upsert(before[key], change[key], deviceOf);
  }
  return merged;
}

function mergeNetwork(before: Resources["network"] = {}, section: Section<"network">): Section<"network"> {
  const change = named(section);
  const merged = { ...before, ...change };
  if (change.priorities !== undefined) {
    merged.priorities = upsert(before.priorities, change.priorities, ({ name }) => name);
  }
  return merged;
}

function deviceOf({ major, minor }: { readonly major: number; readonly minor: number }): string {
  return `${major}:${minor}`;
}

function upsert<T>(before: readonly T[] | undefined, change: readonly T[], keyOf: (entry: T) => string): T[] {
  const entries = new Map((before ?? []).map((entry) => [keyOf(entry), entry]));
  for (const entry of change) entries.set(keyOf(entry), entry);
  return [...entries.values()];
}
