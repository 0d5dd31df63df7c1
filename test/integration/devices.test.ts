import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Device } from "../../src/spec/linux.ts";
import { type Bundle, berth, type Config, directory, makeBundle, newId } from "../bundle.ts";
import { refuse, script, succeed } from "../container.ts";
import { mountAt, parseMountinfo } from "../mountinfo.ts";

type Patch = (config: Config) => void;

function bundleOf(...patches: Patch[]): Bundle {
  return makeBundle((config) => {
    for (const patch of patches) patch(config);
  });
}

const run = ({ path }: Bundle): string => succeed(["run", "--bundle", path, newId()]);
const refusal = ({ path }: Bundle): string => refuse(["run", "--bundle", path, newId()]);

const outputOf = (text: string, ...patches: Patch[]): string => run(bundleOf(script(text), ...patches));

/** Changes a config.json so that /dev is the image's own, without mounts in it. */
const imageDev: Patch = (config) => {
  config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
};

const devices =
  (...list: Device[]): Patch =>
  (config) => {
    config.linux.devices = list;
  };

/** Lets the container open every device that it has. */
const allowAll: Patch = (config) => {
  config.linux.resources = { devices: [{ allow: true, access: "rwm" }] };
};

const userNamespace: Patch = (config) => {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
};

function inUserNamespace(...patches: Patch[]): Bundle {
  const bundle = bundleOf(userNamespace, ...patches);
  Bun.spawnSync(["chown", "-R", "100000:100000", bundle.rootfs]);
  return bundle;
}

function mknod(path: string, mode: string, ...args: string[]): void {
  const { exitCode } = Bun.spawnSync(["mknod", "-m", mode, path, ...args]);
  expect(exitCode).toBe(0);
}

/** Type, number (hexadecimal), mode and owner. */
const STAT = "stat -c '%n %F %t:%T %a %u:%g'";

const DEFAULT = `null character special file 1:3 666 0:0
zero character special file 1:5 666 0:0
full character special file 1:7 666 0:0
random character special file 1:8 666 0:0
urandom character special file 1:9 666 0:0
tty character special file 5:0 666 0:0
`;
const STAT_DEFAULT = `cd /dev; ${STAT} null zero full random urandom tty`;

describe("default devices", () => {
  test("have their type, number, mode and owner", () => {
    expect(outputOf(STAT_DEFAULT)).toBe(DEFAULT);
  });

  test("can be used, without a word of it in config.json", () => {
    const output = outputOf(
      `echo lost >/dev/null; head -c 2 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c
       echo x 2>&1 >/dev/full; cat /dev/null`,
    );
    expect(output).toMatch(/^ 00 00\n4\n.*No space left on device\n$/);
  });

  test("have their mode whatever the umask of the caller", () => {
    const { path } = bundleOf(script(STAT_DEFAULT));
    const command = ["dist/berth", "--root", join(directory, "state"), "run", "--bundle", path, newId()];
    const { stdout } = Bun.spawnSync(["sh", "-c", 'umask 077; exec "$@"', "sh", ...command]);
    expect(stdout.toString()).toBe(DEFAULT);
  });

  test("links of /dev", () => {
    // A kernel may do without.
    const core = existsSync("/proc/kcore") ? "core /proc/kcore\n" : "";
    const links =
      "cd /dev; for i in fd stdin stdout stderr core ptmx; do [ ! -L $i ] || echo $i $(readlink $i); done";
    expect(outputOf(links)).toBe(
      `fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\n${core}ptmx pts/ptmx\n`,
    );
  });

  test("nothing else is in /dev", () => {
    expect(
      outputOf("ls /dev")
        .split("\n")
        .filter((name) => name !== "" && name !== "core"),
    ).toEqual([
      "fd",
      "full",
      "mqueue",
      "null",
      "ptmx",
      "pts",
      "random",
      "shm",
      "stderr",
      "stdin",
      "stdout",
      "tty",
      "urandom",
      "zero",
    ]);
  });

  test("are made in a /dev of the image, twice too", () => {
    const bundle = bundleOf(script(STAT_DEFAULT), imageDev);
    rmSync(join(bundle.rootfs, "dev"), { recursive: true });
    expect(run(bundle)).toBe(DEFAULT);
    expect(run(bundle)).toBe(DEFAULT);
  });
});

