/*
 * What a hostile image, config.json or container could do to the host through the runtime: a test for each published way.
 * Each fails against a berth without the protection.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Mount } from "../../src/spec/config.ts";
import {
  type Bundle,
  berth,
  type Config,
  directory,
  makeBundle,
  newId,
  program,
  stateRoot,
  waitUntil,
} from "../bundle.ts";
import { field, runThrough } from "../caller.ts";
import { listenForConsole } from "../console.ts";
import {
  createContainer,
  forever,
  refuse,
  script,
  spawnBerth,
  startContainer,
  stateOf,
  succeed,
} from "../container.ts";
import { bunCommand } from "../engine.ts";
import { hostMounts, mountAt, parseMountinfo } from "../mountinfo.ts";

type Patch = (config: Config) => void;

function bundleOf(...patches: Patch[]): Bundle {
  return makeBundle((config) => {
    for (const patch of patches) patch(config);
  });
}

const run = ({ path }: Bundle): string => succeed(["run", "--bundle", path, newId()]);
const refusal = ({ path }: Bundle): string => refuse(["run", "--bundle", path, newId()]);

let serial = 0;

/** A directory of the host's that nobody but its owner has any business in. */
function victim(): string {
  serial += 1;
  const path = join(directory, `victim-${serial}`);
  mkdirSync(path);
  return path;
}

const bind = (source: string, destination: string, ...options: string[]): Mount => ({
  destination,
  source,
  options: ["bind", ...options],
});

const mounting =
  (...mounts: Mount[]): Patch =>
  (config) => {
    config.mounts.push(...mounts);
  };

/** Changes a config.json so that nothing is mounted on these, or in them. */
const without =
  (...destinations: string[]): Patch =>
  (config) => {
    config.mounts = config.mounts.filter(
      ({ destination }) => !destinations.some((each) => `${destination}/`.startsWith(`${each}/`)),
    );
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  };

const writable: Patch = (config) => {
  config.root.readonly = false;
};

const MAPS = [{ containerID: 0, hostID: 100000, size: 65536 }];

const userNamespace: Patch = (config) => {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = MAPS;
  config.linux.gidMappings = MAPS;
};

/** Makes a link of the image's that leads to a path of the host's, whether it is read as absolute or as relative. */
const escapes = (to: string): string[] => [
  to,
  `../../../../../../../../../..${to}`,
  `/..${to}`,
  `./../.././../../../../../../..${to}/.`,
];

describe("CVE-2019-5736: a container cannot change what the runtime executes in it", () => {
  test("the executor of a container that waits is a sealed copy in memory", () => {
    const { id, pid } = createContainer();
    const executable = `/proc/${pid}/exe`;
    expect(readlinkSync(executable)).toMatch(/^\/memfd:berth-init/);
    const read = openSync(executable, "r");
    try {
      // While it executes, the kernel itself refuses. The attack waits until it is done.
      expect(() => openSync(executable, "r+")).toThrow("ETXTBSY");
      succeed(["start", id]);
      waitUntil(() => stateOf(id).status === "stopped", "it has ended");
      const write = openSync(`/proc/self/fd/${read}`, "r+");
      try {
        // What was there before, so that even a success would do no harm.
        expect(() => writeSync(write, Buffer.of(0x7f), 0, 1, 0)).toThrow("EPERM");
        expect(() => ftruncateSync(write, statSync(executableOf(read)).size + 1)).toThrow("EPERM");
        expect(() => ftruncateSync(write, 1)).toThrow("EPERM");
      } finally {
        closeSync(write);
      }
    } finally {
      closeSync(read);
    }
    succeed(["delete", id]);
  });

  const executableOf = (fd: number) => `/proc/self/fd/${fd}`;

  test("an image whose program is /proc/self/exe executes no runtime", () => {
    const bundle = bundleOf((config) => {
      config.process.args = ["/proc/self/exe", "--version"];
    });
    const { status, stdout, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
    // The executor finds no Plan.
    expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: "", stderr: "" });
  });

  test("no process that the container can see executes a file of the host's", () => {
    const bundle = bundleOf(script("ls -l /proc/[0-9]*/exe; readlink /proc/[0-9]*/exe"), (config) => {
      config.process.capabilities = {
        bounding: ["CAP_SYS_PTRACE"],
        effective: ["CAP_SYS_PTRACE"],
        permitted: ["CAP_SYS_PTRACE"],
      };
    });
    const output = run(bundle);
    expect(output).toContain("/bin/busybox");
    expect(output).not.toMatch(/libexec|memfd|dist/);
  });
});

