import { loadCommand } from "./cli/commands.ts";
import { commandLine } from "./linux/native.ts";

// Nothing else is loaded before the command is known: a verb is one process start. A command reports its own failures; one that
// cannot be loaded is reported by the engine.
await (await loadCommand(commandLine)).main(commandLine);
