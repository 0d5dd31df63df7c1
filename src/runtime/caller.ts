import { BerthError } from "../errors.ts";
import { keepOnExecute } from "../linux/file.ts";

/** Whether berth runs as a service of systemd's that was given something for its container, see service.ts. */
export function isService(): boolean {
  const { NOTIFY_SOCKET, LISTEN_FDS } = process.env;
  return NOTIFY_SOCKET !== undefined || LISTEN_FDS !== undefined;
}

/**
 * Checks that the descriptors which the container is to inherit are there, and keeps them for it. Only the launcher can tell
 * (native/launch.c): Bun has marked all of them close-on-exec, and opened some of its own, before it runs us.
 * @throws BerthError "preserve-fds"
 */
export function preserve(count: number): void {
  const inherited = Number(process.env.BERTH_FDS ?? 0);
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