describe("CVE-2016-9962: the first process of a container is closed to containers that share its pid namespace", () => {
  /** What a process that may look into another one finds there. */
  const LOOK = `while [ ! -e /mnt/pid ]; do sleep 0.02; done
    pid=$(cat /mnt/pid)
    grep ^Name: /proc/$pid/status
    cat /proc/$pid/fd/0; ls /proc/$pid/root
    head -c 1 /proc/$pid/mem; cat /proc/$pid/environ
    echo end`;
  const CLOSED = new RegExp(
    [
      "^Name:.*berth-ini",
      ...["cat: .*/fd/0", "ls: .*/root", "head: .*/mem", "cat: .*/environ"].map(
        (each) => `${each}.*: Permission denied`,
      ),
      "end\n$",
    ].join("\n"),
  );

  /** A container that waits for a number in a volume, and looks at the process of that number in its pid namespace. */
  function startSpy(volume: string, ...patches: Patch[]) {
    return startContainer(
      script(`exec 2>&1\n${LOOK}; sleep 1000`),
      mounting(bind(volume, "/mnt")),
      ...patches,
    );
  }

  const joining =
    (pid: number, ...types: ("pid" | "user")[]): Patch =>
    (config) => {
      const kept = config.linux.namespaces.filter(({ type }) => !types.some((each) => each === type));
      config.linux.namespaces = [
        ...kept,
        ...types.map((type) => ({ type, path: `/proc/${pid}/ns/${type}` })),
      ];
    };

  const pidInside = (pid: number): string =>
    field(readFileSync(`/proc/${pid}/status`, "utf8"), "NSpid")
      ?.split(/\s+/)
      .at(-1) ?? "";

  test("while it waits for its start", () => {
    const volume = victim();
    const spy = startSpy(volume);
    const container = createContainer(forever, joining(spy.pid, "pid"));
    writeFileSync(join(volume, "pid"), pidInside(container.pid));
    waitUntil(() => spy.output().endsWith("end\n"), "the spy has looked");
    expect(spy.output()).toMatch(CLOSED);
    succeed(["delete", "--force", container.id]);
    succeed(["delete", "--force", spy.id]);
  });

  test("while it is set up and still sees the host, by the root of the same user namespace", async () => {
    const volume = victim();
    const all: Patch = (config) => {
      const every = ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"];
      config.process.capabilities = { bounding: every, effective: every, permitted: every };
    };
    const spy = startSpy(volume, all, userNamespace, (config) => {
      config.root.readonly = true;
    });
    const go = join(volume, "go");
    const bundle = bundleOf(joining(spy.pid, "pid", "user"), (config) => {
      // Before the root changes; the state on its stdin holds the pid.
      const hook = `sed 's/.*"pid": *\\([0-9]*\\).*/\\1/' >${volume}/host; while [ ! -e ${go} ]; do sleep 0.02; done`;
      config.hooks = { prestart: [{ path: "/bin/sh", args: ["sh", "-c", hook] }] };
    });
    Bun.spawnSync(["chown", "-R", "100000:100000", bundle.rootfs]);
    const creating = spawnBerth(["run", "--bundle", bundle.path, newId()]);
    waitUntil(
      () => existsSync(join(volume, "host")) && statSync(join(volume, "host")).size > 0,
      "the hook runs",
    );
    writeFileSync(join(volume, "pid"), pidInside(Number(readFileSync(join(volume, "host"), "utf8"))));
    waitUntil(() => spy.output().endsWith("end\n"), "the spy has looked");
    writeFileSync(go, "");
    expect(await creating.ended).toMatchObject({ status: 0, stderr: "" });
    expect(spy.output()).toMatch(CLOSED);
    succeed(["delete", "--force", spy.id]);
  });
});

