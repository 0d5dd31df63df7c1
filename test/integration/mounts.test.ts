import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Mount } from "../../src/spec/config.ts";
import type { RootfsPropagation } from "../../src/spec/linux.ts";
import { type Bundle, berth, type Config, directory, makeBundle, newId } from "../bundle.ts";
import { refuse, script, startContainer, succeed } from "../container.ts";
import { hostMounts, type MountInfo, mountAt, parseMountinfo } from "../mountinfo.ts";

const MAPS = [{ containerID: 0, hostID: 100000, size: 65536 }];

/** Lets the container's root own its root file system too. */
function chown(path: string, uid: number): void {
  Bun.spawnSync(["chown", "-R", `${uid}:${uid}`, path]);
}

function withUserNamespace(config: Config): void {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = MAPS;
  config.linux.gidMappings = MAPS;
}

/** Changes a config.json so that these mounts come after those of the bundle. */
function mounting(...mounts: Mount[]): (config: Config) => void {
  return (config) => {
    config.mounts.push(...mounts);
  };
}

/** A new tmpfs on a directory of /mnt. */
const tmpfs = (name: string, ...options: string[]): Mount => ({
  destination: `/mnt/${name}`,
  type: "tmpfs",
  source: "tmpfs",
  options,
});

const bind = (source: string, destination: string, ...options: string[]): Mount => ({
  destination,
  source,
  options: ["bind", ...options],
});

type Patch = (config: Config) => void;

function bundleOf(...patches: Patch[]): Bundle {
  return makeBundle((config) => {
    for (const patch of patches) patch(config);
  });
}

/** What a script writes in a container, both outputs: that a command fails is seen there. */
function outputOf(text: string, ...patches: Patch[]): string {
  return outputOfBundle(bundleOf(script(`exec 2>&1\n${text}\ntrue`), ...patches));
}

function outputOfBundle({ path }: Bundle, ...options: string[]): string {
  return succeed(["run", ...options, "--bundle", path, newId()]);
}

/** As {@link outputOf}, when the container's root is no user of the host's. */
function outputInUserNamespace(text: string, ...patches: Patch[]): string {
  const bundle = bundleOf(script(`exec 2>&1\n${text}\ntrue`), withUserNamespace, ...patches);
  chown(bundle.rootfs, 100000);
  return outputOfBundle(bundle);
}

/** The mounts of a container, as its own process sees them. */
function mountsOf(...patches: Patch[]): MountInfo[] {
  return parseMountinfo(outputOf("cat /proc/self/mountinfo", ...patches));
}

/** The error of `run`. */
function refusal(...patches: Patch[]): string {
  return refuse(["run", "--bundle", bundleOf(...patches).path, newId()]);
}

let serial = 0;

/** An empty directory on the host. */
function hostDirectory(): string {
  serial += 1;
  const path = join(directory, `host-${serial}`);
  mkdirSync(path);
  return path;
}

function mount(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["mount", ...args]);
  expect({ args, exitCode, stderr: stderr.toString() }).toEqual({ args, exitCode: 0, stderr: "" });
}

/** A tmpfs of the host for the time of `use`, with a second one inside it, on "sub". */
function withHostMount(options: string, use: (path: string) => void): void {
  const path = hostDirectory();
  mount("-t", "tmpfs", "-o", options, "tmpfs", path);
  try {
    mkdirSync(join(path, "sub"));
    mount("-t", "tmpfs", "-o", options, "tmpfs", join(path, "sub"));
    use(path);
  } finally {
    Bun.spawnSync(["umount", "-R", path]);
  }
}

/** As {@link withHostMount}, when what is mounted in one of these spreads to its copies. */
function withSharedMount(use: (path: string) => void): void {
  withHostMount("mode=755", (path) => {
    mount("--make-rshared", path);
    use(path);
  });
}

const ATTRIBUTES = [
  "ro",
  "rw",
  "nosuid",
  "nodev",
  "noexec",
  "nodiratime",
  "nosymfollow",
  "noatime",
  "relatime",
];

/** [options, what the mount then has of the options above; without relatime and noatime it is strictatime] */
const ON_A_NEW_MOUNT: readonly (readonly [options: string, attributes: string])[] = [
  ["", "rw relatime"],
  ["defaults", "rw relatime"],
  ["ro", "ro relatime"],
  ["ro rw", "rw relatime"],
  ["rw ro", "ro relatime"],
  ["nosuid", "rw nosuid relatime"],
  ["nosuid suid", "rw relatime"],
  ["nodev", "rw nodev relatime"],
  ["nodev dev", "rw relatime"],
  ["noexec", "rw noexec relatime"],
  ["noexec exec", "rw relatime"],
  ["nosymfollow", "rw nosymfollow relatime"],
  ["nosymfollow symfollow", "rw relatime"],
  ["nodiratime", "rw nodiratime relatime"],
  ["nodiratime diratime", "rw relatime"],
  ["noatime", "rw noatime"],
  ["noatime atime", "rw relatime"],
  ["strictatime", "rw"],
  ["strictatime nostrictatime", "rw relatime"],
  ["relatime", "rw relatime"],
  ["noatime relatime", "rw relatime"],
  ["strictatime norelatime", "rw relatime"],
  ["rro", "ro relatime"],
  ["rro rrw", "rw relatime"],
  ["rnosuid", "rw nosuid relatime"],
  ["rnosuid rsuid", "rw relatime"],
  ["rnodev", "rw nodev relatime"],
  ["rnodev rdev", "rw relatime"],
  ["rnoexec", "rw noexec relatime"],
  ["rnoexec rexec", "rw relatime"],
  ["rnosymfollow", "rw nosymfollow relatime"],
  ["rnosymfollow rsymfollow", "rw relatime"],
  ["rnodiratime", "rw nodiratime relatime"],
  ["rnodiratime rdiratime", "rw relatime"],
  ["rnoatime", "rw noatime"],
  ["rnoatime ratime", "rw relatime"],
  ["rstrictatime", "rw"],
  ["rstrictatime rnostrictatime", "rw relatime"],
  ["rnoatime rrelatime", "rw relatime"],
  ["rstrictatime rnorelatime", "rw relatime"],
  ["nosuid nodev noexec ro noatime nodiratime", "ro nosuid nodev noexec noatime nodiratime"],
];

