/** What {@link BerthError} carries beside its message. */
export interface ErrorDetail {
  /** What the reader can do about it. */
  readonly hint?: string | undefined;
  /** What it came from: an earlier error, kept for `--debug`. */
  readonly cause?: unknown;
}

/**
 * The one error that berth throws on purpose. It is made where the fact is known and printed once, at the top.
 *
 * `code` is stable and meant for programs: an errno name ("ENOENT") when a system call failed, else a word of
 * berth's own ("invalid-config", "container-exists").
 */
export class BerthError extends Error {
  declare readonly code: string;
  declare readonly hint: string | undefined;

  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(message, "cause" in detail ? { cause: detail.cause } : undefined);
    this.name = "BerthError";
    this.code = code;
    this.hint = detail.hint;
  }
}

/** Whether `error` is a {@link BerthError}. By its name: what is loaded with import() has a class of its own, see scripts/bundle.ts. */
export function isBerthError(error: unknown): error is BerthError {
  return error instanceof Error && error.name === "BerthError";
}

/** Whether `error` is a {@link BerthError} with this code. */
export function hasCode(error: unknown, code: string): error is BerthError {
  return isBerthError(error) && error.code === code;
}

/** What went wrong, for a message of one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