describe("CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: /proc and /sys are what they seem", () => {
  test.each([
    ["proc", "home/fake"],
    ["proc", "/home/fake"],
    ["proc", "/nowhere"],
    ["sys", "home/fake"],
    ["sys", "/home/fake"],
  ])("a /%s of the image that is a symlink to %s is refused", (name, to) => {
    const bundle = bundleOf();
    mkdirSync(join(bundle.rootfs, "home/fake"));
    rmSync(join(bundle.rootfs, name), { recursive: true });
    symlinkSync(to, join(bundle.rootfs, name));
    expect(refusal(bundle)).toMatch(
      new RegExp(`^berth: mounts\\[\\d\\] /${name}: .*too many levels of symbolic links\n`),
    );
    expect(readdirSync(join(bundle.rootfs, "home/fake"))).toEqual([]);
  });

  test("a symlink in a volume that stands for /proc is refused as well", () => {
    const volume = victim();
    mkdirSync(join(volume, "proc"));
    const bundle = bundleOf((config) => {
      config.mounts.unshift(bind(volume, "/home"));
    });
    rmSync(join(bundle.rootfs, "proc"), { recursive: true });
    symlinkSync("home/proc", join(bundle.rootfs, "proc"));
    expect(refusal(bundle)).toContain("mounts[1] /proc: ");
  });

  test.each<[string, Mount, string]>([
    ["a tmpfs on /proc", { destination: "/proc", type: "tmpfs" }, "tmpfs cannot be mounted on /proc"],
    [
      "a file of /proc covered",
      bind("/tmp", "/proc/self/attr"),
      "nothing can be mounted there, inside /proc",
    ],
    [
      "the same, in other words",
      bind("/tmp", "/./proc//sys/../1"),
      "nothing can be mounted there, inside /proc",
    ],
    ["/proc/sys covered", bind("/tmp", "/proc/sys/kernel"), "nothing can be mounted there, inside /proc"],
    ["a directory bound to /proc", bind("/tmp", "/proc"), "the source is not a procfs"],
    ["a symlink of the image into /proc", bind("/tmp", "/srv/link"), "the destination leads into a procfs"],
    [
      "a tmpfs through that symlink",
      { destination: "/srv/link", type: "tmpfs" },
      "the destination leads into a procfs",
    ],
    ["a directory below it", bind("/tmp", "/srv/link/kernel"), "the destination leads into a procfs"],
  ])("refused: %s", (_, mount, expected) => {
    const bundle = bundleOf(mounting(mount));
    mkdirSync(join(bundle.rootfs, "srv"));
    symlinkSync("../proc/sys", join(bundle.rootfs, "srv/link"));
    expect(refusal(bundle)).toContain(expected);
  });

  test("files that lxcfs provides may be mounted", () => {
    const path = join(victim(), "meminfo");
    writeFileSync(path, "MemTotal: 1 kB\n");
    expect(run(bundleOf(script("cat /proc/meminfo"), mounting(bind(path, "/proc/meminfo"))))).toBe(
      "MemTotal: 1 kB\n",
    );
  });
});

