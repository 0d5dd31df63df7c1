/** File systems that know id-mapped mounts, for tests. */
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";

const [major = 0, minor = 0] = release().split(".").map(Number);

/** Whether a tmpfs does: since Linux 6.3. */
export const isTmpfsMappable = major > 6 || (major === 6 && minor >= 3);

/** Runs a command that must succeed, and returns what it says. */
function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  expect({ command, exitCode, stderr: stderr.toString() }).toMatchObject({ exitCode: 0 });
  return stdout.toString().trim();
}

/** Mounts a new one: a tmpfs, or before Linux 6.3 an ext4, whose disk is a file that goes with the mount. */
export function mountMappable(target: string): void {
  if (isTmpfsMappable) {
    run("mount", "-t", "tmpfs", "tmpfs", target);
    return;
  }
  const disk = run("mktemp", join(tmpdir(), "berth-test-disk-XXXXXX"));
  run("truncate", "-s", "16M", disk);
  run("mkfs.ext4", "-q", "-E", "root_owner=0:0", disk);
  run("mount", "-o", "loop", disk, target);
  run("rm", disk);
}

/** Makes a directory id-mappable if it is not: an overlay, as the guest's root, is none on any kernel. @returns whether it is to be unmounted */
export function makeMappable(path: string): boolean {
  if (run("stat", "--file-system", "--format=%T", path) !== "overlayfs") return false;
  mountMappable(path);
  return true;
}