/** [options, what the file system then has of sync, dirsync and lazytime] */
const OF_THE_FILE_SYSTEM: readonly (readonly [options: string, flags: string])[] = [
  ["", ""],
  ["sync", "sync"],
  ["sync async", ""],
  ["rsync", "sync"],
  ["dirsync", "dirsync"],
  ["rdirsync", "dirsync"],
  ["sync dirsync", "sync dirsync"],
  ["lazytime", "lazytime"],
  ["lazytime nolazytime", ""],
  ["iversion", ""],
  ["iversion noiversion sync", "sync"],
  ["silent dirsync", "dirsync"],
  ["silent loud", ""],
  ["iversion lazytime", "lazytime"],
];

const sorted = (words: string) => words.split(" ").filter(Boolean).sort();

describe("options of a new mount", () => {
  let mounts: MountInfo[] = [];
  const all = [...ON_A_NEW_MOUNT, ...OF_THE_FILE_SYSTEM];

  beforeAll(() => {
    mounts = mountsOf(
      mounting(...all.map(([options], i) => tmpfs(`${i}`, "size=64k", ...options.split(" ")))),
    );
  });

  test.each(ON_A_NEW_MOUNT.map(([options, attributes], i) => [options, attributes, i] as const))(
    '"%s" makes it %s',
    (_, attributes, i) => {
      const found = mountAt(mounts, `/mnt/${i}`).options;
      expect(found.filter((option) => ATTRIBUTES.includes(option)).sort()).toEqual(sorted(attributes));
    },
  );

  test.each(OF_THE_FILE_SYSTEM.map(([options, flags], i) => [options, flags, i] as const))(
    'the file system of "%s" has "%s"',
    (options, flags, i) => {
      const found = mountAt(mounts, `/mnt/${ON_A_NEW_MOUNT.length + i}`);
      expect(found.superblock.filter((option) => /^(dir)?sync$|^lazytime$/.test(option)).sort()).toEqual(
        sorted(flags),
      );
      expect(found.superblock, options).toContain("size=64k");
    },
  );

  test("those that mount(2) makes have the attributes too", () => {
    const options = ["iversion", "ro", "nosuid", "nodev", "noexec", "noatime", "shared"];
    const found = mountAt(mountsOf(mounting(tmpfs("x", ...options))), "/mnt/x");
    expect(found.options).toEqual(["ro", "nosuid", "nodev", "noexec", "noatime"]);
    expect(found.propagation).toEqual([expect.stringMatching(/^shared:/)]);
  });

  test("several options in one string, as engines join them", () => {
    const found = mountAt(mountsOf(mounting(tmpfs("x", "nosuid,nodev,size=128k", "noexec"))), "/mnt/x");
    expect(found.options).toEqual(["rw", "nosuid", "nodev", "noexec", "relatime"]);
    expect(found.superblock).toContain("size=128k");
  });
});