/** Exchanges a directory and a symlink of the same name as fast as it can, until it is killed. */
function startSwapping(one: string, other: string): ReturnType<typeof Bun.spawn> {
  const code = `
    import { check } from ${JSON.stringify(join(import.meta.dirname, "../../src/linux/errno.ts"))};
    import { syscall } from ${JSON.stringify(join(import.meta.dirname, "../../src/linux/native.ts"))};
    import { scratch } from ${JSON.stringify(join(import.meta.dirname, "../../src/linux/memory.ts"))};
    const memory = scratch();
    const [one, other] = [memory.text(${JSON.stringify(one)}), memory.text(${JSON.stringify(other)})];
    const RENAME_EXCHANGE = 2;
    console.log("swapping");
    for (;;) check(syscall("renameat2", -100, one, -100, other, RENAME_EXCHANGE), "exchange");`;
  return Bun.spawn([...bunCommand, "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
}

/** A volume in which "way" is by turns a directory, and a symlink to a directory of the host's. */
async function whileSwapping(to: string, use: (volume: string) => void): Promise<void> {
  const volume = victim();
  mkdirSync(join(volume, "way/inside"), { recursive: true });
  symlinkSync(to, join(volume, "other"));
  const swapping = startSwapping(join(volume, "way"), join(volume, "other"));
  try {
    await (swapping.stdout as ReadableStream<Uint8Array>).getReader().read();
    use(volume);
  } finally {
    swapping.kill("SIGKILL");
    await swapping.exited;
  }
}

const TIMES = 30;
const EACH = 4;

describe("a mount's destination that changes while the container is created", () => {
  test.each([
    ["absolute", TIMES],
    ["relative", TIMES / 3],
  ])("CVE-2021-30465: it never leads to the host (%s, %d times)", async (kind, times) => {
    const host = victim();
    mkdirSync(join(host, "inside"));
    let attached = 0;
    await whileSwapping(kind === "absolute" ? host : `../../../../../../../../../..${host}`, (volume) => {
      const mounts = Array.from({ length: EACH }, () => ({
        destination: "/mnt/way/inside",
        type: "tmpfs",
        source: "caught",
      }));
      for (let i = 0; i < times; i++) {
        const bundle = bundleOf(
          script("cat /proc/self/mountinfo"),
          mounting(bind(volume, "/mnt"), ...mounts),
        );
        // Where the symlink leads when it is followed inside of the container.
        mkdirSync(join(bundle.rootfs, host, "inside"), { recursive: true });
        const { status, stdout } = berth(["run", "--bundle", bundle.path, newId()]);
        if (status !== 0) continue;
        const caught = parseMountinfo(stdout).filter(({ source }) => source === "caught");
        // One that the container does not see has been mounted outside of it.
        expect(caught).toHaveLength(EACH);
        attached += 1;
      }
    });
    expect(attached).toBeGreaterThan(0);
    expect(readdirSync(join(host, "inside"))).toEqual([]);
    expect(hostMounts().filter(({ source }) => source === "caught")).toEqual([]);
  });

  test("CVE-2024-45310: nothing is made on the host", async () => {
    const host = victim();
    mkdirSync(join(host, "inside"));
    let made = 0;
    await whileSwapping(host, (volume) => {
      for (let i = 0; i < TIMES; i++) {
        const mounts = [0, 1].map((k) => ({
          destination: `/mnt/way/inside/new-${i}-${k}/a/b`,
          type: "tmpfs",
        }));
        const bundle = bundleOf(mounting(bind(volume, "/mnt"), ...mounts));
        mkdirSync(join(bundle.rootfs, host, "inside"), { recursive: true });
        if (berth(["run", "--bundle", bundle.path, newId()]).status === 0) made += 1;
        expect(readdirSync(join(host, "inside"))).toEqual([]);
        expect(readdirSync(host)).toEqual(["inside"]);
      }
    });
    expect(made).toBeGreaterThan(0);
  });
});

describe("CVE-2024-45310: what is missing behind a symlink of the image is made in the image", () => {
  test.each<[string, (bundle: string) => Patch]>([
    ["a directory", () => mounting({ destination: "/srv/link/new", type: "tmpfs" })],
    ["a file", (file) => mounting(bind(file, "/srv/link/new"))],
    [
      "the working directory",
      () => (config) => {
        config.process.cwd = "/srv/link/new";
      },
    ],
    [
      "the directory of a device",
      () => (config) => {
        config.linux.devices = [{ type: "p", path: "/srv/link/new/fifo" }];
      },
    ],
    ["a symlink", (file) => mounting(bind(`${file}-link`, "/srv/link/new", "copy-symlink"))],
  ])("%s", (_, patch) => {
    const host = victim();
    for (const to of escapes(host)) {
      const file = join(victim(), "file");
      writeFileSync(file, "");
      symlinkSync("anywhere", `${file}-link`);
      const bundle = bundleOf(writable, patch(file));
      mkdirSync(join(bundle.rootfs, "srv"));
      symlinkSync(to, join(bundle.rootfs, "srv/link"));
      run(bundle);
      expect(readdirSync(host)).toEqual([]);
      expect(lstatSync(join(bundle.rootfs, host, "new"))).toBeDefined();
    }
  });
});

describe("CVE-2022-29162: no capability is inheritable", () => {
  test("with the config.json that berth spec writes", () => {
    const bundle = bundleOf();
    rmSync(join(bundle.path, "config.json"));
    succeed(["spec", "--bundle", bundle.path]);
    const path = join(bundle.path, "config.json");
    const config = JSON.parse(readFileSync(path, "utf8"));
    config.process.args = ["grep", "^Cap", "/proc/self/status"];
    config.process.terminal = false;
    config.linux.cgroupsPath = bundle.config.linux.cgroupsPath;
    writeFileSync(path, JSON.stringify(config));
    const output = run(bundle);
    expect(field(output, "CapInh")).toBe("0000000000000000");
    expect(field(output, "CapAmb")).toBe("0000000000000000");
    expect(field(output, "CapEff")).toBe("0000000020000420");
  });
});

describe("CVE-2023-25809: the host's cgroups cannot be written", () => {
  test.each([true, false])(
    "in a user namespace without a cgroup namespace (network namespace: %s)",
    (network) => {
      const gone = ["cgroup", ...(network ? [] : ["network"])];
      const bundle = bundleOf(
        script("mkdir /sys/fs/cgroup/x 2>&1; cat /proc/self/mountinfo"),
        userNamespace,
        (config) => {
          config.linux.namespaces = config.linux.namespaces.filter(({ type }) => !gone.includes(type));
          const mount = config.mounts.find(({ type }) => type === "cgroup");
          if (mount !== undefined) mount.options = ["rw"];
        },
      );
      Bun.spawnSync(["chown", "-R", "100000:100000", bundle.rootfs]);
      const output = run(bundle);
      expect(output).toMatch(/^mkdir: .*: Read-only file system\n/);
      const cgroups = parseMountinfo(output).filter(({ type }) => type.startsWith("cgroup"));
      expect(cgroups.length).toBeGreaterThan(0);
      for (const { options } of cgroups) expect(options).toContain("ro");
    },
  );

  test("a container without a cgroup of its own cannot write the caller's", () => {
    const bundle = bundleOf(script("mkdir /sys/fs/cgroup/x 2>&1; true"), userNamespace, (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
      config.mounts = config.mounts.filter(({ destination }) => destination !== "/sys");
      config.linux.maskedPaths = [];
    });
    mkdirSync(join(bundle.rootfs, "sys/fs/cgroup"), { recursive: true });
    Bun.spawnSync(["chown", "-R", "100000:100000", bundle.rootfs]);
    expect(run(bundle)).toMatch(/Read-only file system\n$/);
  });
});

describe("CVE-2024-21626: no descriptor of the host's leads out of the container", () => {
  const CLIMB = "cd -P . && cd ../../../../../../../../../.. && ls -a; echo end";

  test("no working directory below /proc/self/fd or the like lies outside", () => {
    const bundle = bundleOf(script(CLIMB));
    writeFileSync(join(bundle.rootfs, "marker-of-the-image"), "");
    let refused = 0;
    for (let fd = 0; fd < 12; fd++) {
      for (const cwd of [`/proc/self/fd/${fd}`, `/proc/1/fd/${fd}/../../..`]) {
        const config = { ...bundle.config, process: { ...bundle.config.process, cwd } };
        writeFileSync(join(bundle.path, "config.json"), JSON.stringify(config));
        const { status, stdout } = berth(["run", "--bundle", bundle.path, newId()]);
        // Either it does not start, or it is in the container.
        if (status === 0)
          expect({ cwd, stdout }).toMatchObject({ stdout: expect.stringContaining("marker-of-the-image") });
        else refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(12);
  });

  test("nor through directories that the caller left open", () => {
    const bundle = bundleOf(script(CLIMB), (config) => {
      config.process.cwd = "/proc/self/fd/9/etc";
    });
    const { status, stdout } = runThrough('exec 9</ 10</etc 11</proc; exec "$@"', bundle);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  });

  test("nor through one that the caller wanted it to have", () => {
    const bundle = bundleOf(script(CLIMB), (config) => {
      config.process.cwd = "/proc/self/fd/3";
    });
    const { status, stdout, stderr } = runThrough('exec 3</; exec "$@"', bundle, {
      options: ["--preserve-fds", "1"],
    });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/process\.cwd \/proc\/self\/fd\/3: openat2: invalid cross-device link/);
  });

  test("nor does its program inherit any", () => {
    const bundle = bundleOf(script("ls /proc/self/fd"));
    const { stdout } = runThrough('exec 7</ 9</etc 33</proc 200</sys; exec "$@"', bundle);
    // The fourth is that of ls itself.
    expect(stdout).toBe("0\n1\n2\n3\n");
  });

  test("one that waits holds its standard descriptors and the socket on which it waits", () => {
    const id = newId();
    const bundle = bundleOf();
    const command = [program, "--root", stateRoot, "create", "--bundle", bundle.path, id];
    const { exitCode } = Bun.spawnSync(
      ["bash", "-c", 'exec 7</ 9</etc 33</proc 200</sys; exec "$@"', "bash", ...command],
      {
        stdio: ["ignore", "ignore", "ignore"],
      },
    );
    expect(exitCode).toBe(0);
    const fds = `/proc/${stateOf(id).pid}/fd`;
    const others = readdirSync(fds)
      .filter((fd) => Number(fd) > 2)
      .map((fd) => readlinkSync(join(fds, fd)));
    expect(others.filter((name) => !name.startsWith("socket:"))).toEqual([]);
    succeed(["delete", "--force", id]);
  });

  test("a hook in the container inherits none", () => {
    const output = join(victim(), "fds");
    const bundle = bundleOf(writable, (config) => {
      config.hooks = {
        startContainer: [{ path: "/bin/sh", args: ["sh", "-c", "ls -l /proc/self/fd >/srv/start"] }],
        createContainer: [{ path: "/bin/sh", args: ["sh", "-c", `ls -l /proc/self/fd >${output}`] }],
      };
    });
    mkdirSync(join(bundle.rootfs, "srv"));
    const { status } = runThrough('exec 7</ 9</etc; exec "$@"', bundle);
    expect(status).toBe(0);
    for (const path of [output, join(bundle.rootfs, "srv/start")]) {
      const links =
        readFileSync(path, "utf8")
          .match(/ \d+ -> .*/g)
          ?.map((link) => link.trim()) ?? [];
      expect(links.length).toBeGreaterThan(2);
      expect(links.filter((link) => !/^[0123] -> /.test(link))).toEqual([]);
    }
  });
});

describe("CVE-2025-31133: masked paths are covered with the null device, whatever /dev/null of the container is", () => {
  const MASK: Patch = (config) => {
    config.linux.maskedPaths = ["/srv/secret", "/proc/uptime"];
  };
  const USE = script(
    "stat -c '%F %t:%T' /srv/secret /proc/uptime; cat /srv/secret /proc/uptime; echo x >/srv/secret; echo end",
  );

  /** Runs with a /dev that was bound into the container, in which /dev/null is none. */
  function runWithDev(make: (dev: string) => void, stdin?: string) {
    const dev = victim();
    make(dev);
    const bundle = bundleOf(
      USE,
      writable,
      without("/dev"),
      MASK,
      mounting({ destination: "/dev", source: dev, options: ["rbind"] }),
    );
    mkdirSync(join(bundle.rootfs, "srv"));
    writeFileSync(join(bundle.rootfs, "srv/secret"), "secret\n");
    writeFileSync(join(bundle.rootfs, "srv/bait"), "bait\n");
    const result = berth(["run", "--bundle", bundle.path, newId()], stdin === undefined ? {} : { stdin });
    expect(readFileSync(join(bundle.rootfs, "srv/secret"), "utf8")).toBe("secret\n");
    expect(readFileSync(join(bundle.rootfs, "srv/bait"), "utf8")).toBe("bait\n");
    return result;
  }

  const FALSE: [string, (dev: string) => void][] = [
    ["a symlink to a file", (dev) => symlinkSync("/srv/bait", join(dev, "null"))],
    ["a symlink into /proc", (dev) => symlinkSync("/proc/self/comm", join(dev, "null"))],
    ["a file", (dev) => writeFileSync(join(dev, "null"), "bait\n")],
    ["another device", (dev) => Bun.spawnSync(["mknod", join(dev, "null"), "c", "1", "5"])],
    ["missing", () => {}],
  ];

  test.each(FALSE)("%s", (_, make) => {
    const { status, stdout } = runWithDev(make, "x");
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: "character special file 1:3\ncharacter special file 1:3\nend\n",
    });
  });

  test.each(FALSE.slice(0, 4))("%s: nor is it opened in the place of the host's", (_, make) => {
    // stdin is the host's /dev/null here, which the container's takes the place of.
    expect(runWithDev(make)).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringContaining("is not the null device"),
    });
  });

  test.each([
    ["a symlink of the image", (path: string) => symlinkSync("/srv/bait", path)],
    ["a file of the image", (path: string) => writeFileSync(path, "")],
  ])("%s is refused as a device", (_, make) => {
    const bundle = bundleOf(without("/dev"), MASK);
    make(join(bundle.rootfs, "dev/null"));
    expect(refusal(bundle)).toContain("/dev/null: verify character device 1:3: file exists");
  });

  test("a file bound over /dev/null is refused as a device", () => {
    const file = join(victim(), "file");
    writeFileSync(file, "bait\n");
    expect(refusal(bundleOf(MASK, mounting(bind(file, "/dev/null"))))).toContain(
      "/dev/null: verify character device 1:3: file exists",
    );
    expect(readFileSync(file, "utf8")).toBe("bait\n");
  });
});

