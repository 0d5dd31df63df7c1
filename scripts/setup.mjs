// Brings a fresh Debian or Ubuntu machine to where berth can be built, tested and run, and does nothing on one that is there.
// Called by the scripts of package.json. Plain Node: it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { buildMachine, checkMachine as checkVirtualMachine } from "./machine.mjs";
import { buildRootfs, findStaticBusybox } from "./rootfs.mjs";
import { attempt, find, giveUp, isDone, perform, root, run, say } from "./stage.mjs";

const bun = `${root}node_modules/bun/bin/bun.exe`;
const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
const quickjs = `${root}node_modules/@suchipi/quickjs/build/${machine}-unknown-linux-gnu/bin/quickjs-run`;
const libexec = `${root}dist/libexec`;

/* Bun alone has an install script, and npm runs it or not by its version and settings. What is in npm's cache needs no network. */
const npmCi = [
  "ci",
  "--ignore-scripts",
  "--include=dev",
  "--include=optional",
  "--engine-strict=false",
  "--prefer-offline",
  "--fetch-retry-mintimeout=2000",
  "--fetch-retry-maxtimeout=5000",
  "--no-audit",
  "--no-fund",
];

/** Where Debian has its libraries, by architecture. */
const libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"].flatMap((name) => [
  `/usr/lib/${name}`,
  `/lib/${name}`,
]);

/** Debian packages of engines, of runc to compare with, and of what they run: each with a file that tells that it is there. */
const ENGINES = [
  ["podman", "/usr/bin/podman"],
  ["buildah", "/usr/bin/buildah"],
  ["containerd", "/usr/bin/containerd"],
  ["docker.io", "/usr/sbin/dockerd"],
  ["runc", "/usr/sbin/runc"],
  ["conmon", "/usr/bin/conmon"],
  ["netavark", "/usr/lib/podman/netavark"],
  ["catatonit", "/usr/bin/catatonit"],
  ["tini", "/usr/bin/tini"],
  ["docker-compose", "/usr/bin/docker-compose"],
];

