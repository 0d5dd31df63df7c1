import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Bundle, type Config, directory, makeBundle, newId } from "../bundle.ts";
import { refuse, script, succeed } from "../container.ts";
import { mountAt, parseMountinfo } from "../mountinfo.ts";

type Patch = (config: Config) => void;

function bundleOf(...patches: Patch[]): Bundle {
  return makeBundle((config) => {
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
    for (const patch of patches) patch(config);
  });
}

const masked =
  (...paths: string[]): Patch =>
  (config) => {
    config.linux.maskedPaths = paths;
  };

const readonly =
  (...paths: string[]): Patch =>
  (config) => {
    config.linux.readonlyPaths = paths;
  };

const writable: Patch = (config) => {
  config.root.readonly = false;
};

const run = ({ path }: Bundle): string => succeed(["run", "--bundle", path, newId()]);

/** What a script writes, both outputs, in a container whose image has /srv/file, /srv/directory/inside and some symlinks. */
function outputOf(text: string, ...patches: Patch[]): string {
  const bundle = bundleOf(script(`exec 2>&1\n${text}\ntrue`), ...patches);
  fill(bundle.rootfs);
  return run(bundle);
}

function fill(rootfs: string): void {
  mkdirSync(join(rootfs, "srv/directory"), { recursive: true });
  writeFileSync(join(rootfs, "srv/file"), "secret\n");
  writeFileSync(join(rootfs, "srv/directory/inside"), "secret\n");
  symlinkSync("file", join(rootfs, "srv/link"));
  symlinkSync("/srv/directory", join(rootfs, "srv/directory-link"));
  symlinkSync("/nowhere/at/all", join(rootfs, "srv/dangling"));
}

const mountsOf = (...patches: Patch[]) => parseMountinfo(outputOf("cat /proc/self/mountinfo", ...patches));

describe("linux.maskedPaths", () => {
  test("a file is covered with the null device", () => {
    const output = outputOf(
      "cat /srv/file; stat -c '%F %t:%T' /srv/file; cat /proc/uptime | wc -c",
      masked("/srv/file", "/proc/uptime"),
    );
    expect(output).toBe("character special file 1:3\n0\n");
  });

  test("a directory is empty, and cannot be written", () => {
    const output = outputOf(
      "ls -a /srv/directory; touch /srv/directory/x",
      masked("/srv/directory"),
      writable,
    );
    expect(output).toBe(".\n..\ntouch: /srv/directory/x: Read-only file system\n");
  });

  test("directories of /proc and /sys too", () => {
    const output = outputOf(
      "ls /proc/irq /sys/firmware /proc/1/task",
      masked("/proc/irq", "/sys/firmware", "/proc/1/task"),
    );
    expect(output).toBe("/proc/1/task:\n\n/proc/irq:\n\n/sys/firmware:\n");
  });

  test("a missing path is no error, and is not made", () => {
    const bundle = bundleOf(
      masked("/nowhere", "/nowhere/below", "/srv/file/below", "/proc/nowhere"),
      writable,
    );
    fill(bundle.rootfs);
    const before = readdirSync(bundle.rootfs);
    run(bundle);
    expect(readdirSync(bundle.rootfs)).toEqual(before);
  });

  test("a path that is listed several times is covered once", () => {
    const paths = [
      "/srv/file",
      "/srv//file",
      "/srv/./file",
      "/srv/directory",
      "/srv/directory/",
      "/srv/x/../directory",
    ];
    const mounts = mountsOf(masked(...paths));
    expect(mounts.filter(({ point }) => point === "/srv/file")).toHaveLength(1);
    expect(mounts.filter(({ point }) => point === "/srv/directory")).toHaveLength(1);
  });

  test("symlinks are followed inside the container: what they name is covered", () => {
    const output = outputOf(
      "cat /srv/file; ls /srv/directory; readlink /srv/link",
      masked("/srv/link", "/srv/directory-link", "/srv/dangling"),
    );
    expect(output).toBe("file\n");
  });

  test("a path inside a masked directory is masked with it", () => {
    expect(outputOf("ls /srv/directory", masked("/srv/directory", "/srv/directory/inside"))).toBe("");
    expect(outputOf("ls /srv/directory", masked("/srv/directory/inside", "/srv/directory"))).toBe("");
  });

  test("all directories share one tmpfs, which is no other's", () => {
    const paths = [
      "/proc/irq",
      "/proc/bus",
      "/sys/firmware",
      "/srv/directory",
      "/sys/kernel",
      "/home",
      "/mnt",
    ];
    const mounts = mountsOf(masked(...paths, "/srv/file"));
    const devices = paths.map((path) => mountAt(mounts, path).device);
    expect(new Set(devices).size).toBe(1);
    expect(mounts.filter(({ device }) => device === devices[0])).toHaveLength(paths.length);
    for (const path of paths) {
      expect(mountAt(mounts, path)).toMatchObject({
        type: "tmpfs",
        options: ["ro", "nosuid", "nodev", "noexec", "relatime"],
      });
    }
  });

  test("more paths than descriptors are held at once", () => {
    const names = Array.from({ length: 60 }, (_, i) => `/srv/many/${i}`);
    const bundle = bundleOf(
      script("cat /srv/many/*/file; ls /srv/many | wc -l"),
      masked(...names),
      readonly(...names),
    );
    for (const name of names) {
      mkdirSync(join(bundle.rootfs, name), { recursive: true });
      writeFileSync(join(bundle.rootfs, name, "file"), "secret");
    }
    const { stdout } = Bun.spawnSync([
      "dist/berth",
      "--root",
      join(directory, "state"),
      "run",
      "--bundle",
      bundle.path,
      newId(),
    ]);
    expect(stdout.toString()).toBe("60\n");
  });

  test("in a user namespace", () => {
    const bundle = bundleOf(
      script("cat /srv/file; ls /srv/directory /proc/irq"),
      masked("/srv/file", "/srv/directory", "/proc/irq"),
      (config) => {
        config.linux.namespaces.push({ type: "user" });
        config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
        config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
      },
    );
    fill(bundle.rootfs);
    Bun.spawnSync(["chown", "-R", "100000:100000", bundle.rootfs]);
    expect(run(bundle)).toBe("/proc/irq:\n\n/srv/directory:\n");
  });

  test("the root of the container cannot be masked away with what is to run", () => {
    const bundle = bundleOf(masked("/bin"));
    expect(refuse(["run", "--bundle", bundle.path, newId()])).toContain("/bin/true");
  });

  test("on the host nothing is covered", () => {
    const bundle = bundleOf(script("cat /srv/file"), masked("/srv/file", "/srv/directory"));
    fill(bundle.rootfs);
    run(bundle);
    expect(readFileSync(join(bundle.rootfs, "srv/file"), "utf8")).toBe("secret\n");
    expect(readdirSync(join(bundle.rootfs, "srv/directory"))).toEqual(["inside"]);
  });
});

