import { nearest } from "./nearest.ts";

/** The keys an object may have, and what is below each. An array is looked through: the tree is that of its items. */
export interface KeyTree {
  readonly [key: string]: KeyTree | null;
}

/** Sections of config.json for what is not Linux. Engines that write for several platforms leave them in. */
const OTHER_PLATFORMS = ["windows", "solaris", "vm", "zos", "freebsd"];

/**
 * Warns once of each property in `value` that `known` lacks, with the known name that is nearest to it.
 *
 * Runtime-spec 1.3, config.md "Extensibility": they must not be an error. But a misspelt "readonlyPaths" is a container
 * that is less safe than its author believes, so they are not passed over in silence either.
 */
export function warnOfUnknown(value: unknown, known: KeyTree, warn: (warning: string) => void): void {
  const unknown: Unknown[] = [];
  collect(value, known, "", unknown);
  const seen: string[] = [];
  for (const { path, key, known } of unknown) {
    const full = path === "" ? key : `${path}.${key}`;
    if (seen.includes(full)) continue;
    seen.push(full);
    warn(describe(full, key, known));
  }
}

interface Unknown {
  /** Of the object that has the property, without the indices of arrays. */
  readonly path: string;
  readonly key: string;
  /** What that object may have. */
  readonly known: KeyTree;
}

function collect(value: unknown, known: KeyTree, path: string, unknown: Unknown[]): void {
  if (Array.isArray(value)) {
    for (const item of value) collect(item, known, path, unknown);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const object = value as Record<string, unknown>;
  const anyKey = known["*"];
  for (const key in object) {
    const below = anyKey ?? (Object.hasOwn(known, key) ? known[key] : undefined);
    if (below === undefined) unknown.push({ path, key, known });
    else if (below !== null) collect(object[key], below, path === "" ? key : `${path}.${key}`, unknown);
  }
}

function describe(full: string, key: string, known: KeyTree): string {
  if (OTHER_PLATFORMS.includes(full)) return `${full} is not for Linux: ignored`;
  const near = nearest(key, Object.keys(known));
  const question = near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`;
  return `${full} is not a property of runtime-spec 1.3${question}`;
}
