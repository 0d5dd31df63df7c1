/** Docker, with everything of its in the scratch directory. Its daemon starts a containerd of its own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDaemon } from "./daemon.ts";
import { type Engine, performScripts, prepare } from "./engine.ts";
import { makeImage } from "./image.ts";
import type { Script } from "./operation.ts";
import { addCommand } from "./scratch.ts";
import { dockerSettings } from "./settings.ts";
import { runScript } from "./shell.ts";

/** Networks are off: a bridge would be the host's. */
const OFFLINE = [
  "--bridge=none",
  "--iptables=false",
  "--ip6tables=false",
  "--ip-forward=false",
  "--ip-masq=false",
  "--exec-opt=native.cgroupdriver=cgroupfs",
];

export const docker: Engine<Script> = {
  name: "docker",
  keeps: /\/(docker|berth-engines-\w+(\/buildkit)?)$/,
  async start(place) {
    const at = (name: string) => join(place.path, name);
    mkdirSync(at("docker"));
    const settings = {
      ...dockerSettings(place.program),
      "cgroup-parent": `/berth-engines-${place.runtime}`,
    };
    writeFileSync(at("daemon.json"), JSON.stringify(settings));
    const host = `unix://${at("docker.sock")}`;
    const daemon = await startDaemon(
      place,
      [
        "dockerd",
        ...["--config-file", at("daemon.json"), "--host", host, "--pidfile", at("docker.pid")],
        ...["--data-root", at("root"), "--exec-root", at("exec"), ...OFFLINE],
      ],
      `/usr/bin/docker -H ${host} version`,
    );
    addCommand(place.bin, "docker", `exec /usr/bin/docker -H ${host} "$@"`);
    const env = { DOCKER_CONFIG: at("docker") };
    const image = makeImage("box:latest", ["sh"]);
    await prepare(place, env, `docker load -q -i ${image}`);
    const tidy = "docker rm -f $(docker ps -aq); docker volume rm -f $(docker volume ls -q)";
    return {
      perform: performScripts(place, env, tidy),
      stop: async () => {
        await runScript(place, env, tidy);
        await daemon.stop();
        // dockerd's own, of the host's network namespace, which it forgets.
        await runScript(place, env, "umount exec/netns/default");
      },
    };
  },
};
