import { BerthError } from "../errors.ts";
import { isInherited } from "../linux/file.ts";
import type { CallerLimit } from "../process/limits.ts";

/**
 * The caller's limit of open files, as the launcher recorded it (native/launch.c): Bun raises the soft one before it runs us.
 * @returns undefined when it was not raised, or berth runs without the launcher
 */
export function callerLimit(): CallerLimit | undefined {
  const [soft, hard] = (process.env.BERTH_NOFILE ?? "").split(":").map(Number);
  return soft === undefined || hard === undefined || soft === hard ? undefined : { soft, hard };
}

/**
 * Checks that the descriptors which the container is to inherit are there.
 * @throws BerthError "preserve-fds"
 */
export function checkPreserved(count: number): void {
  for (let fd = 3; fd < 3 + count; fd++) {
    if (isInherited(fd)) continue;
    throw new BerthError("preserve-fds", `--preserve-fds ${count}: descriptor ${fd} is not open`, {
      hint: `the caller must pass descriptors 3 to ${2 + count}, open and without close-on-exec`,
    });
  }
}
