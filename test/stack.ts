/**
 * Leaves Bun's own frames out of stack traces. Bun gives their file as "native", which Vitest takes for a path, and then fails to
 * read our directory of that name.
 */
Error.prepareStackTrace = (error, sites) =>
  [
    String(error),
    ...sites.filter((site) => site.getFileName() !== "native").map((site) => `    at ${site}`),
  ].join("\n");