describe("linux.devices", () => {
  test.each<[string, Device, string]>([
    ["c", { type: "c", path: "/dev/x", major: 10, minor: 229 }, "/dev/x character special file a:e5 666 0:0"],
    ["u", { type: "u", path: "/dev/x", major: 1, minor: 3 }, "/dev/x character special file 1:3 666 0:0"],
    [
      "b",
      { type: "b", path: "/dev/x", major: 7, minor: 0, fileMode: 0o640 },
      "/dev/x block special file 7:0 640 0:0",
    ],
    ["p", { type: "p", path: "/dev/x", fileMode: 0o622 }, "/dev/x fifo 0:0 622 0:0"],
    [
      "fileMode with the bits of the type, as stat gives it",
      { type: "c", path: "/dev/x", major: 1, minor: 7, fileMode: 0o020640 },
      "/dev/x character special file 1:7 640 0:0",
    ],
    [
      "large numbers",
      { type: "c", path: "/dev/x", major: 511, minor: 1_000_000 },
      "/dev/x character special file 1ff:f4240 666 0:0",
    ],
    [
      "an owner",
      { type: "c", path: "/dev/x", major: 1, minor: 7, uid: 1000, gid: 2000, fileMode: 0o600 },
      "/dev/x character special file 1:7 600 1000:2000",
    ],
    [
      "no right for anybody",
      { type: "c", path: "/dev/x", major: 1, minor: 7, fileMode: 0 },
      "/dev/x character special file 1:7 0 0:0",
    ],
    [
      "a directory that is missing",
      { type: "c", path: "/dev/a/b/x", major: 1, minor: 3 },
      "/dev/a/b/x character special file 1:3 666 0:0",
    ],
    [
      "outside of /dev",
      { type: "c", path: "/srv/x", major: 1, minor: 3 },
      "/srv/x character special file 1:3 666 0:0",
    ],
    [
      "the place of a default one",
      { type: "c", path: "/dev/tty", major: 5, minor: 0, fileMode: 0o620, gid: 5 },
      "/dev/tty character special file 5:0 620 0:5",
    ],
  ])("%s", (_, device, expected) => {
    expect(outputOf(`${STAT} ${device.path}`, devices(device))).toBe(`${expected}\n`);
  });

  test("a device that is made may still not be opened: that is the cgroup's to allow", () => {
    const device: Device = { type: "c", path: "/dev/x", major: 1, minor: 11 };
    expect(outputOf("exec 2>&1; cat /dev/x; true", devices(device))).toContain("Operation not permitted");
    const zero: Device = { type: "c", path: "/dev/x", major: 1, minor: 5 };
    expect(outputOf("head -c 1 /dev/x | wc -c", devices(zero))).toBe("1\n");
  });
});

describe("a device that is there already", () => {
  test("the right one gets its mode and owner", () => {
    const bundle = bundleOf(script(STAT_DEFAULT), imageDev);
    mknod(join(bundle.rootfs, "dev/null"), "600", "c", "1", "3");
    mknod(join(bundle.rootfs, "dev/zero"), "666", "c", "1", "5");
    Bun.spawnSync(["chown", "7:8", join(bundle.rootfs, "dev/zero")]);
    expect(run(bundle)).toBe(DEFAULT);
  });

  test("the right one stays the same file", () => {
    const bundle = bundleOf(imageDev);
    const path = join(bundle.rootfs, "dev/zero");
    mknod(path, "666", "c", "1", "5");
    const before = lstatSync(path).ino;
    run(bundle);
    expect(lstatSync(path).ino).toBe(before);
  });

  const hint = "hint: a file that is not this device is there already\n";

  test.each<[string, (path: string) => void]>([
    ["a file", (path) => writeFileSync(path, "")],
    ["a directory", (path) => mkdirSync(path)],
    ["a symlink", (path) => symlinkSync("zero", path)],
    ["a symlink that dangles", (path) => symlinkSync("/nowhere", path)],
    ["another device", (path) => mknod(path, "666", "c", "1", "5")],
    ["a block device", (path) => mknod(path, "666", "b", "1", "3")],
    ["a fifo", (path) => mknod(path, "666", "p")],
  ])("%s in the place of /dev/null is refused, and left alone", (_, make) => {
    const bundle = bundleOf(imageDev);
    const path = join(bundle.rootfs, "dev/null");
    make(path);
    const before = lstatSync(path);
    expect(refusal(bundle)).toBe(`berth: /dev/null: verify character device 1:3: file exists\n${hint}`);
    const { ino, mode, rdev, ctimeMs } = lstatSync(path);
    expect({ ino, mode, rdev, ctimeMs }).toEqual({
      ino: before.ino,
      mode: before.mode,
      rdev: before.rdev,
      ctimeMs: before.ctimeMs,
    });
  });

  test("one of linux.devices is named by its place there", () => {
    const bundle = bundleOf(devices({ type: "p", path: "/srv/fifo" }));
    mkdirSync(join(bundle.rootfs, "srv"));
    writeFileSync(join(bundle.rootfs, "srv/fifo"), "");
    expect(refusal(bundle)).toBe(`berth: linux.devices[0] /srv/fifo: verify the fifo: file exists\n${hint}`);
  });

  test("a ptmx of the image gives way to the container's own", () => {
    const bundle = bundleOf(script("readlink /dev/ptmx"), imageDev);
    mknod(join(bundle.rootfs, "dev/ptmx"), "666", "c", "5", "2");
    expect(run(bundle)).toBe("pts/ptmx\n");
  });

  test("one that is mounted there from the host is used", () => {
    const bind = { destination: "/dev/null", source: "/dev/null", options: ["bind"] };
    const output = outputOf("echo lost >/dev/null; grep -c ' /dev/null ' /proc/self/mountinfo", (config) => {
      config.mounts.push(bind);
    });
    expect(output).toBe("1\n");
  });
});