describe("CVE-2025-52565: the terminal is mounted where it belongs", () => {
  /** Runs a bundle on a terminal, and returns what it shows. */
  function runOnTerminal({ path }: Bundle): string {
    const id = newId();
    const socket = listenForConsole(join(directory, `s${serial++}`));
    try {
      const { status, stderr } = berth(["create", "--bundle", path, "--console-socket", socket.path, id]);
      if (status !== 0) return stderr;
      const terminal = socket.receive();
      try {
        succeed(["start", id]);
        const shown = terminal.shows("end\r\n");
        waitUntil(() => stateOf(id).status === "stopped", "it has ended");
        succeed(["delete", id]);
        return shown;
      } finally {
        terminal.close();
      }
    } finally {
      socket.close();
    }
  }

  const onTerminal: Patch = (config) => {
    config.process.terminal = true;
  };
  const devpts = { destination: "/dev/pts", type: "devpts", options: ["newinstance", "ptmxmode=0666"] };
  const USE = script(
    "stat -c '%n %F' /dev/console /srv/bait; echo to the console >/dev/console; tty; echo end",
  );

  test.each(escapes("/srv/bait").concat("pts/0", "/proc/sysrq-trigger"))(
    "a /dev/console of the image that is a symlink to %s",
    (to) => {
      const bundle = bundleOf(USE, onTerminal, writable, without("/dev"), mounting(devpts));
      mkdirSync(join(bundle.rootfs, "srv"));
      mkdirSync(join(bundle.rootfs, "dev/pts"));
      writeFileSync(join(bundle.rootfs, "srv/bait"), "bait\n");
      symlinkSync(to, join(bundle.rootfs, "dev/console"));
      expect(runOnTerminal(bundle).replaceAll("\r", "")).toBe(
        "/dev/console character special file\n/srv/bait regular file\nto the console\n/dev/pts/0\nend\n",
      );
      expect(readFileSync(join(bundle.rootfs, "srv/bait"), "utf8")).toBe("bait\n");
    },
  );

  test("a symlink to a file of the host's: that file is not touched", () => {
    const file = join(victim(), "bait");
    writeFileSync(file, "bait\n");
    const bundle = bundleOf(
      script("echo to the console >/dev/console; echo end"),
      onTerminal,
      without("/dev"),
      mounting(devpts),
    );
    mkdirSync(join(bundle.rootfs, "dev/pts"));
    symlinkSync(`../../../../../../../../..${file}`, join(bundle.rootfs, "dev/console"));
    expect(runOnTerminal(bundle)).toBe("to the console\r\nend\r\n");
    expect(readFileSync(file, "utf8")).toBe("bait\n");
    expect(hostMounts().some(({ point }) => point === file)).toBe(false);
  });

  test.each<[string, (pts: string) => void]>([
    ["a symlink to the host's", (pts) => symlinkSync("/proc/1/root/dev/pts", pts)],
    [
      "a directory with a file in the place of ptmx",
      (pts) => {
        mkdirSync(pts);
        writeFileSync(join(pts, "ptmx"), "");
      },
    ],
    [
      "a directory with a symlink in the place of ptmx",
      (pts) => {
        mkdirSync(pts);
        symlinkSync("/dev/tty", join(pts, "ptmx"));
      },
    ],
    [
      "a directory with another device in the place of ptmx",
      (pts) => {
        mkdirSync(pts);
        Bun.spawnSync(["mknod", "-m", "666", join(pts, "ptmx"), "c", "1", "3"]);
        Bun.spawnSync(["mknod", "-m", "666", join(pts, "0"), "c", "1", "3"]);
      },
    ],
    [
      "a directory with a symlink to another devpts",
      (pts) => {
        mkdirSync(pts);
        symlinkSync("/home/ptmx", join(pts, "ptmx"));
      },
    ],
  ])("/dev/pts that is %s is refused", (_, make) => {
    const bundle = bundleOf(
      script("echo end"),
      onTerminal,
      without("/dev"),
      mounting({ ...devpts, destination: "/home" }),
    );
    make(join(bundle.rootfs, "dev/pts"));
    expect(runOnTerminal(bundle)).toMatch(/^berth: process\.terminal \/dev\/console: /);
  });
});

