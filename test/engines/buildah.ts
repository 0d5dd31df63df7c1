/** buildah, with everything of its in the scratch directory. It has neither a daemon nor a conmon. */
import { join } from "node:path";
import { type Engine, performScripts, prepare } from "./engine.ts";
import { makeImage } from "./image.ts";
import type { Script } from "./operation.ts";
import { addCommand, rootfs } from "./scratch.ts";
import { runScript } from "./shell.ts";

export const buildah: Engine<Script> = {
  name: "buildah",
  keeps: /\/buildah-\w+\/?conmon$/,
  async start(place) {
    const at = (name: string) => join(place.path, name);
    addCommand(
      place.bin,
      "buildah",
      `exec /usr/bin/buildah --root ${at("root")} --runroot ${at("run")} --storage-driver overlay "$@"`,
    );
    const image = makeImage("localhost/box:latest", ["sh"]);
    await prepare(place, {}, `buildah pull -q docker-archive:${image}`);
    const tidy = "buildah rm -a";
    return {
      perform: performScripts(place, { ROOTFS: rootfs }, tidy),
      stop: async () => {
        await runScript(place, {}, `${tidy}; buildah rmi -af`);
      },
    };
  },
};
