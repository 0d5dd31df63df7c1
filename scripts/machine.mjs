// What the VM of the tests boots: a kernel of Debian's, unpacked and not installed, and an initramfs that finds the host's files.
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { findStaticBusybox } from "./rootfs.mjs";
import { attempt, giveUp, root, run } from "./stage.mjs";

/** Depends on the newest kernel of its distribution. */
const metapackage = "linux-image-amd64";

/** What brings the guest to the host's files; what these need is found in modules.dep. */
const earlyModules = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/** Of the kernel's 390 MB of modules, the third that tests may ask for. They are patterns of tar's. */
const unpacked = [
  "*/boot/vmlinuz-*",
  "*/lib/modules/*/modules.*",
  // All but drivers and sound.
  "*/lib/modules/*/kernel/[!ds]*",
  "*/lib/modules/*/kernel/drivers/block/*",
  "*/lib/modules/*/kernel/drivers/virtio/*",
  "*/lib/modules/*/kernel/drivers/net/dummy.ko*",
  "*/lib/modules/*/kernel/drivers/net/tun.ko*",
  "*/lib/modules/*/kernel/drivers/net/veth.ko*",
];

/** For who has no kernel of Debian's in the sources of apt, as Ubuntu: these packages change no more, and have 6.1. */
const debian = { mirror: "http://deb.debian.org/debian", suite: "bookworm" };
export const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Why the VM does not run on a machine of this architecture, if it is known. */
export function whyNoMachine() {
  const { checks } = JSON.parse(readFileSync(`${root}test/known.json`, "utf8"));
  return checks.find(
    ({ check, architectures }) => check === "test:vm" && architectures.includes(process.arch),
  )?.why;
}

/** The guest runs the host's programs, and its kernel is of one architecture. */
export function checkMachine() {
  if (process.arch !== "x64") {
    giveUp(`the VM of the tests is x86-64, and this is ${process.arch}`, "the other tests are in npm test");
  }
}

/** Options for apt with which it knows Debian's packages alone, by lists of its own in a directory. */
function aptOfDebian(directory) {
  for (const name of ["lists/partial", "cache/archives/partial"]) {
    mkdirSync(`${directory}/apt/${name}`, { recursive: true });
  }
  const { mirror, suite } = debian;
  writeFileSync(
    `${directory}/apt/sources.list`,
    `deb [signed-by=${debianKeyring}] ${mirror} ${suite} main\n`,
  );
  const places = {
    "Dir::State": `${directory}/apt`,
    "Dir::Cache": `${directory}/apt/cache`,
    "Dir::Etc::SourceList": `${directory}/apt/sources.list`,
    "Dir::Etc::SourceParts": "-",
  };
  return Object.entries(places).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}

/** The package of the newest kernel, and with which options apt knows it. */
function findKernel(directory) {
  const newest = (options) =>
    attempt("apt-cache", [...options, "depends", metapackage]).stdout.match(
      /Depends: (linux-image-\d\S*)/,
    )?.[1];
  const newestAfterUpdate = (options) => {
    attempt("apt-get", [...options, "-o", "DPkg::Lock::Timeout=300", "update"]);
    return newest(options);
  };
  let options = [];
  let name = newest(options) ?? newestAfterUpdate(options);
  if (!name) {
    options = aptOfDebian(directory);
    name = newestAfterUpdate(options);
  }
  if (name) return { name, options };
  return giveUp(
    `the VM of the tests needs Debian's kernel, and apt-cache knows no package ${metapackage}`,
    `it needs a network, and a mirror of Debian in /etc/apt/sources.list or ${debian.mirror}`,
  );
}

/** Unpacks the newest kernel into a directory. */
function fetchKernel(directory) {
  const { name, options } = findKernel(directory);
  const download = 'cd "$0" && apt-get "$@"';
  const result = attempt("sh", ["-c", download, directory, ...options, "download", name]);
  if (!result.ok) {
    // The usual cause: the lists are older than the mirror.
    attempt("apt-get", [...options, "-o", "DPkg::Lock::Timeout=300", "update"]);
    run(
      "sh",
      ["-c", download, directory, ...options, "download", findKernel(directory).name],
      `cannot download ${name}, the kernel of the VM`,
      "it needs a network and a Debian mirror in /etc/apt/sources.list",
    );
  }
  run(
    "bash",
    [
      "-c",
      'set -o pipefail; dpkg-deb --fsys-tarfile "$0"/*.deb | tar -x -C "$0" --no-same-owner --wildcards "$@"',
      directory,
      ...unpacked,
    ],
    `cannot unpack ${name}`,
  );
}

