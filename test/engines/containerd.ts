/** containerd, with everything of its in the scratch directory, driven by its own ctr. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDaemon } from "./daemon.ts";
import { type Engine, performScripts, prepare } from "./engine.ts";
import { makeImage } from "./image.ts";
import type { Script } from "./operation.ts";
import { addCommand, type Place, rootfs } from "./scratch.ts";
import { runScript } from "./shell.ts";

export const socketOf = (place: Place): string => join(place.path, "containerd.sock");

/** Writes a config.toml with these lines beside those that keep containerd in its place. @returns its path */
export function writeConfig(place: Place, more = ""): string {
  const at = (name: string) => JSON.stringify(join(place.path, name));
  const path = join(place.path, "config.toml");
  writeFileSync(
    path,
    `version = 2
root = ${at("root")}
state = ${at("state")}
disabled_plugins = ["io.containerd.internal.v1.opt"${more === "" ? ', "io.containerd.grpc.v1.cri"' : ""}]
[grpc]
address = ${JSON.stringify(socketOf(place))}
[ttrpc]
address = ${at("containerd.sock.ttrpc")}
${more}`,
  );
  return path;
}

/** Containers of this namespace have their cgroups below it: both runtimes are at work at once. */
export const namespaceOf = (place: Place): string => `berth-engines-${place.runtime}`;

const BOX = "docker.io/library/box:latest";

/** A config.json without the pid namespace that ctr always asks for: its container is three processes of the host. */
const WITHOUT_PID_NAMESPACE = {
  ociVersion: "1.0.2",
  process: {
    args: ["sh", "-c", "sleep 1000 & sleep 1000 & wait"],
    cwd: "/",
    env: ["PATH=/bin"],
    user: { uid: 0, gid: 0 },
  },
  mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
  linux: { namespaces: [{ type: "mount" }, { type: "network" }] },
};

export const containerd: Engine<Script> = {
  name: "containerd",
  keeps: /\/berth-engines-\w+$/,
  async start(place) {
    const daemon = await startDaemon(
      place,
      ["containerd", "--config", writeConfig(place)],
      `ctr -a ${socketOf(place)} version`,
    );
    addCommand(place.bin, "ctr", `exec /usr/bin/ctr -a ${socketOf(place)} -n ${namespaceOf(place)} "$@"`);
    const image = makeImage(BOX, ["sh"]);
    await prepare(place, {}, `ctr image import ${image}`);
    // A copy: what the runtime makes in /dev would stay.
    cpSync(rootfs, join(place.path, "rootfs"), { recursive: true, verbatimSymlinks: true });
    const spec = {
      ...WITHOUT_PID_NAMESPACE,
      root: { path: join(place.path, "rootfs") },
      linux: { ...WITHOUT_PID_NAMESPACE.linux, cgroupsPath: `/${namespaceOf(place)}/c` },
    };
    writeFileSync(join(place.path, "without-pid-namespace.json"), JSON.stringify(spec));
    const tidy = `for c in $(ctr task ls -q); do ctr task kill -a -s KILL $c; until_ ctr task rm -f $c; done
for c in $(ctr c ls -q); do ctr c rm $c; done`;
    return {
      perform: performScripts(place, { BOX, NAMESPACE: namespaceOf(place) }, tidy),
      stop: async () => {
        await runScript(place, {}, tidy);
        await daemon.stop();
      },
    };
  },
};