describe("options of a bind mount", () => {
  /** A directory of the host's with what options have an effect on. */
  function volume(): string {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "content\n");
    symlinkSync("file", join(path, "link"));
    copyFileSync("/bin/true", join(path, "program"));
    writeFileSync(join(path, "script"), "#!/bin/sh\necho executed\n", { mode: 0o755 });
    Bun.spawnSync(["mknod", "-m", "666", join(path, "null"), "c", "1", "3"]);
    return path;
  }

  const USE = `cd /mnt
    { echo new >file; } && echo written
    ./script
    { echo >null; } && echo device
    cat link`;

  test.each([
    ["", "written\nexecuted\ndevice\nnew\n"],
    ["rw exec dev symfollow", "written\nexecuted\ndevice\nnew\n"],
    ["ro", "file: Read-only file system\nexecuted\ndevice\ncontent\n"],
    ["rro", "file: Read-only file system\nexecuted\ndevice\ncontent\n"],
    ["noexec", "written\n./script: Permission denied\ndevice\nnew\n"],
    ["nodev", "written\nexecuted\nnull: Permission denied\nnew\n"],
    ["nosymfollow", "written\nexecuted\ndevice\nlink': Too many levels of symbolic links\n"],
  ])('"%s"', (options, expected) => {
    const path = volume();
    const output = outputOf(USE, mounting(bind(path, "/mnt", ...options.split(" "))));
    const plain = output
      .replace(/^.*(?=file: |null: |link': |\.\/script: )/gm, "")
      .replace(/can't create /g, "");
    expect(plain).toBe(expected);
    expect(readFileSync(join(path, "file"), "utf8")).toBe(
      expected.includes("written") ? "new\n" : "content\n",
    );
  });

  test.each([
    ["suid", "1234"],
    ["nosuid", "1000"],
  ])("a set-user-ID program of a %s mount runs as user %s", (option, uid) => {
    const path = hostDirectory();
    const file = join(path, "grep");
    // busybox drops the right itself, unless it is called by the name of an applet that may need it.
    copyFileSync("bundles/hello/rootfs/bin/busybox", file);
    chownSync(file, 1234, 0);
    chmodSync(file, 0o4755);
    const output = outputOf(
      "/mnt/grep ^Uid: /proc/self/status",
      mounting(bind(path, "/mnt", option)),
      (config) => {
        config.process.user = { uid: 1000, gid: 1000 };
        config.process.noNewPrivileges = false;
      },
    );
    expect(output.split(/\s+/)[3]).toBe(uid);
  });

  /** The access times are later than all others, so that relatime leaves them. */
  const HOUR = 3600;

  test.each([
    ["strictatime", true, true],
    ["strictatime nodiratime", true, false],
    ["relatime", false, false],
    ["noatime", false, false],
    ["rstrictatime", true, true],
    ["", false, false],
  ])(
    '"%s": reading changes the access time of a file: %s, of a directory: %s',
    (options, ofFile, ofDirectory) => {
      const path = hostDirectory();
      const paths = [join(path, "file"), join(path, "directory")] as const;
      writeFileSync(paths[0], "content");
      mkdirSync(paths[1]);
      const now = Date.now() / 1000;
      for (const each of paths) utimesSync(each, now + HOUR, now);
      outputOf("cat /mnt/file; ls /mnt/directory", mounting(bind(path, "/mnt", ...options.split(" "))));
      const changed = paths.map((each) => statSync(each).atimeMs / 1000 < now + HOUR - 1);
      expect(changed).toEqual([ofFile, ofDirectory]);
    },
  );

  test("flags of the source that no option names stay, and an option clears them by name", () => {
    withHostMount("nosuid,nodev,noexec,noatime", (path) => {
      const mounts = mountsOf(
        mounting(bind(path, "/mnt/kept"), bind(path, "/mnt/changed", "exec", "dev", "strictatime", "ro")),
      );
      expect(mountAt(mounts, "/mnt/kept").options).toEqual(["rw", "nosuid", "nodev", "noexec", "noatime"]);
      expect(mountAt(mounts, "/mnt/changed").options).toEqual(["ro", "nosuid"]);
    });
  });

  test.each([
    ["rro", ["ro", "relatime"]],
    ["rnosuid", ["rw", "nosuid", "relatime"]],
    ["rnodev", ["rw", "nodev", "relatime"]],
    ["rnoexec", ["rw", "noexec", "relatime"]],
    ["rnosymfollow", ["rw", "relatime", "nosymfollow"]],
    ["rnodiratime", ["rw", "nodiratime", "relatime"]],
    ["rnoatime", ["rw", "noatime"]],
    ["rstrictatime", ["rw"]],
  ])("rbind with %s reaches the submounts", (option, expected) => {
    withHostMount("relatime", (path) => {
      const mounts = mountsOf(mounting(bind(path, "/mnt", "rbind", option)));
      expect(mountAt(mounts, "/mnt").options).toEqual(expected);
      expect(mountAt(mounts, "/mnt/sub").options).toEqual(expected);
    });
  });

  test.each(["rrw", "rsuid", "rdev", "rexec", "rsymfollow", "rdiratime", "ratime"])(
    "rbind with %s clears it on the submounts",
    (option) => {
      const all = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"];
      withHostMount("mode=755", (path) => {
        for (const each of [path, join(path, "sub")]) mount("-o", `remount,bind,${all.join(",")}`, each);
        const mounts = mountsOf(mounting(bind(path, "/mnt", "rbind", option)));
        const gone = { rrw: "ro", ratime: "noatime" }[option] ?? option.replace("r", "no");
        for (const point of ["/mnt", "/mnt/sub"]) {
          const left = mountAt(mounts, point).options.filter((each) => all.includes(each));
          expect(left).toEqual(all.filter((each) => each !== gone));
        }
      });
    },
  );

  test("ro without r leaves the submounts as they are", () => {
    withHostMount("mode=755", (path) => {
      const mounts = mountsOf(mounting(bind(path, "/mnt", "rbind", "ro")));
      expect(mountAt(mounts, "/mnt").options).toContain("ro");
      expect(mountAt(mounts, "/mnt/sub").options).toContain("rw");
    });
  });

  test("the host's own mount is not changed", () => {
    withHostMount("mode=755", (path) => {
      mountsOf(mounting(bind(path, "/mnt", "rbind", "rro", "rnosuid", "rprivate")));
      expect(mountAt(hostMounts(), path).options).toEqual(["rw", "relatime"]);
      expect(mountAt(hostMounts(), join(path, "sub")).options).toEqual(["rw", "relatime"]);
    });
  });
});

describe("bind mounts", () => {
  test("of a directory, a file, and a device", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "from the host\n");
    const output = outputOf(
      "cat /mnt/directory/file /mnt/file; stat -c %F /mnt/device; echo changed >/mnt/file",
      mounting(
        bind(path, "/mnt/directory"),
        bind(join(path, "file"), "/mnt/file"),
        bind("/dev/zero", "/mnt/device"),
      ),
    );
    expect(output).toBe("from the host\nfrom the host\ncharacter special file\n");
    expect(readFileSync(join(path, "file"), "utf8")).toBe("changed\n");
  });

  test("bind shows no submounts, rbind does", () => {
    withHostMount("mode=755", (path) => {
      writeFileSync(join(path, "sub/inside"), "");
      const output = outputOf(
        "ls /mnt/bind/sub; echo -; ls /mnt/rbind/sub",
        mounting(bind(path, "/mnt/bind"), { ...bind(path, "/mnt/rbind"), options: ["rbind"] }),
      );
      expect(output).toBe("-\ninside\n");
    });
  });

  test("a relative source begins at the bundle, a relative destination at the root", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/cat", "/mnt/relative/file"];
      config.mounts.push(bind("volume", "mnt/relative"));
    });
    mkdirSync(join(bundle.path, "volume"));
    writeFileSync(join(bundle.path, "volume/file"), "in the bundle\n");
    const { status, stdout } = berth(["run", "--bundle", bundle.path, newId()]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "in the bundle\n" });
  });

  test.each(["tmpfs", "none", "no such type", "bind", undefined])("type %s does not matter", (type) => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "");
    const mounted: Mount = { ...bind(path, "/mnt"), ...(type === undefined ? {} : { type }) };
    expect(outputOf("ls /mnt", mounting(mounted))).toBe("file\n");
  });

  test("type bind is enough without the option", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "");
    expect(outputOf("ls /mnt", mounting({ destination: "/mnt", type: "bind", source: path }))).toBe("file\n");
  });

  test("a source that is a symlink is followed; with src-nofollow it is not", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "content\n");
    symlinkSync("file", join(path, "link"));
    expect(outputOf("cat /mnt/file", mounting(bind(join(path, "link"), "/mnt/file")))).toBe("content\n");
    const bundle = bundleOf(
      script("readlink /mnt/link"),
      mounting(bind(join(path, "link"), "/mnt/link", "src-nofollow", "dest-nofollow")),
    );
    symlinkSync("nowhere", join(bundle.rootfs, "mnt/link"));
    expect(outputOfBundle(bundle)).toBe("file\n");
  });

  test("copy-symlink makes the source's symlink anew, over that of an earlier run", () => {
    const path = hostDirectory();
    symlinkSync("where/ever", join(path, "link"));
    const bundle = bundleOf(
      script("readlink /mnt/new/link; readlink /mnt/old"),
      mounting(
        bind(join(path, "link"), "/mnt/new/link", "copy-symlink"),
        bind(join(path, "link"), "/mnt/old", "copy-symlink"),
      ),
    );
    symlinkSync("before", join(bundle.rootfs, "mnt/old"));
    expect(outputOfBundle(bundle)).toBe("where/ever\nwhere/ever\n");
  });
});

