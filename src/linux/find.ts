import { AT_EACCESS, AT_FDCWD, X_OK } from "./constants.ts";
import { scratch } from "./memory.ts";
import { environment, syscall } from "./native.ts";
import { isDirectory } from "./status.ts";

/** The path of a program, by the PATH that berth was called with; undefined when there is none. */
export function findInPath(name: string, path = environment.PATH ?? ""): string | undefined {
  for (const directory of path.split(":")) {
    // Not the working directory, which is the bundle more often than not.
    if (!directory.startsWith("/")) continue;
    const candidate = `${directory}/${name}`;
    const found = syscall("faccessat2", AT_FDCWD, scratch().text(candidate), X_OK, AT_EACCESS) === 0;
    if (found && !isDirectory(candidate)) return candidate;
  }
  return undefined;
}
