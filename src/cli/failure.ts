import { hasCode, isBerthError, messageOf } from "../errors.ts";
import { writeAll } from "../linux/file.ts";
import type { CommandText, Failure } from "./command.ts";
import { commandHelp, overview } from "./help-text.ts";
import type { Log } from "./log.ts";
import { print } from "./output.ts";

/** What runc answers to a command that it does not know. */
const UNKNOWN_COMMAND = 3;

/**
 * Says what went wrong: once to whoever reads the log, and once to a person.
 * @param command the one whose arguments were read, if it came that far: a mistake in them is answered with its help
 * @param failure how the command fails, if it was its own doing
 * @returns the exit status
 */
export async function reportFailure(
  error: unknown,
  log: Log,
  command: CommandText | undefined,
  failure: Failure | undefined,
): Promise<number> {
  if (hasCode(error, "argument-count")) await showUsage(".", command);
  if (hasCode(error, "usage"))
    await showUsage(`${command === undefined ? "." : ":"} ${error.message}`, command);
  const { message: text, hint } = describe(error);
  const message = `${failure?.prefix ?? ""}${text}`;
  for (const cause of causes(error)) log.write("debug", cause);
  if (log.format !== "plain") log.write("error", withHint(message, hint));
  if (log.format === "plain" || log.toFile) {
    try {
      writeAll(2, `berth: ${message}\n${hint === undefined ? "" : `hint: ${hint}\n`}`);
    } catch {
      // Without a stderr, the exit status must do.
    }
  }
  return hasCode(error, "unknown-command") ? UNKNOWN_COMMAND : (failure?.status ?? 1);
}

async function showUsage(what: string, command: CommandText | undefined): Promise<void> {
  const help = command === undefined ? await overview() : commandHelp(command);
  try {
    print(`Incorrect Usage${what}\n\n${help}`);
  } catch {
    // What counts is the error, on stderr.
  }
}

function describe(error: unknown): { message: string; hint: string | undefined } {
  if (isBerthError(error)) return error;
  return {
    message: `internal error: ${messageOf(error)}`,
    hint: "this is a mistake in berth: please report it with what --debug says",
  };
}

/** What engines search error messages for, to tell what went wrong: a hint must not lead them astray. */
const SEARCHED =
  /permission denied|operation not permitted|no such file or directory|executable file not found in|open executable|does not exist|not running|no such process|process already finished|\/attr\//i;

/** An error's message for a log. Users of an engine see nothing else of berth, so the hint goes with it. */
export function withHint(message: string, hint: string | undefined): string {
  return hint === undefined || SEARCHED.test(hint) ? message : `${message} (hint: ${hint})`;
}

const MAX_CAUSES = 10;
const MAX_FRAMES = 20;

/** An error and those behind it, with their stacks, one string each. scripts/where.mjs tells where in src/ that is. */
function causes(error: unknown): string[] {
  const found: string[] = [];
  for (let cause = error; cause !== undefined && found.length < MAX_CAUSES; ) {
    found.push(cause instanceof Error ? told(cause) : messageOf(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return found;
}

/** In this engine a stack is that and no more: not the error as well. */
function told(error: Error): string {
  const frames = (error.stack ?? "").split("\n").filter((line) => /^ +at /.test(line));
  return [String(error), ...frames.slice(0, MAX_FRAMES)].join("\n");
}
