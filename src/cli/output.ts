import { hasCode } from "../errors.ts";
import { writeAll } from "../linux/file.ts";
import { exit } from "../linux/process.ts";

/** What a shell shows for a process that SIGPIPE ended; the engine ignores that signal. */
const BROKEN_PIPE = 128 + 13;

/** Writes to standard output. When nobody reads there any more, the program ends, as others do. @throws BerthError */
export function print(text: string): void {
  try {
    writeAll(1, text, "write to standard output");
  } catch (error) {
    if (hasCode(error, "EPIPE")) exit(BROKEN_PIPE);
    throw error;
  }
}
