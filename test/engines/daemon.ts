/** Daemons of engines: started for a suite, ended with it. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "./scratch.ts";
import { environmentOf, runScript } from "./shell.ts";

export interface Daemon {
  /** Asks it to end (SIGTERM) and waits until it has. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon in a place, with runc's stand-in first in its PATH.
 * @param isUp a line of bash that succeeds once the daemon answers
 * @throws Error with its log if it does not come up
 */
export async function startDaemon(
  place: Place,
  command: readonly [string, ...string[]],
  isUp: string,
): Promise<Daemon> {
  const path = join(place.path, `${command[0]}.log`);
  const log = openSync(path, "a");
  const child = Bun.spawn(["setsid", "--wait", ...command], {
    cwd: place.path,
    env: environmentOf(place, {}),
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const { exit } = await runScript(place, {}, `until_ ${isUp}`);
  if (exit !== 0) throw new Error(`${command[0]} does not come up:\n${readFileSync(path, "utf8")}`);
  return {
    stop: async () => {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}
