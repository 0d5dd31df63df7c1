// A root filesystem of one static busybox, for bundles/hello and the tests.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { find } from "./stage.mjs";

const directories = ["bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "var"];

/** Programs look in all of these. Everything is in one. */
const links = { sbin: "bin", "usr/bin": "../bin", "usr/sbin": "../bin", "var/run": "../run" };

const files = {
  "etc/passwd":
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nuser:x:1000:1000:user:/home:/bin/sh\n",
  "etc/group": "root:x:0:\ntty:x:5:\nwheel:x:10:user\nnogroup:x:65534:\nuser:x:1000:\n",
};

const PT_INTERP = 3;

/** Whether an ELF file asks for no dynamic loader, which the container would not have (elf(5), 64-bit little-endian). */
function isStatic(path) {
  const elf = readFileSync(path);
  if (elf.readUInt32BE(0) !== 0x7f454c46) return false;
  const [offset, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  for (let i = 0; i < count; i++) if (elf.readUInt32LE(offset + i * size) === PT_INTERP) return false;
  return true;
}

/** The path of a static busybox on this machine, if there is one. */
export function findStaticBusybox() {
  const path = find("busybox");
  return path && isStatic(path) ? path : undefined;
}

/** Makes the root filesystem, in the place of what was there. */
export function buildRootfs(target) {
  const made = `${target}.tmp`;
  rmSync(made, { recursive: true, force: true });
  for (const directory of directories) mkdirSync(`${made}/${directory}`, { recursive: true });
  chmodSync(`${made}/tmp`, 0o1777);
  chmodSync(`${made}/root`, 0o700);
  for (const [path, to] of Object.entries(links)) symlinkSync(to, `${made}/${path}`);
  for (const [path, content] of Object.entries(files)) writeFileSync(`${made}/${path}`, content);

  // A copy: what a container does to a hard link, it would do to the host's own file.
  copyFileSync(findStaticBusybox(), `${made}/bin/busybox`);
  chmodSync(`${made}/bin/busybox`, 0o755);
  const { stdout } = spawnSync(`${made}/bin/busybox`, ["--list"], { encoding: "utf8" });
  for (const applet of stdout.split("\n")) {
    if (applet && applet !== "busybox") symlinkSync("busybox", `${made}/bin/${applet}`);
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(made, target);
}
