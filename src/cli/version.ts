import { version } from "../../package.json";
import { print } from "./output.ts";

/** Replaced when the engine is compiled, see scripts/bundle.ts. */
declare const BERTH_COMMIT: string | undefined;

/** Prints what `berth --version` does; Docker and containerd read the first three lines. */
export function printVersion(): void {
  const commit = typeof BERTH_COMMIT === "string" ? BERTH_COMMIT : "unknown";
  print(`berth version ${version}\ncommit: ${commit}\nspec: 1.3.0\nbun: ${Bun.version}\n`);
}