describe("a /dev that is bound into the container", () => {
  test("is left as it is: no device, no link", () => {
    const path = join(directory, `dev-${newId()}`);
    mkdirSync(path);
    mknod(join(path, "null"), "600", "c", "1", "3");
    writeFileSync(join(path, "mine"), "");
    const bundle = bundleOf(script("ls /dev; stat -c %a /dev/null"), imageDev, (config) => {
      config.mounts.push({ destination: "/dev", source: path, options: ["rbind"] });
      config.linux.devices = [{ type: "c", path: "/dev/zero", major: 1, minor: 5 }];
    });
    expect(run(bundle)).toBe("mine\nnull\n600\n");
    expect(readdirSync(path).sort()).toEqual(["mine", "null"]);
  });

  test("may be the host's own", () => {
    const names = readdirSync("/dev").sort().join("\n");
    const modes = statSync("/dev/null").mode;
    const output = outputOf("ls -a /dev | grep -v '^\\.\\.\\?$' | sort", imageDev, (config) => {
      config.mounts.push({ destination: "/dev", source: "/dev", options: ["rbind", "rslave"] });
    });
    expect(output.trimEnd().split("\n").sort().join("\n")).toBe(names);
    expect(readdirSync("/dev").sort().join("\n")).toBe(names);
    expect(statSync("/dev/null").mode).toBe(modes);
  });
});

describe("in a user namespace", () => {
  test("the host's devices are shown", () => {
    const output = run(inUserNamespace(script(`cat /proc/self/mountinfo; ${STAT_DEFAULT}`)));
    const mounts = parseMountinfo(output);
    for (const name of ["null", "zero", "full", "random", "urandom", "tty"]) {
      expect(mountAt(mounts, `/dev/${name}`).root).toMatch(new RegExp(`/${name}$`));
    }
    expect(output.replace(/^.* - .*\n/gm, "").replace(/ 666 \d+:\d+/g, "")).toBe(
      DEFAULT.replace(/ 666 0:0/g, ""),
    );
  });

  test("and can be used", () => {
    expect(run(inUserNamespace(script("echo lost >/dev/null; head -c 2 /dev/zero | wc -c")))).toBe("2\n");
  });

  test("links and fifos are made", () => {
    const bundle = inUserNamespace(
      script(`readlink /dev/fd; ${STAT} /dev/fifo`),
      devices({ type: "p", path: "/dev/fifo", fileMode: 0o600, uid: 5, gid: 6 }),
    );
    expect(run(bundle)).toBe("/proc/self/fd\n/dev/fifo fifo 0:0 600 5:6\n");
  });

  test("a device of linux.devices must be on the host, and the same one", () => {
    const absent = inUserNamespace(
      devices({ type: "c", path: "/dev/nowhere", major: 1, minor: 3 }),
      allowAll,
    );
    expect(refusal(absent)).toBe(
      "berth: linux.devices[0] /dev/nowhere: take the host's device: no such file or directory\n" +
        "hint: this process may not make devices, and the host has none with this name to show instead\n",
    );
    const other = inUserNamespace(devices({ type: "c", path: "/dev/zero", major: 1, minor: 3 }), allowAll);
    expect(refusal(other)).toBe(
      "berth: linux.devices[0] /dev/zero: verify character device 1:3: file exists\n" +
        "hint: the host's node of this name is another device\n",
    );
  });
});

test("a container does not touch the host's devices", () => {
  const before = statSync("/dev/null");
  chmodSync("/dev/null", 0o666);
  for (const uid of [0, 1000]) {
    const bundle = bundleOf(script("echo x"), (config) => {
      config.process.user = { uid, gid: uid };
    });
    // stdin is the host's /dev/null here.
    expect(berth(["run", "--bundle", bundle.path, newId()])).toMatchObject({ status: 0, stdout: "x\n" });
  }
  const { uid, gid, mode, rdev } = statSync("/dev/null");
  expect({ uid, gid, mode, rdev }).toEqual({
    uid: before.uid,
    gid: before.gid,
    mode: before.mode,
    rdev: before.rdev,
  });
});
