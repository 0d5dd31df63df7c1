import { commit, quickjs, SPEC_VERSION, version } from "../runtime/version.ts";
import { print } from "./output.ts";

/** Prints what `berth --version` does; Docker and containerd read the first three lines. */
export function printVersion(): void {
  print(`berth version ${version}\ncommit: ${commit()}\nspec: ${SPEC_VERSION}\nquickjs: ${quickjs}\n`);
}
