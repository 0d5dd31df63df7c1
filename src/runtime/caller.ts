import { BerthError } from "../errors.ts";
import { keepOnExecute } from "../linux/file.ts";
import { environment, inherited } from "../linux/native.ts";

/** Whether berth runs as a service of systemd's that was given something for its container, see service.ts. */
export function isService(): boolean {
  const { NOTIFY_SOCKET, LISTEN_FDS } = environment;
  return NOTIFY_SOCKET !== undefined || LISTEN_FDS !== undefined;
}

/**
 * Checks that the descriptors which the container is to inherit are there, and keeps them for it: the engine has counted them
 * before berth opened some of its own, and marked all of them close-on-exec.
 * @throws BerthError "preserve-fds"
 */
export function preserve(count: number): void {
  if (count > inherited) {
    const asked = isService()
      ? `--preserve-fds and LISTEN_FDS, together ${count}`
      : `--preserve-fds ${count}`;
    throw new BerthError("preserve-fds", `${asked}: descriptor ${3 + inherited} is not open`, {
      hint: `the caller must pass descriptors 3 to ${2 + count}, open and without close-on-exec`,
    });
  }
  for (let fd = 3; fd < 3 + count; fd++) keepOnExecute(fd);
}
