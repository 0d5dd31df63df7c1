import { BerthError } from "../errors.ts";
import { nearest } from "../spec/nearest.ts";
import type { Option, Options } from "./arguments.ts";
import type { CommandText } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { GLOBAL_OPTIONS } from "./globals.ts";
import { print } from "./output.ts";
import { alignColumns } from "./table.ts";

/** Prints help for a command by its name, or without one for berth as a whole. @throws BerthError "unknown-command" */
export async function printHelp(name: string | undefined): Promise<void> {
  if (name === undefined) return print(await overview());
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) throw unknownCommand(name);
  printCommandHelp((await load()).command);
}

/** The error for a command that there is not. */
export function unknownCommand(name: string): BerthError {
  const near = nearest(name, Object.keys(COMMANDS));
  return new BerthError("unknown-command", `unknown command ${JSON.stringify(name)}`, {
    hint: near === undefined ? '"berth help" lists the commands' : `did you mean "berth ${near}"?`,
  });
}

/** Prints help for one command. */
export function printCommandHelp(text: CommandText): void {
  print(commandHelp(text));
}

/** Help for berth as a whole. */
export async function overview(): Promise<string> {
  const loads = Object.entries(COMMANDS).filter(([name]) => name !== "h");
  const commands = await Promise.all(loads.map(async ([, load]) => (await load()).command));
  return sections([
    ["NAME", "berth - run containers from OCI bundles"],
    ["USAGE", "berth [global options] command [command options] [arguments...]"],
    [
      "DESCRIPTION",
      "A bundle is a directory with a config.json and the container's root filesystem. This makes one and runs it:\n\n" +
        "   mkdir -p box/rootfs        # and fill box/rootfs with a system, or a static program\n" +
        "   berth spec --bundle box    # writes box/config.json, to be edited\n" +
        "   berth run --bundle box my-container",
    ],
    ["COMMANDS", alignColumns(commands.map(({ name, summary }) => [name, summary]))],
    ["GLOBAL OPTIONS", optionTable(GLOBAL_OPTIONS)],
  ]);
}

/** Help for one command. */
export function commandHelp({ name, summary, operands, description, options }: CommandText): string {
  const usage = [
    "berth",
    name,
    ...(Object.keys(options).length === 0 ? [] : ["[command options]"]),
    operands,
  ];
  return sections([
    ["NAME", `berth ${name} - ${summary}`],
    ["USAGE", usage.filter((part) => part !== "").join(" ")],
    ["DESCRIPTION", description],
    ["OPTIONS", optionTable(options)],
  ]);
}

function sections(parts: readonly (readonly [title: string, text: string])[]): string {
  return parts
    .filter(([, text]) => text !== "")
    .map(([title, text]) => `${title}:\n${text.replace(/^(?=.)/gm, "   ")}\n`)
    .join("\n");
}

function optionTable(options: Options): string {
  const rows = Object.entries(options).map(([name, option]) => [
    optionForms(name, option),
    optionHelp(option),
  ]);
  return alignColumns([...rows, ["--help, -h", "show help"]]);
}

function optionForms(name: string, { kind, short }: Option): string {
  const value = kind === "flag" ? "" : kind === "list" ? " value..." : " value";
  return `--${name}${value}${short === undefined ? "" : `, -${short}${value}`}`;
}

function optionHelp(option: Option): string {
  const byDefault = option.kind === "flag" || option.kind === "list" ? undefined : option.default;
  return byDefault === undefined ? option.help : `${option.help} (default: ${JSON.stringify(byDefault)})`;
}