describe("CVE-2025-52881: a write to /proc ends up where it was meant to", () => {
  const forwarding: Patch = (config) => {
    config.linux.sysctl = { "net.ipv4.ip_forward": "1", "kernel.msgmax": "12345" };
  };

  test("linux.sysctl is not written to what the image has in the place of /proc", () => {
    const bundle = bundleOf(
      script(
        "cat /home/proc/sys/net/ipv4/ip_forward /home/proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward",
      ),
      writable,
      without("/proc"),
      forwarding,
      mounting({ destination: "/home/proc", type: "proc" }),
    );
    const file = join(bundle.rootfs, "proc/sys/net/ipv4/ip_forward");
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, "of the image\n");
    mkdirSync(join(bundle.rootfs, "proc/sys/kernel"));
    symlinkSync("../net/ipv4/ip_forward", join(bundle.rootfs, "proc/sys/kernel/msgmax"));
    expect(run(bundle)).toBe("1\n12345\nof the image\n");
  });

  test("nor through a /proc that a volume brings", () => {
    const volume = victim();
    mkdirSync(join(volume, "sys/net/ipv4"), { recursive: true });
    symlinkSync("/proc/sysrq-trigger", join(volume, "sys/net/ipv4/ip_forward"));
    const bundle = bundleOf(without("/proc"), forwarding, mounting(bind(volume, "/proc")));
    expect(refusal(bundle)).toContain("the source is not a procfs");
  });

  test("nor through the container's own, that it could have covered by now", () => {
    // A procfs of another container's, in which the file is another one.
    const file = join(victim(), "bait");
    writeFileSync(file, "bait\n");
    const { stdout, stderr, exitCode } = throughHost(
      'mkdir "$0/proc" && mount -t proc proc "$0/proc" && mount --bind "$1" "$0/proc/sys/net/ipv4/ip_forward"',
      [victim(), file],
      bundleOf(script("cat /proc/sys/net/ipv4/ip_forward"), forwarding),
    );
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: "1\n", stderr: "", exitCode: 0 });
    expect(readFileSync(file, "utf8")).toBe("bait\n");
  });

  const COVERED = [
    ["a file", "/proc/sys/net/ipv4/ip_forward"],
    ["a directory", "/proc/sys/net"],
  ] as const;

  /** Covers a path of /proc where berth runs, and tells what became of the cover. */
  function runCovered(covered: string, ...patches: Patch[]) {
    const bait = victim();
    const file = join(bait, "ipv4/ip_forward");
    mkdirSync(join(bait, "ipv4"));
    writeFileSync(file, "bait\n");
    chmodSync(file, 0o666);
    const bundle = bundleOf(script("cat /proc/sys/net/ipv4/ip_forward"), forwarding, ...patches);
    Bun.spawnSync(["chown", "-R", "100000:100000", bundle.rootfs]);
    const source = covered.endsWith("forward") ? file : bait;
    const result = throughHost('mount --bind "$0" "$1"', [source, covered], bundle);
    expect(readFileSync(file, "utf8")).toBe("bait\n");
    return result;
  }

  test.each(COVERED)(
    "%s of /proc/sys that is covered where berth runs: the true one is written",
    (_, covered) => {
      expect(runCovered(covered)).toEqual({ exitCode: 0, stdout: "1\n", stderr: "" });
    },
  );

  // There the kernel may leave a cover in its place when the host's mounts go, and nothing else is to be written then.
  test.each(COVERED)("%s that is covered, in a user namespace: it is never the cover", (_, covered) => {
    const { stderr } = runCovered(covered, script("true"), userNamespace, without("/proc", "/sys"));
    expect(stderr).toMatch(
      /^$|^berth: linux\.sysctl\["net\.ipv4\.ip_forward"\]: open \/proc\/sys\/net\/ipv4\/ip_forward: invalid cross-device link\n/,
    );
  });

  test("a /proc that is none where berth runs is not trusted", () => {
    const fake = victim();
    mkdirSync(join(fake, "real"));
    for (const name of readdirSync("/proc").filter((each) => !/^\d/.test(each)))
      symlinkSync(`real/${name}`, join(fake, name));
    const line = 'mount -t proc proc "$0/real" && mount --rbind "$0" /proc';
    const { stderr, exitCode } = throughHost(line, [fake], bundleOf(forwarding));
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: "berth: /proc is not a procfs: not a directory\n",
    });
  });

  /** Runs a bundle after a line of shell has changed the mounts, for berth alone. */
  function throughHost(line: string, args: string[], { path }: Bundle) {
    const command = [program, "--root", stateRoot, "run", "--bundle", path, newId()];
    const shell = `${line} || exit 100; shift; exec "$@"`;
    const [first = "", ...rest] = args;
    const padded = rest.length === 0 ? [""] : rest;
    const { stdout, stderr, exitCode } = Bun.spawnSync(
      ["unshare", "--mount", "sh", "-c", shell, first, ...padded, ...command],
      { stdio: ["ignore", "pipe", "pipe"], cwd: directory },
    );
    return { stdout: stdout.toString(), stderr: stderr.toString(), exitCode };
  }
});