describe("tmpfs", () => {
  /** Runs with a directory /mnt/x of mode 01751 in the image. */
  const modeOf = (...options: string[]) => {
    const bundle = bundleOf(
      script("stat -c %a /mnt/x /mnt/missing"),
      mounting(tmpfs("x", ...options), tmpfs("missing", ...options)),
    );
    mkdirSync(join(bundle.rootfs, "mnt/x"));
    chmodSync(join(bundle.rootfs, "mnt/x"), 0o1751);
    return outputOfBundle(bundle);
  };

  test("without a mode it has that of the directory which it covers", () => {
    expect(modeOf()).toBe("1751\n1777\n");
  });

  test("with a mode it has that one", () => {
    expect(modeOf("mode=700")).toBe("700\n700\n");
  });

  test("size is a limit", () => {
    const output = outputOf(
      "dd if=/dev/zero of=/mnt/x/file bs=1k count=100; stat -c %s /mnt/x/file",
      mounting(tmpfs("x", "size=64k")),
    );
    expect(output).toContain("No space left on device");
    expect(output).toMatch(/^65536$/m);
  });

  /** A directory with one file of every kind. */
  function fill(path: string): void {
    mkdirSync(join(path, "a/b"), { recursive: true });
    chmodSync(join(path, "a/b"), 0o2750);
    writeFileSync(join(path, "a/b/file"), "content\n");
    chownSync(join(path, "a/b/file"), 7, 8);
    chmodSync(join(path, "a/b/file"), 0o4755);
    writeFileSync(join(path, "big"), Buffer.alloc(200_000, "x"));
    symlinkSync("/etc/passwd", join(path, "link"));
    Bun.spawnSync(["mkfifo", "-m", "640", join(path, "fifo")]);
  }

  const LIST = `cd /mnt
    stat -c '%n %F %a %u:%g' a/b a/b/file link fifo
    cat a/b/file; readlink link; stat -c %s big; stat -f -c %T .
    echo >new`;
  const LISTED = `a/b directory 2750 0:0
a/b/file regular file 4755 7:8
link symbolic link 777 0:0
fifo fifo 640 0:0
content
/etc/passwd
200000
tmpfs
`;

  test("tmpcopyup fills it with what it covers, which stays as it was", () => {
    const bundle = bundleOf(
      script(LIST),
      mounting({ destination: "/mnt", type: "tmpfs", options: ["tmpcopyup"] }),
    );
    fill(join(bundle.rootfs, "mnt"));
    expect(outputOfBundle(bundle)).toBe(LISTED);
    expect(readdirSync(join(bundle.rootfs, "mnt")).sort()).toEqual(["a", "big", "fifo", "link"]);
  });

  test("tmpcopyup in a user namespace", () => {
    const bundle = bundleOf(
      script(LIST),
      withUserNamespace,
      mounting({ destination: "/mnt", type: "tmpfs", options: ["tmpcopyup"] }),
    );
    fill(join(bundle.rootfs, "mnt"));
    chown(bundle.rootfs, 100000);
    chownSync(join(bundle.rootfs, "mnt/a/b/file"), 100007, 100008);
    chmodSync(join(bundle.rootfs, "mnt/a/b/file"), 0o4755);
    expect(outputOfBundle(bundle)).toBe(LISTED);
  });

  test("ro with tmpcopyup: filled, and then read-only", () => {
    const bundle = bundleOf(
      script("ls /mnt; touch /mnt/new 2>&1"),
      mounting({ destination: "/mnt", type: "tmpfs", options: ["ro", "tmpcopyup"] }),
    );
    writeFileSync(join(bundle.rootfs, "mnt/file"), "");
    const { stdout } = berth(["run", "--bundle", bundle.path, newId()]);
    expect(stdout).toBe("file\ntouch: /mnt/new: Read-only file system\n");
  });
});

