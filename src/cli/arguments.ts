import { BerthError } from "../errors.ts";
import { nearest } from "../spec/nearest.ts";

/** An option of a command, as data. The names of the variants are those of the value that it takes. */
export type Option =
  | (Described & { readonly kind: "flag" })
  | (Described & {
      readonly kind: "text";
      readonly default?: string;
      /** The values that it may have. */
      readonly choices?: readonly string[];
    })
  | (Described & { readonly kind: "count"; readonly default: number })
  /** May be given more than once. */
  | (Described & { readonly kind: "list" });

interface Described {
  /** The one-letter form, without its dash. */
  readonly short?: string;
  readonly help: string;
}

/** Options by their long name. */
export type Options = Readonly<Record<string, Option>>;

/** The values of options; a text without default that was not given, or is empty, is undefined. */
export type Values<T extends Options> = { readonly [Name in keyof T]: ValueOf<T[Name]> };

type ValueOf<T extends Option> = T extends { kind: "flag" }
  ? boolean
  : T extends { kind: "count" }
    ? number
    : T extends { kind: "list" }
      ? readonly string[]
      : TextOf<T> | (T extends { default: string } ? never : undefined);

type TextOf<T extends Option> = T extends { choices: readonly (infer Choice)[] } ? Choice : string;

/** A command line, taken apart. */
export interface Parsed<T extends Options> {
  readonly values: Values<T>;
  readonly positionals: readonly string[];
  /** The options that were given, by their long name. */
  readonly given: ReadonlySet<string>;
  /** --help or -h was among them. */
  readonly help: boolean;
}

const HELP: Option = { kind: "flag", short: "h", help: "show help" };

/**
 * Takes apart arguments as runc does (urfave/cli on Go's package flag): one dash or two, "--name value" or "--name=value", "=" only
 * for flags, "--" ends the options.
 * @param stopAtPositional what follows the first argument that is no option is left as it is
 * @throws BerthError "usage"
 */
export function parseArguments<T extends Options>(
  options: T,
  argv: readonly string[],
  stopAtPositional: boolean,
): Parsed<T> {
  const values: Record<string, boolean | number | string | readonly string[] | undefined> = {};
  for (const name in options) values[name] = absent(options[name] as Option);
  const positionals: string[] = [];
  const given = new Set<string>();
  let help = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === "--") {
      takeRest(positionals, argv, i + 1);
      break;
    }
    if (word.length < 2 || !word.startsWith("-")) {
      if (stopAtPositional) {
        takeRest(positionals, argv, i);
        break;
      }
      positionals.push(word);
      continue;
    }
    const [name, option] = findOption(options, word);
    const equals = word.indexOf("=");
    let text: string | undefined = equals < 0 ? undefined : word.slice(equals + 1);
    if (text === undefined && option.kind !== "flag") {
      i++;
      text = argv[i];
      if (text === undefined) throw usageError(`flag needs an argument: ${word.replace(/^--/, "-")}`);
    }
    if (option.kind === "list") {
      values[name] = [...((values[name] as readonly string[] | undefined) ?? []), text ?? ""];
    } else {
      const value = parseValue(name, option, text);
      if (option === HELP) help = value === true;
      else values[name] = value;
    }
    given.add(name);
  }
  return { values: values as Values<T>, positionals, given, help };
}

function absent(option: Option): boolean | number | string | readonly string[] | undefined {
  if (option.kind === "flag") return false;
  return option.kind === "list" ? [] : option.default;
}

/** A mistake in the command line; whoever prints it shows how it is done right. */
export function usageError(message: string, hint?: string): BerthError {
  return new BerthError("usage", message, { hint });
}

function findOption(options: Options, word: string): [name: string, option: Option] {
  // No regular expressions here, of which the first costs a tenth of a millisecond.
  const equals = word.indexOf("=");
  const name = word.slice(word.startsWith("--") ? 2 : 1, equals < 0 ? undefined : equals);
  if (Object.hasOwn(options, name)) return [name, options[name] as Option];
  for (const long in options) {
    const option = options[long];
    if (option?.short === name) return [long, option];
  }
  if (name === "help" || name === "h") return ["help", HELP];
  const near = nearest(name, [...Object.keys(options), "help"]);
  throw usageError(
    `flag provided but not defined: -${name}`,
    near === undefined ? undefined : `did you mean --${near}?`,
  );
}

const TRUE: readonly string[] = ["1", "t", "T", "true", "TRUE", "True"];
const FALSE: readonly string[] = ["0", "f", "F", "false", "FALSE", "False"];

function parseValue(
  name: string,
  option: Exclude<Option, { kind: "list" }>,
  text: string | undefined,
): boolean | number | string | undefined {
  switch (option.kind) {
    case "flag": {
      if (text === undefined) return true;
      if (TRUE.includes(text)) return true;
      if (FALSE.includes(text)) return false;
      throw usageError(`invalid boolean value ${JSON.stringify(text)} for -${name}: parse error`);
    }
    case "count":
      if (text !== undefined && /^\d{1,9}$/.test(text)) return Number(text);
      throw usageError(
        `invalid value ${JSON.stringify(text)} for flag -${name}: parse error`,
        `--${name} takes a whole number that is not negative`,
      );
    case "text":
      if (text === undefined || text === "") return option.default;
      if (option.choices === undefined || option.choices.includes(text)) return text;
      throw new BerthError("invalid-option", `invalid ${name}: ${text}`, {
        hint: `--${name} is one of: ${option.choices.join(", ")}`,
      });
  }
}

/** One by one: a command line may be longer than what the engine passes to one function. */
function takeRest(positionals: string[], argv: readonly string[], from: number): void {
  for (let i = from; i < argv.length; i++) positionals.push(argv[i] as string);
}
