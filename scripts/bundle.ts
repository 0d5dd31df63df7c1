// Bundles the engine's modules for compilation: each file that is loaded by import() becomes one bundle of its own with all
// that it needs, and so does main.ts.
//
// A verb is one process start, and to load a module costs it 0.1 to 0.3 ms: with one bundle for all, every verb would load the
// code of every other; with shared parts (--splitting), it would load ten files. Modules that two bundles share exist twice at
// run time when both are loaded, so that nothing may depend on the identity of a class or a constant across an import().
//
// Usage: bun scripts/bundle.ts DIRECTORY [COMMIT]

import { basename, dirname, join } from "node:path";

const [directory = "dist/.bundle", commit = "unknown"] = process.argv.slice(2);
const source = join(import.meta.dirname, "../src");

/** Bundles to make, by their name; each is made once. */
const bundles = new Map<string, string>();

function bundleOf(file: string): string {
  const name = basename(file, ".ts");
  const known = bundles.get(name);
  if (known !== undefined && known !== file)
    throw new Error(`two bundles would be named ${name}: ${known}, ${file}`);
  bundles.set(name, file);
  return `./${name}.js`;
}

bundleOf(join(source, "main.ts"));
for (const file of bundles.values()) {
  const made = await Bun.build({
    entrypoints: [file],
    outdir: directory,
    target: "bun",
    format: "esm",
    minify: true,
    define: { BERTH_COMMIT: JSON.stringify(commit) },
    plugins: [
      {
        name: "bundle per import()",
        setup(build) {
          build.onResolve({ filter: /^\./ }, ({ kind, path, importer }) =>
            kind === "dynamic-import"
              ? { path: bundleOf(join(dirname(importer), path)), external: true }
              : undefined,
          );
        },
      },
    ],
  });
  if (!made.success) throw new AggregateError(made.logs, `cannot bundle ${file}`);
}