describe("destinations", () => {
  test("that are missing are made, whatever the umask of the caller: directories 0755, files 0644", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "");
    const bundle = bundleOf(
      mounting(bind(join(path, "file"), "/srv/a/b/file"), tmpfs("../srv/c/d"), bind(path, "/srv/e")),
    );
    const { exitCode } = Bun.spawnSync(
      [
        "sh",
        "-c",
        'umask 077; exec "$@"',
        "sh",
        "dist/berth",
        "--root",
        `${directory}/state`,
        "run",
        "--bundle",
        bundle.path,
        newId(),
      ],
      { stdio: ["ignore", "ignore", "ignore"] },
    );
    const kind = (name: string) => (statSync(join(bundle.rootfs, name)).mode & 0o7777).toString(8);
    expect(exitCode).toBe(0);
    expect(["srv", "srv/a", "srv/a/b", "srv/a/b/file", "srv/c/d", "srv/e"].map(kind)).toEqual([
      "755",
      "755",
      "755",
      "644",
      "755",
      "755",
    ]);
    expect(statSync(join(bundle.rootfs, "srv/a/b/file")).size).toBe(0);
  });

  test("behind symlinks, relative and absolute, lie in the rootfs", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "content\n");
    const bundle = bundleOf(
      script("cat /home/file /tmp/up/file"),
      mounting(bind(path, "/mnt/absolute"), bind(path, "/mnt/relative")),
    );
    mkdirSync(join(bundle.rootfs, "tmp/up"));
    symlinkSync("/home", join(bundle.rootfs, "mnt/absolute"));
    symlinkSync("../../../../../../../../tmp/up", join(bundle.rootfs, "mnt/relative"));
    expect(outputOfBundle(bundle)).toBe("content\ncontent\n");
  });

  test("behind dangling symlinks are made in the rootfs, not on the host", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "content\n");
    const name = `/berth-${newId()}`;
    const bundle = bundleOf(
      script(`cat ${name}/a/b/file ${name}-2`),
      mounting(bind(path, "/mnt/link/b"), bind(join(path, "file"), "/mnt/chain")),
    );
    symlinkSync(`..${name}/a`, join(bundle.rootfs, "mnt/link"));
    symlinkSync("next", join(bundle.rootfs, "mnt/chain"));
    symlinkSync(`../../..${name}-2`, join(bundle.rootfs, "mnt/next"));
    expect(outputOfBundle(bundle)).toBe("content\ncontent\n");
    expect(existsSync(join(bundle.rootfs, name, "a/b"))).toBe(true);
    expect(existsSync(name) || existsSync(`${name}-2`)).toBe(false);
  });

  test("of one mount may lie in an earlier one, or cover it", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "");
    const output = outputOf(
      "ls /mnt/first /mnt/second; grep -c ' /mnt/second ' /proc/self/mountinfo",
      mounting(tmpfs("first"), bind(path, "/mnt/first/inside"), tmpfs("second"), bind(path, "/mnt/second")),
    );
    expect(output).toBe("/mnt/first:\ninside\n\n/mnt/second:\nfile\n2\n");
  });

  test("a later mount on a parent hides what was mounted below", () => {
    expect(outputOf("ls -a /mnt", mounting(tmpfs("inside"), { destination: "/mnt", type: "tmpfs" }))).toBe(
      ".\n..\n",
    );
  });

  test("dest-nofollow mounts on the symlink's place, not behind it", () => {
    const path = hostDirectory();
    writeFileSync(join(path, "file"), "content\n");
    const bundle = bundleOf(
      script("cat /mnt/link; cat /etc/target"),
      mounting(bind(join(path, "file"), "/mnt/link", "dest-nofollow")),
    );
    writeFileSync(join(bundle.rootfs, "etc/target"), "untouched\n");
    symlinkSync("/etc/target", join(bundle.rootfs, "mnt/link"));
    const { stdout } = berth(["run", "--bundle", bundle.path, newId()]);
    expect(stdout).toBe("content\nuntouched\n");
  });
});

