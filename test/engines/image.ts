/** An image of one layer, made without a registry: a tar that `podman load`, `docker load` and `ctr image import` all read. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directory, rootfs } from "./scratch.ts";

/** The platform, by the name that images have for it. */
const architecture = process.arch === "x64" ? "amd64" : process.arch;

/**
 * Makes the archive of an image with busybox.
 * @param command what a container of it runs if nothing else is said
 * @returns its path
 */
export function makeImage(name: string, command: readonly string[]): string {
  const work = join(directory, `image-${serial++}`);
  mkdirSync(work);
  tar(join(work, "layer.tar"), rootfs, ".");
  const layer = createHash("sha256")
    .update(readFileSync(join(work, "layer.tar")))
    .digest("hex");
  const config = {
    architecture,
    os: "linux",
    config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: command },
    // Builders count the layers by it.
    history: [{ created: "2020-01-01T00:00:00Z", created_by: "busybox" }],
    rootfs: { type: "layers", diff_ids: [`sha256:${layer}`] },
  };
  writeFileSync(join(work, "config.json"), JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [name], Layers: ["layer.tar"] }];
  writeFileSync(join(work, "manifest.json"), JSON.stringify(manifest));
  const archive = `${work}.tar`;
  tar(archive, work, "manifest.json", "config.json", "layer.tar");
  rmSync(work, { recursive: true });
  return archive;
}

let serial = 0;

function tar(archive: string, from: string, ...names: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([
    "tar",
    "-C",
    from,
    "--owner=0",
    "--group=0",
    "-cf",
    archive,
    ...names,
  ]);
  if (exitCode !== 0) throw new Error(`cannot make ${archive}: ${stderr}`);
}