/** Stages in their order. `needs` lists Debian packages, and how to tell that what they bring is there. */
const stages = [
  {
    name: "native",
    title: "building the launcher and the executor",
    needs: [
      { name: "gcc", isThere: () => find("cc") },
      { name: "make", isThere: () => find("make") },
      { name: "linux-libc-dev", isThere: () => existsSync("/usr/include/linux/close_range.h") },
    ],
    inputs: () => [`${root}native`],
    outputs: [`${root}dist/berth`, `${libexec}/init`, `${libexec}/wait`, `${libexec}/native.so`],
    make: () => run("make", ["-C", "native"], "cannot build native/"),
  },
  {
    name: "rootfs",
    title: "making bundles/hello/rootfs from busybox",
    needs: [
      { name: "busybox-static", isThere: findStaticBusybox },
      // What the tests make beside it: network devices, users with ids of their own, and a program that speaks to systemd.
      { name: "iproute2", isThere: () => find("ip") },
      { name: "passwd", isThere: () => find("useradd") },
      { name: "uidmap", isThere: () => find("newuidmap") },
      { name: "libc6-dev", isThere: () => existsSync("/usr/include/stdio.h") },
      // What compiles linux.seccomp, at run time too.
      { name: "libseccomp2", isThere: () => libraries.some((path) => existsSync(`${path}/libseccomp.so.2`)) },
    ],
    inputs: () => [findStaticBusybox() ?? "", `${root}scripts/rootfs.mjs`],
    // Changed with the needs: a machine that has the rest looks at them again.
    salt: "libseccomp2",
    outputs: [`${root}bundles/hello/rootfs/bin/sh`],
    make: () => buildRootfs(`${root}bundles/hello/rootfs`),
  },
  {
    name: "engine",
    title: "compiling the engine",
    needs: [
      { name: "gcc", isThere: () => find("cc") },
      { name: "make", isThere: () => find("make") },
      { name: "libc6-dev", isThere: () => existsSync("/usr/include/stdio.h") },
    ],
    inputs: () => [
      ...["src", "native", "package-lock.json"].map((path) => `${root}${path}`),
      ...["bundle.ts", "bytecode.mjs", "setup.mjs"].map((name) => `${root}scripts/${name}`),
    ],
    outputs: [`${libexec}/berth`],
    make: compileEngine,
  },
  {
    name: "stopwatch",
    title: "building the stopwatch of the benchmark",
    isWanted: () => process.argv.includes("--bench"),
    needs: [
      { name: "gcc", isThere: () => find("cc") },
      { name: "libc6-dev", isThere: () => existsSync("/usr/include/stdio.h") },
    ],
    inputs: () => [`${root}test/bench/stopwatch.c`],
    outputs: [`${root}dist/stopwatch`],
    make: () =>
      run("cc", ["-O2", "-static", "-o", "dist/stopwatch", "test/bench/stopwatch.c"], "cannot build it"),
  },
  {
    name: "vm",
    title: "unpacking a kernel for the VM of the tests",
    isWanted: () => process.argv.includes("--vm"),
    needs: [
      { name: "qemu-system-x86", isThere: () => find("qemu-system-x86_64") },
      { name: "busybox-static", isThere: findStaticBusybox },
      { name: "xz-utils", isThere: () => find("xz") },
      { name: "systemd", isThere: () => existsSync("/lib/systemd/systemd") },
      { name: "dbus", isThere: () => find("dbus-daemon") },
    ],
    inputs: () => [
      findStaticBusybox() ?? "",
      `${root}scripts/machine.mjs`,
      `${root}test/vm/guest/initramfs.sh`,
    ],
    outputs: [`${root}dist/vm/kernel`, `${root}dist/vm/initramfs`, `${root}dist/vm/modules/modules.dep`],
    make: () => buildMachine(`${root}dist/vm`),
  },
  {
    name: "engines",
    title: "checking the engines that the tests drive",
    isWanted: () => process.argv.includes("--engines"),
    needs: ENGINES.map(([name, path]) => ({ name, isThere: () => existsSync(path) })),
    inputs: () => [],
    outputs: ENGINES.map(([, path]) => path),
    make: () => {},
  },
];

/**
 * Runs an installation that starts no services, by the policy that invoke-rc.d asks: the tests start the daemons of engines
 * themselves, in a directory of their own.
 */
function withoutServices(install) {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return install();
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return install();
  } finally {
    rmSync(policy, { force: true });
  }
}

function checkMachine() {
  if (process.platform !== "linux") giveUp(`berth runs on Linux, not on ${process.platform}`);
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) {
    giveUp(
      `Node.js 20 or newer is needed, this is ${process.version}`,
      "see https://nodejs.org/en/download or https://github.com/nodesource/distributions",
    );
  }
  if (process.argv.includes("--root") && process.getuid() !== 0) {
    giveUp(
      "root is needed: containers are made by it, and the tests make containers",
      "run it again with sudo",
    );
  }
}

function installPackages(names) {
  if (names.length === 0) return;
  const command = `apt-get install ${names.join(" ")}`;
  if (!find("apt-get")) {
    giveUp(
      `${names.join(", ")} missing, and no apt-get to install with`,
      "these are the names of Debian packages: install what your distribution has in their place",
    );
  }
  if (process.getuid() !== 0) giveUp(`packages are missing: ${names.join(", ")}`, `run "${command}" as root`);

  say(`installing ${names.join(", ")}`);
  const quiet = { DEBIAN_FRONTEND: "noninteractive" };
  // A machine that has just started may hold the lock for its own updates.
  const wait = ["-o", "DPkg::Lock::Timeout=300"];
  const install = () =>
    withoutServices(() =>
      attempt("apt-get", [...wait, "install", "-y", "--no-install-recommends", ...names], quiet),
    );
  let result = install();
  if (!result.ok) {
    // The usual cause: lists that are missing, as in a container image, or too old.
    attempt("apt-get", [...wait, "update"], quiet);
    result = install();
  }
  if (!result.ok) {
    process.stderr.write(result.output);
    giveUp(
      `"${command}" failed, its output is above`,
      "it needs a network and a Debian mirror in /etc/apt/sources.list; or install the packages by hand",
    );
  }
}