describe("propagation of a mount", () => {
  const kinds = (found: MountInfo) => found.propagation.map((field) => field.replace(/:\d+$/, ""));

  test.each([
    ["", ["master"], ["master"]],
    ["private", [], ["master"]],
    ["rprivate", [], []],
    ["slave", ["master"], ["master"]],
    ["rslave", ["master"], ["master"]],
    ["shared", ["shared", "master"], ["master"]],
    ["rshared", ["shared", "master"], ["shared", "master"]],
    ["unbindable", ["unbindable"], ["master"]],
    ["runbindable", ["unbindable"], ["unbindable"]],
    ["rslave rshared", ["shared", "master"], ["shared", "master"]],
    ["shared private", [], ["master"]],
  ])('"%s" on an rbind of a shared mount', (options, ofMount, ofSubmount) => {
    withSharedMount((path) => {
      const mounts = mountsOf(mounting(bind(path, "/mnt", "rbind", ...options.split(" "))));
      expect(kinds(mountAt(mounts, "/mnt"))).toEqual(ofMount);
      expect(kinds(mountAt(mounts, "/mnt/sub"))).toEqual(ofSubmount);
    });
  });

  test.each([
    ["", []],
    ["private", []],
    ["slave", []],
    ["shared", ["shared"]],
    ["unbindable", ["unbindable"]],
  ])('"%s" on a new tmpfs', (option, expected) => {
    expect(kinds(mountAt(mountsOf(mounting(tmpfs("x", option))), "/mnt/x"))).toEqual(expected);
  });

  test.each([
    ["", true],
    ["rslave", true],
    ["rshared", true],
    ["rprivate", false],
  ])('"%s": what the host mounts later is seen: %s', (options, seen) => {
    withSharedMount((path) => {
      const container = startContainer(
        script("while [ ! -e /mnt/go ]; do sleep 0.02; done; ls /mnt/late"),
        mounting(bind(path, "/mnt", "rbind", ...options.split(" "))),
      );
      mkdirSync(join(path, "late"));
      mount("-t", "tmpfs", "tmpfs", join(path, "late"));
      writeFileSync(join(path, "late/file"), "");
      writeFileSync(join(path, "go"), "");
      while (JSON.parse(succeed(["state", container.id])).status !== "stopped") Bun.sleepSync(10);
      succeed(["delete", container.id]);
      expect(container.output()).toBe(seen ? "file\n" : "");
    });
  });
});

describe("linux.rootfsPropagation", () => {
  const ALL: readonly RootfsPropagation[] = [
    "private",
    "rprivate",
    "slave",
    "rslave",
    "shared",
    "rshared",
    "unbindable",
    "runbindable",
  ];
  const propagation =
    (value: RootfsPropagation | undefined): Patch =>
    (config) => {
      if (value !== undefined) config.linux.rootfsPropagation = value;
    };

  /** Changes a config.json so that the container may mount. */
  const mayMount: Patch = (config) => {
    const all = ["CAP_SYS_ADMIN"];
    config.process.capabilities = { bounding: all, effective: all, permitted: all };
  };

  /** Runs with the rootfs on a mount that the host shares. */
  function onSharedMount(
    value: RootfsPropagation | undefined,
    use: (bundle: Bundle, path: string) => void,
  ): void {
    withSharedMount((path) => {
      const bundle = bundleOf(script("cat /proc/self/mountinfo"), propagation(value), (config) => {
        config.root = { path: join(path, "rootfs"), readonly: false };
      });
      Bun.spawnSync(["cp", "-a", bundle.rootfs, join(path, "rootfs")]);
      use(bundle, path);
    });
  }

  const kinds = ({ propagation: fields }: MountInfo) => fields.map((field) => field.replace(/:\d+$/, ""));

  test.each([
    [undefined, [], []],
    ["private", [], []],
    ["rprivate", [], []],
    ["slave", ["master"], []],
    ["rslave", ["master"], []],
    ["shared", ["shared"], []],
    ["rshared", ["shared"], ["shared"]],
    ["unbindable", ["unbindable"], []],
    ["runbindable", ["unbindable"], ["unbindable"]],
  ] as const)("%s: / is %j, and what is mounted in it %j", (value, ofRoot, ofDev) => {
    onSharedMount(value, (bundle) => {
      const mounts = parseMountinfo(outputOfBundle(bundle));
      expect(kinds(mountAt(mounts, "/"))).toEqual(ofRoot);
      expect(kinds(mountAt(mounts, "/dev"))).toEqual(ofDev);
    });
  });

  test.each([undefined, ...ALL])(
    "%s: no mount of the container's, or made in it, is on the host",
    (value) => {
      onSharedMount(value, ({ path, config }, shared) => {
        config.process.args = [
          "/bin/sh",
          "-c",
          "mount -t tmpfs tmpfs /mnt && echo mounted; grep -c . /proc/self/mountinfo",
        ];
        mayMount(config);
        writeFileSync(join(path, "config.json"), JSON.stringify(config));
        const before = hostMounts().map(({ point }) => point);
        const bundle = { path, rootfs: "", config };
        expect(outputOfBundle(bundle)).toMatch(/^mounted\n/);
        expect(hostMounts().map(({ point }) => point)).toEqual(before);
        expect(shared).toContain(basename(directory));
      });
    },
  );

  /** Runs a container that mounts inside a volume; tells whether the mount is on the host while the container runs. */
  function reachesHost(value: RootfsPropagation | undefined, ...options: string[]): boolean {
    let reached = false;
    withSharedMount((path) => {
      mkdirSync(join(path, "new"));
      const container = startContainer(
        script("mount -t tmpfs tmpfs /mnt/new && touch /mnt/done; sleep 1000"),
        mounting(bind(path, "/mnt", ...options)),
        propagation(value),
        mayMount,
      );
      while (!existsSync(join(path, "done"))) Bun.sleepSync(10);
      reached = hostMounts().some(({ point }) => point === join(path, "new"));
      succeed(["delete", "--force", container.id]);
    });
    return reached;
  }

  test.each([undefined, "rprivate", "rslave", "runbindable"] as const)(
    "%s: a shared volume does not take the container's mounts to the host",
    (value) => {
      expect(reachesHost(value, "rshared")).toBe(false);
    },
  );

  test.each(["shared", "rshared"] as const)(
    "%s: a shared volume takes the container's mounts to the host",
    (value) => {
      expect(reachesHost(value, "rshared")).toBe(true);
    },
  );

  test.each(ALL)("%s: a private volume does not take the container's mounts to the host", (value) => {
    expect(reachesHost(value, "rprivate")).toBe(false);
  });

  test("rprivate and --no-pivot exclude each other", () => {
    const bundle = bundleOf(propagation("rprivate"));
    expect(refuse(["run", "--no-pivot", "--bundle", bundle.path, newId()])).toBe(
      'berth: linux.rootfsPropagation "rprivate" is not possible with --no-pivot\n' +
        "hint: leave out --no-pivot, or let the propagation be rslave\n",
    );
  });
});