/**
 * The kernel without its self-extracting wrapper, whose decompressor takes longer than the whole rest of the boot when every
 * instruction is emulated (Documentation/x86/boot.rst: payload_offset, payload_length). With another compression, as it is.
 */
function bareKernel(image, directory) {
  const setup = ((image[0x1f1] || 4) + 1) * 512;
  const payload = image.subarray(setup + image.readUInt32LE(0x248)).subarray(0, image.readUInt32LE(0x24c));
  if (payload.toString("latin1", 0, 6) !== "\xfd7zXZ\0") return image;
  // Behind the xz stream the kernel's build appends the size of what is in it.
  writeFileSync(`${directory}/payload.xz`, payload.subarray(0, -4));
  run("xz", ["--decompress", `${directory}/payload.xz`], "cannot unpack the kernel");
  return readFileSync(`${directory}/payload`);
}

/** Modules by their names, each after those it needs: modules.dep(5). */
function inOrder(modules, names) {
  const entries = readFileSync(`${modules}/modules.dep`, "utf8")
    .split("\n")
    .map((line) => line.split(/: ?/));
  const order = [];
  const add = (path) => {
    if (order.includes(path)) return;
    const needs = entries.find(([entry]) => entry === path)?.[1] ?? "";
    for (const need of needs.split(" ").filter(Boolean)) add(need);
    order.push(path);
  };
  for (const name of names) {
    // One that is not there is built into the kernel.
    const entry = entries.find(
      ([path]) => path.split("/").pop()?.split(".ko")[0].replaceAll("-", "_") === name.replaceAll("-", "_"),
    );
    if (entry) add(entry[0]);
  }
  return order;
}

/** An archive that the kernel makes its first root file system of, with the modules numbered in the order of their loading. */
function writeInitramfs(modules, directory, target) {
  const tree = `${directory}/initramfs`;
  for (const name of ["bin", "modules", "proc", "sys", "dev", "host", "memory", "root"]) {
    mkdirSync(`${tree}/${name}`, { recursive: true });
  }
  copyFileSync(findStaticBusybox(), `${tree}/bin/busybox`);
  copyFileSync(`${root}test/vm/guest/initramfs.sh`, `${tree}/init`);
  inOrder(modules, earlyModules).forEach((path, i) => {
    copyFileSync(
      `${modules}/${path}`,
      `${tree}/modules/${String(i).padStart(2, "0")}-${path.split("/").pop()}`,
    );
  });
  run(
    "sh",
    [
      "-ec",
      'cd "$0"; chmod 755 init bin/busybox; bin/busybox find . | bin/busybox cpio -o -H newc > "$1"',
      tree,
      target,
    ],
    "cannot make the initramfs",
  );
}

/** Makes `target`, with: kernel, initramfs, version, modules/ (what is in /lib/modules/VERSION). */
export function buildMachine(target) {
  const made = `${target}.tmp`;
  const scratch = `${made}/scratch`;
  rmSync(made, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  fetchKernel(scratch);

  const [image] = readdirSync(`${scratch}/boot`).filter((name) => name.startsWith("vmlinuz-"));
  const version = image.slice("vmlinuz-".length);
  writeFileSync(`${made}/version`, version);
  writeFileSync(`${made}/kernel`, bareKernel(readFileSync(`${scratch}/boot/${image}`), scratch));
  run(findStaticBusybox(), ["depmod", "-b", scratch, version], "cannot list the kernel's modules");
  writeInitramfs(`${scratch}/lib/modules/${version}`, scratch, `${made}/initramfs`);
  renameSync(`${scratch}/lib/modules/${version}`, `${made}/modules`);

  rmSync(scratch, { recursive: true, force: true });
  rmSync(target, { recursive: true, force: true });
  renameSync(made, target);
}
