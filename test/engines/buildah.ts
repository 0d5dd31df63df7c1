/** buildah, with everything of its in the scratch directory. It has neither a daemon nor a conmon. */
import { join } from "node:path";
import type { Engine } from "./engine.ts";
import { makeImage } from "./image.ts";
import { addCommand, rootfs } from "./scratch.ts";
import { runScript } from "./shell.ts";

export const buildah: Engine = {
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
    const pulled = await runScript(place, {}, `buildah pull -q docker-archive:${image}`);
    if (pulled.exit !== 0) throw new Error(`buildah pull: ${pulled.stderr}`);
    const tidy = "buildah rm -a";
    return {
      env: { ROOTFS: rootfs },
      tidy,
      stop: async () => {
        await runScript(place, {}, `${tidy}; buildah rmi -af`);
      },
    };
  },
};