describe("cgroup", () => {
  const cgroup =
    (option: string, cgroupNamespace: boolean): Patch =>
    (config) => {
      for (const each of config.mounts) {
        if (each.type === "cgroup") each.options = ["nosuid", "noexec", "nodev", option];
      }
      if (!cgroupNamespace)
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
    };
  const USE = "cd /sys/fs/cgroup; mkdir x && echo made && rmdir x; cat cgroup.procs | grep -c '^1$'";

  test("rw: the container makes cgroups below its own, which is the root of what it sees", () => {
    expect(outputOf(USE, cgroup("rw", true))).toBe("made\n1\n");
  });

  test("ro: it does not", () => {
    expect(outputOf(USE, cgroup("ro", true))).toBe(
      "mkdir: can't create directory 'x': Read-only file system\n1\n",
    );
  });

  test("without a cgroup namespace it sees the host's, with its own cgroup where that is", () => {
    const output = outputOf(
      'cd /sys/fs/cgroup; own=$(sed -n s/^0:://p /proc/self/cgroup); grep -c "^1$" ".$own/cgroup.procs"; mkdir x',
      cgroup("ro", false),
    );
    expect(output).toBe("1\nmkdir: can't create directory 'x': Read-only file system\n");
  });
});

describe("the root", () => {
  test.each([
    [true, "touch: /new: Read-only file system\n"],
    [false, "made\n"],
  ])("readonly %s", (readonly, expected) => {
    const output = outputOf("touch /new && echo made; touch /dev/x /dev/shm/x", (config) => {
      config.root.readonly = readonly;
    });
    expect(output).toBe(expected);
  });

  test("the host's mounts are gone", () => {
    const mounts = mountsOf();
    expect(mounts[0]?.point).toBe("/");
    const known = ["/", "/proc", "/dev", "/sys"];
    expect(
      mounts.filter(({ point }) => !known.some((each) => point === each || point.startsWith(`${each}/`))),
    ).toEqual([]);
    expect(mounts.filter(({ point }) => point.includes(basename(directory)))).toEqual([]);
  });

  test("--no-pivot: the same root, and nothing of the host's /proc and /sys below it", () => {
    const text = "ls -d /home /bundles; cat /proc/self/mountinfo; touch /new; ls /../..";
    const bundle = bundleOf(script(`exec 2>&1\n${text}\ntrue`));
    const output = outputOfBundle(bundle, "--no-pivot");
    expect(output).toContain("ls: /bundles: No such file or directory\n");
    expect(output).toContain("touch: /new: Read-only file system\n");
    expect(output.slice(output.indexOf("touch: "))).toMatch(/\bhome\n/);
    const mounts = parseMountinfo(output);
    expect(mounts.filter(({ type }) => type === "proc").every(({ point }) => point.startsWith("/proc"))).toBe(
      true,
    );
    expect(mounts.filter(({ type }) => type === "sysfs")).toHaveLength(1);
  });
});

