import { loadCommand } from "./cli/commands.ts";

// Nothing else is loaded before the command is known: a verb is one process start.
const argv = process.argv.slice(2);
await (await loadCommand(argv)).main(argv);
