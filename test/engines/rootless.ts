/** Podman without root: an account made for it, which the ids that /etc/subuid and /etc/subgid lend belong to. */
import { chownSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, performScripts, prepare } from "./engine.ts";
import { makeImage } from "./image.ts";
import type { Script } from "./operation.ts";
import { optionsOf, writeConf } from "./podman.ts";
import { addCommand } from "./scratch.ts";
import { runScript } from "./shell.ts";

/** The same for both runtimes, so that its ids are. */
const account = `berth-${process.pid}`;
/** How many of its Podmans there are. */
let running = 0;

export const rootless: Engine<Script> = {
  name: "rootless",
  // An ordinary user can make none.
  keeps: /^$/,
  async start(place) {
    if (running === 0) await prepare(place, {}, `useradd --no-create-home --shell /bin/sh ${account}`);
    running += 1;
    const [, uid, gid] = new RegExp(`^${account}:x:(\\d+):(\\d+):`, "m").exec(
      readFileSync("/etc/passwd", "utf8"),
    ) ?? ["", "", ""];
    const home = join(place.path, "home");
    const runtimeDirectory = join(place.path, "xdg");
    for (const path of [home, runtimeDirectory]) {
      mkdirSync(path, { mode: 0o700 });
      chownSync(path, Number(uid), Number(gid));
    }
    const env = {
      ACCOUNT: account,
      CONTAINERS_CONF: writeConf(place),
      HOME: home,
      XDG_RUNTIME_DIR: runtimeDirectory,
    };
    // Its mounts are in a namespace of its own, which a process of Podman's keeps.
    addCommand(
      place.bin,
      "podman",
      `exec setpriv --reuid ${account} --regid ${account} --init-groups /usr/bin/podman ${optionsOf(home)} "$@"`,
    );
    await prepare(place, env, `podman load -q -i ${makeImage("localhost/box:latest", ["sh"])}`);
    const tidy = "podman pod rm -fa -t 0; podman rm -fa -t 0; podman volume rm -fa";
    return {
      perform: performScripts(place, env, tidy),
      stop: async () => {
        await runScript(place, env, `${tidy}; podman system prune -af --volumes`);
        await prepare(place, env, "podman system migrate");
        running -= 1;
        if (running === 0) await prepare(place, env, `until_ userdel ${account}`);
      },
    };
  },
};
