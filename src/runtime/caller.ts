import { BerthError } from "../errors.ts";
import { isInherited } from "../linux/file.ts";

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
