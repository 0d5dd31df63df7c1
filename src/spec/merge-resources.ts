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

function mergeMemory(before: Resources["memory"], change: Section<"memory">): Section<"memory"> {
  const merged = { ...before, ...change };
  // Without a limit on memory there is none on memory and swap together: that of before would bind again.
  if (change.limit === -1 && change.swap === undefined) delete merged.swap;
  return merged;
}

function mergeCpu(before: Resources["cpu"], change: Section<"cpu">): Section<"cpu"> {
  const merged = { ...before, ...change };
  // An idle cgroup has no weight, and one that is no longer idle begins with the kernel's own.
  if (change.idle !== undefined && change.shares === undefined) delete merged.shares;
  return merged;
}

function mergeBlockIO(before: Resources["blockIO"] = {}, change: Section<"blockIO">): Section<"blockIO"> {
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

function mergeNetwork(before: Resources["network"] = {}, change: Section<"network">): Section<"network"> {
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
