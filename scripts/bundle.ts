// Bundles the engine's modules for compilation: each file that is loaded by import() becomes one bundle of its own with all
// that it needs, and so does main.ts.
//
// A verb is one process start, and to load a module costs it time by its size: with one bundle for all, every verb would load the
// code of every other; with shared parts, it would load ten files. Modules that two bundles share exist twice at
// run time when both are loaded, so that nothing may depend on the identity of a class or a constant across an import().
//
// Beside each lies its source map, by which scripts/where.mjs reads a stack.
//
// Usage: bun scripts/bundle.ts DIRECTORY [COMMIT]

import { dirname, join, relative } from "node:path";

const [directory = "dist/.bundle", commit = "unknown"] = process.argv.slice(2);
const source = join(import.meta.dirname, "../src");

/** Bundles to make, by the files that they begin with; each is made once. */
const bundles = new Set<string>();

/** The name of a file's bundle, which is one directory's file like all others: "cli-failure" for src/cli/failure.ts. */
function nameOf(file: string): string {
  return relative(source, file).replace(/\.ts$/, "").replaceAll("/", "-");
}

function bundleOf(file: string): string {
  bundles.add(file);
  return `./${nameOf(file)}.js`;
}

bundleOf(join(source, "main.ts"));
for (const file of bundles) {
  const made = await Bun.build({
    entrypoints: [file],
    outdir: directory,
    naming: `${nameOf(file)}.js`,
    target: "browser",
    format: "esm",
    minify: true,
    sourcemap: "external",
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
