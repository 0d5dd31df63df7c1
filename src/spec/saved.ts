import type { Spec } from "./config.ts";
import { inNewTerms } from "./older.ts";

/**
 * The Spec in a config.json that berth itself has checked and saved: it is not checked again.
 * @throws SyntaxError when it was damaged since
 */
export function savedSpec(text: string): Spec {
  const value: unknown = JSON.parse(text);
  // Most have none, and to look at every property takes longer than to search the text.
  if (text.includes("null")) dropNulls(value);
  return inNewTerms(value as Spec);
}

/** Removes every property whose value is null, in place. A null in an array stays: there it is a mistake. */
export function dropNulls(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) dropNulls(item);
    return;
  }
  const object = value as Record<string, unknown>;
  for (const key in object) {
    if (object[key] === null) delete object[key];
    else dropNulls(object[key]);
  }
}
