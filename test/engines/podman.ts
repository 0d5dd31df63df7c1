/** Podman, with everything of its in the scratch directory. It has no daemon: a conmon watches each container. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, performScripts, prepare } from "./engine.ts";
import { makeImage } from "./image.ts";
import type { Script } from "./operation.ts";
import { addCommand, type Place } from "./scratch.ts";
import { podmanSettings } from "./settings.ts";
import { runScript } from "./shell.ts";

/*
 * Root here may lack CAP_SYS_RESOURCE, and then Podman's own defaults are above the hard limits. The rest keeps Podman from asking for
 * systemd, which is not there.
 */
const CONTAINERS_CONF = `cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
`;

/** @returns the path of a containers.conf for this place */
export function writeConf(place: Place): string {
  const path = join(place.path, "containers.conf");
  const settings = podmanSettings(place.program).replace("] ", "]\n");
  writeFileSync(path, `${settings}\n${CONTAINERS_CONF}`);
  return path;
}

/** What keeps Podman in a directory. */
export function optionsOf(directory: string): string {
  const at = (name: string) => join(directory, name);
  return `--root ${at("root")} --runroot ${at("run")} --tmpdir ${at("tmp")} --storage-driver overlay`;
}

export const podman: Engine<Script> = {
  name: "podman",
  // conmon's, those of pods, and the parent of all.
  keeps: /\/(libpod_parent(\/[0-9a-f]{64})?|berth-engines)(\/conmon)?$/,
  async start(place) {
    addCommand(place.bin, "podman", `exec /usr/bin/podman ${optionsOf(place.path)} "$@"`);
    const env = { CONTAINERS_CONF: writeConf(place) };
    const image = makeImage("localhost/box:latest", ["sh"]);
    await prepare(place, env, `podman load -q -i ${image}`);
    const tidy = "podman pod rm -fa -t 0; podman rm -fa -t 0; podman volume rm -fa";
    return {
      perform: performScripts(place, env, tidy),
      stop: async () => {
        await runScript(place, env, `${tidy}; podman system prune -af --volumes`);
      },
    };
  },
};