describe("in a user namespace", () => {
  test("without a network namespace the host's sysfs is shown, read-only", () => {
    const output = outputInUserNamespace(
      "grep ' /sys' /proc/self/mountinfo; mkdir /sys/fs/cgroup/x",
      (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "network");
        config.mounts = config.mounts.filter(({ type }) => type !== "cgroup");
      },
    );
    const mounts = parseMountinfo(output);
    expect(mounts.length).toBeGreaterThan(1);
    expect(mountAt(mounts, "/sys").type).toBe("sysfs");
    for (const { options } of mounts) expect(options).toContain("ro");
    expect(output).toMatch(/Read-only file system\n$/);
  });

  test("with a network namespace of its own it gets its own sysfs", () => {
    const mounts = parseMountinfo(outputInUserNamespace("cat /proc/self/mountinfo"));
    expect(mounts.filter(({ type }) => type === "sysfs").map(({ point }) => point)).toContain("/sys");
    expect(mountAt(mounts, "/sys").options).toEqual(["ro", "nosuid", "nodev", "noexec", "relatime"]);
  });

  test("missing targets are made as the container's root", () => {
    const bundle = bundleOf(withUserNamespace, mounting(tmpfs("a/b")));
    chown(bundle.rootfs, 100000);
    outputOfBundle(bundle);
    expect(statSync(join(bundle.rootfs, "mnt/a/b"))).toMatchObject({ uid: 100000, gid: 100000 });
  });

  test("a target that the container's root may not make is refused", () => {
    const bundle = bundleOf(withUserNamespace, mounting(tmpfs("a")));
    expect(refuse(["run", "--bundle", bundle.path, newId()])).toMatch(
      /^berth: mounts\[7\]: make "\/mnt\/a" in the root file system: permission denied\n/,
    );
    expect(existsSync(join(bundle.rootfs, "mnt/a"))).toBe(false);
  });

  test("what the host has set on a source stays, and cannot be cleared", () => {
    withHostMount("nosuid,noexec,noatime", (path) => {
      const output = outputInUserNamespace(
        "cat /proc/self/mountinfo",
        mounting(bind(path, "/mnt", "rbind", "nodev", "ro")),
      );
      expect(mountAt(parseMountinfo(output), "/mnt").options).toEqual([
        "ro",
        "nosuid",
        "nodev",
        "noexec",
        "noatime",
      ]);
      for (const option of ["suid", "exec", "strictatime"]) {
        const bundle = bundleOf(withUserNamespace, mounting(bind(path, "/mnt", "rbind", option)));
        chown(bundle.rootfs, 100000);
        expect(refuse(["run", "--bundle", bundle.path, newId()])).toBe(
          "berth: mounts[7] /mnt: set the mount's options: operation not permitted\n" +
            "hint: in a user namespace, what the host has set on the source (ro, nosuid, nodev, noexec, its atime option) cannot be cleared\n",
        );
      }
    });
  });
});

describe("what cannot be mounted is refused with a reason", () => {
  test("a bad option of a file system", () => {
    const bad: Patch = (config) => {
      const shm = config.mounts.find(({ destination }) => destination === "/dev/shm");
      if (shm !== undefined) shm.options = ["nosuid", "size=64x"];
    };
    expect(refusal(bad)).toBe(
      'berth: mounts[3] /dev/shm: tmpfs option "size=64x": invalid argument\n' +
        "hint: size takes a number with an optional k, m, g or % suffix; the kernel says: tmpfs: Bad value for 'size'\n",
    );
  });

  const file = join(directory, "a file");

  test.each<[string, Mount, string]>([
    [
      "an option that the file system does not know",
      tmpfs("x", "nosuch"),
      'mounts[7] /mnt/x: tmpfs option "nosuch": invalid argument\nhint: tmpfs does not know "nosuch", or not with this value; the kernel says: tmpfs: Unknown parameter \'nosuch\'',
    ],
    [
      "a mode that is no number",
      tmpfs("x", "mode=rwx"),
      "mounts[7] /mnt/x: tmpfs option \"mode=rwx\": invalid argument\nhint: mode takes permission bits in octal, such as 1777; the kernel says: tmpfs: Bad value for 'mode'",
    ],
    [
      "a file system that the kernel has not",
      { ...tmpfs("x"), type: "nosuchfs" },
      'mounts[7] /mnt/x: file system "nosuchfs": no such device\nhint: the kernel has no file system "nosuchfs"; a bind mount needs the option bind or rbind',
    ],
    [
      "a bind mount without a source",
      { destination: "/mnt/x", options: ["bind"] },
      "mounts[7] /mnt/x: a bind mount needs a source\nhint: name the path on the host",
    ],
    [
      "a source that is missing",
      bind("/nowhere", "/mnt/x"),
      `mounts[7] /mnt/x: bind source "/nowhere": no such file or directory\nhint: a bind mount's source must exist on the host; berth does not create it`,
    ],
    [
      "a file over a directory",
      bind(file, "/etc"),
      "mounts[7] /etc: attach the mount: invalid argument\nhint: a directory can only cover a directory, and a file only a file",
    ],
    [
      "a directory over a file",
      bind("/tmp", "/bin/busybox"),
      "mounts[7] /bin/busybox: attach the mount: invalid argument\nhint: a directory can only cover a directory, and a file only a file",
    ],
    [
      "a directory below a file",
      tmpfs("../bin/busybox/x"),
      "mounts[7] /mnt/../bin/busybox/x: open it in the root file system: not a directory",
    ],
    [
      "tmpcopyup without a tmpfs",
      bind("/tmp", "/mnt/x", "tmpcopyup"),
      "mounts[7] /mnt/x: tmpcopyup is not possible with bind\nhint: only a tmpfs can be filled with what it covers",
    ],
  ])("%s", (_, mounted, expected) => {
    writeFileSync(file, "");
    expect(refusal(mounting(mounted))).toBe(`berth: ${expected}\n`);
  });

  test.each<[string, Mount, string]>([
    [
      "no type",
      { destination: "/mnt/x", source: "/tmp" },
      "mounts[7].type: found nothing; allowed: a filesystem type",
    ],
    [
      "data on a bind mount",
      bind("/tmp", "/mnt/x", "size=64k"),
      'mounts[7].options[1]: found "size=64k"; allowed: flags only',
    ],
    ["the root", bind("/tmp", "/mnt/.."), 'mounts[7].destination: found "/mnt/.."; allowed: a path below /'],
    [
      "an id-mapped mount without mappings",
      bind("/tmp", "/mnt/x", "idmap"),
      'mounts[7].options[1]: found "idmap"; allowed: only with uidMappings and gidMappings',
    ],
  ])("%s, by its place in config.json", (_, mounted, expected) => {
    expect(refusal(mounting(mounted))).toContain(expected);
  });
});