describe("CVE-2026-41579, CVE-2026-47766: a /dev of the image that is a symlink leads nowhere else", () => {
  test("devices and links are made in the image", () => {
    const host = victim();
    for (const to of escapes(host)) {
      const bundle = bundleOf(script("stat -c '%F' /dev/null; readlink /dev/fd"), writable, without("/dev"));
      rmSync(join(bundle.rootfs, "dev"), { recursive: true });
      symlinkSync(to, join(bundle.rootfs, "dev"));
      mkdirSync(join(bundle.rootfs, host), { recursive: true });
      expect(run(bundle)).toBe("character special file\n/proc/self/fd\n");
      expect(readdirSync(host)).toEqual([]);
      expect(readdirSync(join(bundle.rootfs, host))).toContain("null");
    }
  });

  test("also when it dangles", () => {
    const host = join(victim(), "missing");
    for (const to of escapes(host)) {
      const bundle = bundleOf(script("stat -c '%F' /dev/null"), writable, without("/dev"));
      rmSync(join(bundle.rootfs, "dev"), { recursive: true });
      symlinkSync(to, join(bundle.rootfs, "dev"));
      expect(run(bundle)).toBe("character special file\n");
      expect(existsSync(host)).toBe(false);
    }
  });

  test("mounts on it and in it lie in the container", () => {
    const host = victim();
    const bundle = bundleOf(script("cat /proc/self/mountinfo; ls /dev/"));
    rmSync(join(bundle.rootfs, "dev"), { recursive: true });
    symlinkSync(`..${host}`, join(bundle.rootfs, "dev"));
    const output = run(bundle);
    expect(mountAt(parseMountinfo(output), host).type).toBe("tmpfs");
    expect(output).toMatch(/^urandom$/m);
    expect(readdirSync(host)).toEqual([]);
  });

  test("nor does a directory that a device of linux.devices lies in", () => {
    const host = victim();
    const bundle = bundleOf((config) => {
      config.linux.devices = [{ type: "c", path: "/srv/link/x", major: 1, minor: 3 }];
    });
    mkdirSync(join(bundle.rootfs, "srv"));
    symlinkSync(host, join(bundle.rootfs, "srv/link"));
    run(bundle);
    expect(readdirSync(host)).toEqual([]);
  });
});

test("a container that has ended leaves nothing of the host changed: no mount, no device, no file", () => {
  const before = { mounts: hostMounts().length, dev: readdirSync("/dev").length, root: readdirSync("/") };
  run(bundleOf(script("ls /")));
  expect({ mounts: hostMounts().length, dev: readdirSync("/dev").length, root: readdirSync("/") }).toEqual(
    before,
  );
});
