import { BerthError } from "../errors.ts";
import { type Options, type Parsed, parseArguments } from "./arguments.ts";
import type { Globals } from "./globals.ts";

/** What help shows of a command. */
export interface CommandText {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** The arguments that are no options, as help shows them. */
  readonly operands: string;
  readonly description: string;
  readonly options: Options;
}

/** A command line of one command, taken apart. */
export interface Invocation<T extends Options> extends Parsed<T> {
  readonly globals: Globals;
}

/** What a command is made of. */
export interface Definition<T extends Options> extends CommandText {
  readonly options: T;
  /** How many arguments that are no options it takes, at least and at most. */
  readonly takes: readonly [least: number, most: number];
  /** Options end at the first argument that is none: what follows belongs to someone else. */
  readonly stopAtPositional?: boolean;
  /** @returns the exit status; undefined: 0 */
  run(invocation: Invocation<T>): Outcome | Promise<Outcome>;
}

type Outcome = number | undefined;

/** A command, ready to be called. */
export interface Command extends CommandText {
  /**
   * Carries out the command with the arguments that follow its name.
   * @returns the exit status, or "help" when that was asked for
   * @throws BerthError "usage" or "argument-count" for a mistake in `argv`, and what the command itself throws
   */
  execute(argv: readonly string[], globals: Globals): Promise<number | "help">;
}

/** Makes a command of its parts. */
export function defineCommand<T extends Options>(definition: Definition<T>): Command {
  return {
    ...definition,
    async execute(argv, globals) {
      const parsed = parseArguments(definition.options, argv, definition.stopAtPositional ?? false);
      if (parsed.help) return "help";
      checkCount(definition, parsed.positionals.length);
      return (await definition.run({ ...parsed, globals })) ?? 0;
    },
  };
}

function checkCount(
  { name, takes: [least, most] }: Pick<Definition<Options>, "name" | "takes">,
  count: number,
): void {
  if (count >= least && count <= most) return;
  const wanted =
    least === most ? `exactly ${least}` : count < least ? `a minimum of ${least}` : `a maximum of ${most}`;
  throw new BerthError("argument-count", `"${name}" requires ${wanted} argument(s)`);
}
