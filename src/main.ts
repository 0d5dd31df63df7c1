import { loadCommand } from "./cli/commands.ts";

try {
  // Nothing else is loaded before the command is known: a verb is one process start.
  const argv = process.argv.slice(2);
  await (await loadCommand(argv)).main(argv);
} catch (error) {
  // A command reports its own failures: this one could not be loaded.
  console.error(`berth: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
