/** The options before the command that take a value: what follows one is not the command. */
export const GLOBAL_TEXT_OPTIONS: readonly string[] = [
  "log",
  "log-format",
  "log-level",
  "root",
  "cgroup-manager",
  "rootless",
];

/** The first argument that is neither an option nor the value of one; see parseArguments for their forms. */
export function commandWord(argv: readonly string[]): string | undefined {
  return argv[commandIndex(argv)];
}

/** Where in the arguments the command is; their number when there is none. What comes before are the options of berth as a whole. */
export function commandIndex(argv: readonly string[]): number {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === "--") return i + 1;
    if (!word.startsWith("-") || word === "-") return i;
    if (GLOBAL_TEXT_OPTIONS.includes(word.startsWith("--") ? word.slice(2) : word.slice(1))) i++;
  }
  return argv.length;
}
