import { parseArguments } from "./cli/arguments.ts";
import type { Command } from "./cli/command.ts";
import { loadCommand } from "./cli/commands.ts";
import { GLOBAL_OPTIONS, globalsOf, logOf } from "./cli/globals.ts";
import { PLAIN_LOG } from "./cli/log.ts";
import { exit } from "./linux/process.ts";

/** Carries out a command line. @returns the exit status */
async function main(argv: readonly string[]): Promise<number> {
  let log = PLAIN_LOG;
  let command: Command | undefined;
  try {
    const parsed = parseArguments(GLOBAL_OPTIONS, argv, true);
    log = logOf(parsed.values);
    if (parsed.values.version && !parsed.help) {
      (await import("./cli/version.ts")).printVersion();
      return 0;
    }
    const [name = "help", ...rest] = parsed.help ? [] : parsed.positionals;
    const globals = globalsOf(parsed, log);
    command = await loadCommand(name);
    const status = await command.execute(rest, globals);
    if (status !== "help") return status;
    const [{ commandHelp }, { print }] = await Promise.all([
      import("./cli/help.ts"),
      import("./cli/output.ts"),
    ]);
    print(commandHelp(command));
    return 0;
  } catch (error) {
    return (await import("./cli/failure.ts")).reportFailure(error, log, command);
  }
}

// At once, without the engine's own clean-up: there is nothing left that it could lose.
exit(await main(process.argv.slice(2)));
