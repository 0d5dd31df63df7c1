import { BerthError } from "../errors.ts";
import { exit } from "../linux/process.ts";
import { type Options, type Parsed, parseArguments } from "./arguments.ts";
import { GLOBAL_OPTIONS, type Globals, globalsOf, logOf } from "./globals.ts";
import { PLAIN_LOG } from "./log.ts";

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
  /** How it fails, once its arguments are understood; without it, with status 1. */
  readonly failure?: Failure;
  /** Its arguments are not looked at. */
  readonly takesAnything?: boolean;
  /** @returns the exit status; undefined: 0 */
  run(invocation: Invocation<T>): Outcome | Promise<Outcome>;
}

/** What a command's own failures have in common. */
export interface Failure {
  /** What their messages begin with. */
  readonly prefix: string;
  /** The exit status. */
  readonly status: number;
}

type Outcome = number | undefined;

/** A command, ready to be called. */
export interface Command extends CommandText {
  /**
   * Carries out a whole command line, from the options before the command on, and ends the process. What goes wrong is printed.
   * @param argv the arguments of berth
   */
  main(argv: readonly string[]): Promise<never>;
}

/** Makes a command of its parts. */
export function defineCommand<T extends Options>(definition: Definition<T>): Command {
  return {
    ...definition,
    // At once, without the engine's own clean-up: there is nothing left that it could lose.
    main: async (argv) => exit(await execute(definition, argv)),
  };
}

/** @returns the exit status */
async function execute<T extends Options>(
  definition: Definition<T>,
  argv: readonly string[],
): Promise<number> {
  let log = PLAIN_LOG;
  let own = false;
  let failure: Failure | undefined;
  try {
    const parsed = parseArguments(GLOBAL_OPTIONS, argv, true);
    log = logOf(parsed.values);
    if (parsed.values.version && !parsed.help) {
      (await import("./version.ts")).printVersion();
      return 0;
    }
    if (parsed.help) {
      await (await import("./help-text.ts")).printHelp(undefined);
      return 0;
    }
    const globals = globalsOf(parsed, log);
    own = true;
    const given = parsed.positionals.slice(1);
    const rest = parseArguments(
      definition.options,
      definition.takesAnything === true ? ["--", ...given] : given,
      definition.stopAtPositional ?? false,
    );
    if (rest.help) {
      (await import("./help-text.ts")).printCommandHelp(definition);
      return 0;
    }
    checkCount(definition, rest.positionals.length);
    failure = definition.failure;
    return (await definition.run({ ...rest, globals })) ?? 0;
  } catch (error) {
    return (await import("./failure.ts")).reportFailure(error, log, own ? definition : undefined, failure);
  }
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