/**
 * Whether node_modules holds what the lockfile says: npm writes down there what it installed. That each package is there is looked at
 * as well, for a copy of node_modules that shares its files with others may have their list.
 */
function hasNodeModules() {
  try {
    const read = (path) => JSON.parse(readFileSync(`${root}${path}`, "utf8")).packages;
    const wanted = read("package-lock.json");
    const installed = read("node_modules/.package-lock.json");
    const isSame = (path) =>
      installed[path].integrity === wanted[path]?.integrity && existsSync(`${root}${path}/package.json`);
    const isAbsent = (path) => path !== "" && !wanted[path].optional && !installed[path];
    return (
      Object.keys(installed).every(isSame) &&
      !Object.keys(wanted).some(isAbsent) &&
      statSync(bun).size > 1 << 20
    );
  } catch {
    return false;
  }
}

function installNodeModules() {
  if (hasNodeModules()) return;
  say("installing node_modules");
  run(
    "npm",
    npmCi,
    "cannot install node_modules",
    'it needs the npm registry: is there a network? A proxy is set with "npm config set proxy URL"',
  );
  run(process.execPath, ["node_modules/bun/install.js"], "cannot install Bun");
  run(bun, ["--version"], "Bun does not run here", "it needs glibc, and an x86-64 or arm64 processor");
}

/** src/ as JavaScript, a bundle for each import(); these as bytecode; and that in one executable with the interpreter. */
function compileEngine() {
  const bundles = `${root}dist/.bundle`;
  const cannot = "cannot compile the engine";
  rmSync(bundles, { recursive: true, force: true });
  run(bun, ["scripts/bundle.ts", bundles, commit()], cannot);
  const names = readdirSync(bundles).sort();
  run(quickjs, ["scripts/bytecode.mjs", ...names.map((name) => `${bundles}/${name}`)], cannot);
  writeFileSync(`${bundles}/modules.S`, moduleTable(bundles, names));
  run("make", ["-C", "native", "engine", `MODULES=${bundles}`], cannot);
}

/** The bytecode of the modules as native/engine.c finds it: a table of names, addresses and sizes, whose last name is null. */
function moduleTable(bundles, names) {
  const entries = names.map((_, i) => `.quad name${i}, code${i}, end${i} - code${i}`);
  const contents = names.map(
    (name, i) =>
      `name${i}: .asciz "${name}"\n.balign 16\ncode${i}: .incbin "${bundles}/${name}.bytecode"\nend${i}:`,
  );
  return `${[
    '.section .data.rel.ro, "aw"',
    ".balign 8",
    ".globl modules",
    "modules:",
    ...entries,
    ".quad 0, 0, 0",
    ".section .rodata",
    ...contents,
    '.section .note.GNU-stack, "", %progbits',
  ].join("\n")}\n`;
}

/** The commit that is built, for --version; a copy without history has none. */
function commit() {
  const { status, stdout } = spawnSync("git", ["-C", root, "rev-parse", "--short", "HEAD"], {
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim() : "unknown";
}

checkMachine();
if (process.argv.includes("--vm")) checkVirtualMachine();
const pending = stages.filter((stage) => (stage.isWanted?.() ?? true) && !isDone(stage));
const missing = pending.flatMap((stage) => stage.needs).filter((need) => !need.isThere());
installPackages([...new Set(missing.map((need) => need.name))]);
installNodeModules();
for (const stage of pending) perform(stage);
