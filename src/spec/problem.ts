/** One value in config.json that is not allowed. */
export interface Problem {
  /** Where it is: "process.rlimits[2].type"; "" is the whole file. */
  readonly path: string;
  /** The value itself; undefined when there is none. */
  readonly found: unknown;
  /** What may stand there instead, as a phrase: "an absolute path". */
  readonly allowed: string;
}

/** How a check tells of a {@link Problem}. */
export type Report = (path: string, found: unknown, allowed: string) => void;

/** Calls `visit` for each item of a list that may be absent. */
export function each<T>(list: readonly T[] | undefined, visit: (item: T, index: number) => void): void {
  if (list === undefined) return;
  let index = 0;
  for (const item of list) visit(item, index++);
}
