// Says where in src/ the places of a stack are that berth wrote with --debug, for the build that is in dist/.
//
// Usage: node scripts/where.mjs < LOG
import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { relative, resolve } from "node:path";
import { root } from "./stage.mjs";

const bundles = `${root}dist/.bundle`;
const maps = new Map();

function mapOf(name) {
  if (!maps.has(name))
    maps.set(name, new SourceMap(JSON.parse(readFileSync(`${bundles}/${name}.map`, "utf8"))));
  return maps.get(name);
}

/** Lines and columns begin with 1 in a stack, and with 0 in a map. */
function placeOf(name, line, column) {
  const { originalSource, originalLine, originalColumn } = mapOf(name).findEntry(line - 1, column - 1);
  if (originalSource === undefined) return `${name}:${line}:${column}`;
  return `${relative(root, resolve(bundles, originalSource))}:${originalLine + 1}:${originalColumn + 1}`;
}

process.stdout.write(
  readFileSync(0, "utf8").replace(/([\w-]+\.js):(\d+):(\d+)/g, (place, name, line, column) =>
    existsSync(`${bundles}/${name}.map`) ? placeOf(name, Number(line), Number(column)) : place,
  ),
);