describe("linux.readonlyPaths", () => {
  test("a file and a directory can be read, not written", () => {
    const output = outputOf(
      "cat /srv/file /srv/directory/inside; touch /srv/directory/x; echo x >>/srv/file; rm /srv/directory/inside; touch /srv/free",
      readonly("/srv/file", "/srv/directory"),
      writable,
    );
    expect(output.split("\n")).toEqual([
      "secret",
      "secret",
      "touch: /srv/directory/x: Read-only file system",
      expect.stringMatching(/can't create \/srv\/file: Read-only file system$/),
      expect.stringMatching(/rm: can't remove '\/srv\/directory\/inside': Read-only file system/),
      "",
    ]);
  });

  test("the options of the mount below stay", () => {
    const mounts = mountsOf(readonly("/dev/shm", "/srv/directory"), writable, (config) => {
      config.mounts.push({
        destination: "/srv/directory",
        type: "tmpfs",
        options: ["nosuid", "noexec", "noatime", "nosymfollow"],
      });
    });
    expect(mountAt(mounts, "/dev/shm").options).toEqual(["ro", "nosuid", "nodev", "noexec", "relatime"]);
    expect(mountAt(mounts, "/srv/directory").options).toEqual([
      "ro",
      "nosuid",
      "noexec",
      "noatime",
      "nosymfollow",
    ]);
  });

  test("missing, doubled and linked paths", () => {
    const output = outputOf(
      "touch /srv/directory/x; grep -c ' /srv/directory ' /proc/self/mountinfo; ls -d /nowhere",
      readonly("/nowhere", "/srv/directory-link", "/srv/dangling", "/proc/nowhere"),
      writable,
    );
    expect(output).toBe(
      "touch: /srv/directory/x: Read-only file system\n1\nls: /nowhere: No such file or directory\n",
    );
    const mounts = mountsOf(readonly("/srv/directory", "/srv/directory/", "/srv//directory"));
    expect(mounts.filter(({ point }) => point === "/srv/directory")).toHaveLength(1);
  });

  test("what is mounted below is there, and what lies in a masked path is not", () => {
    const output = outputOf(
      "ls /srv/directory /srv/directory/sub",
      readonly("/srv/directory"),
      masked("/srv/directory/sub/masked"),
      (config) => {
        config.mounts.push(
          { destination: "/srv/directory/sub", type: "tmpfs", options: ["mode=755"] },
          { destination: "/srv/directory/sub/masked/a", type: "tmpfs" },
        );
      },
    );
    expect(output).toBe("/srv/directory:\ninside\nsub\n\n/srv/directory/sub:\nmasked\n");
    expect(
      outputOf("ls /srv/directory/sub/masked", masked("/srv/directory/sub/masked"), (config) => {
        config.mounts.push({ destination: "/srv/directory/sub/masked/a", type: "tmpfs" });
      }),
    ).toBe("");
  });

  test("/proc/sys is read-only, yet linux.sysctl is set", () => {
    const output = outputOf(
      `cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward
       echo 1 >/proc/sys/kernel/msgmax`,
      readonly("/proc/sys"),
      (config) => {
        config.linux.sysctl = { "kernel.msgmax": "12345", "net.ipv4.ip_forward": "1" };
      },
    );
    expect(output).toMatch(/^12345\n1\n.*can't create \/proc\/sys\/kernel\/msgmax: Read-only file system\n$/);
  });

  test("the same path masked and read-only is masked", () => {
    expect(outputOf("ls /srv/directory", readonly("/srv/directory"), masked("/srv/directory"))).toBe("");
  });

  test("on the host nothing is read-only", () => {
    const bundle = bundleOf(readonly("/srv"));
    fill(bundle.rootfs);
    run(bundle);
    chmodSync(join(bundle.rootfs, "srv"), 0o700);
    expect(lstatSync(join(bundle.rootfs, "srv")).mode & 0o777).toBe(0o700);
    writeFileSync(join(bundle.rootfs, "srv/new"), "");
  });
});
