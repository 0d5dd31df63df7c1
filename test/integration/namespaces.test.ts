import { chownSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Linux, NamespaceType } from "../../src/spec/linux.ts";
import { berth, type Config, directory, makeBundle, namespaceOf, newId, waitUntil } from "../bundle.ts";
import { runThrough } from "../caller.ts";

/** The name under /proc/PID/ns of each namespace of config.json. */
const KINDS: Readonly<Record<NamespaceType, string>> = {
  pid: "pid",
  network: "net",
  ipc: "ipc",
  uts: "uts",
  mount: "mnt",
  user: "user",
  cgroup: "cgroup",
  time: "time",
};
const TYPES = Object.keys(KINDS) as NamespaceType[];

const MAPS = [{ containerID: 0, hostID: 100000, size: 65536 }];

/** What a user namespace may mount depends on the namespaces that belong to it. */
function fitMounts(config: Config, has: (type: NamespaceType) => boolean): void {
  config.mounts = config.mounts.flatMap((mount) => {
    if (mount.type === "proc" && !has("pid"))
      return [{ destination: "/proc", type: "bind", source: "/proc", options: ["rbind"] }];
    const lacks = { sysfs: !has("network"), cgroup2: !has("network"), mqueue: !has("ipc") };
    return Object.entries(lacks).some(([type, absent]) => absent && type === mount.type) ? [] : [mount];
  });
  if (!has("pid")) {
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  }
}

/** A container's namespaces, from those of its type alone, or with a path. */
function withNamespaces(namespaces: Linux["namespaces"], patch: (config: Config) => void = () => {}) {
  return (config: Config) => {
    config.linux.namespaces = namespaces;
    const has = (type: NamespaceType) => namespaces.some((namespace) => namespace.type === type);
    if (!has("uts")) Reflect.deleteProperty(config, "hostname");
    if (namespaces.some(({ type, path }) => type === "user" && path === undefined)) {
      config.linux.uidMappings = MAPS;
      config.linux.gidMappings = MAPS;
    }
    if (has("user")) fitMounts(config, has);
    patch(config);
  };
}

const only = (...types: NamespaceType[]) => types.map((type) => ({ type }));

interface Container {
  readonly id: string;
  readonly pid: number;
  readonly rootfs: string;
}

const running: string[] = [];
/** What `unshare` was started as, and the process that it became or made. */
const others: { child: ReturnType<typeof Bun.spawn>; pid: number }[] = [];

afterEach(async () => {
  // The one that joined first: a container's init takes all processes of its pid namespace with it.
  for (const id of running.splice(0).reverse()) berth(["delete", "--force", id]);
  for (const { child, pid } of others.splice(0)) {
    if (pid !== child.pid) process.kill(pid, "SIGKILL");
    child.kill("SIGKILL");
    await child.exited;
  }
});

/** Starts a container that sleeps, and is deleted after the test. */
function startContainer(patch: (config: Config) => void): Container {
  const id = newId();
  const bundle = makeBundle((config) => {
    config.process.args = ["/bin/sleep", "1000"];
    patch(config);
  });
  running.push(id);
  const pidFile = join(bundle.path, "pid");
  const created = berth(["create", "--bundle", bundle.path, "--pid-file", pidFile, id]);
  expect(created).toMatchObject({ status: 0, stderr: "" });
  expect(berth(["start", id])).toMatchObject({ status: 0, stderr: "" });
  return { id, pid: Number(readFileSync(pidFile, "utf8")), rootfs: bundle.rootfs };
}

/** A process of the host in namespaces of its own: what `unshare` made, or the child of that with a pid namespace. */
function unshared(...options: string[]): number {
  const child = Bun.spawn(["unshare", ...options, "sleep", "1000"], {
    cwd: directory,
    stdio: ["ignore", "ignore", "ignore"],
  });
  const forks = options.includes("--fork");
  let pid = child.pid;
  waitUntil(() => {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
    pid = forks ? Number(children.split(" ")[0]) : child.pid;
    return pid > 0 && readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n";
  }, "unshare has started sleep");
  others.push({ child, pid });
  if (options.includes("--user")) {
    for (const map of ["uid_map", "gid_map"]) writeFileSync(`/proc/${pid}/${map}`, "0 100000 65536\n");
  }
  return pid;
}

const path = (pid: number | "self", type: NamespaceType) => `/proc/${pid}/ns/${KINDS[type]}`;
const joining = (pid: number, ...types: NamespaceType[]) =>
  types.map((type) => ({ type, path: path(pid, type) }));
const inodes = (pid: number | "self") =>
  Object.fromEntries(TYPES.map((type) => [type, namespaceOf(pid, KINDS[type])])) as Record<
    NamespaceType,
    string
  >;

/** Runs a script in a container; it must succeed. */
function output(script: string, patch: (config: Config) => void): string {
  const bundle = makeBundle((config) => {
    config.process.args = ["/bin/sh", "-c", script];
    patch(config);
  });
  const { status, stdout, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

/** What `run` of such a container fails with. */
function failure(patch: (config: Config) => void): string {
  const { status, stderr } = berth(["run", "--bundle", makeBundle(patch).path, newId()]);
  expect(status).toBe(1);
  return stderr;
}

/** What such a config.json is refused with. Not by `run`: should berth fail to refuse it, it would change the host. */
function rejection(patch: (config: Config) => void): string {
  const { status, stderr } = berth(["explain", makeBundle(patch).path]);
  expect(status).toBe(1);
  return stderr;
}

const LINKS = `for kind in ${Object.values(KINDS).join(" ")}; do readlink /proc/self/ns/$kind; done`;
const parsed = (text: string) => {
  const lines = text.trim().split("\n");
  return Object.fromEntries(TYPES.map((type, i) => [type, lines[i]]));
};

describe("a new namespace", () => {
  test.for(TYPES.filter((type) => type !== "mount"))(
    "%s: only this one and mount are not the host's",
    (type) => {
      const { pid } = startContainer(withNamespaces(only("mount", type)));
      const host = inodes("self");
      const inside = inodes(pid);
      for (const each of TYPES) {
        if (each === type || each === "mount") expect([each, inside[each]]).not.toEqual([each, host[each]]);
        else expect([each, inside[each]]).toEqual([each, host[each]]);
      }
    },
  );

  test("mount alone shares all others with the host", () => {
    const { mount, ...found } = parsed(output(LINKS, withNamespaces(only("mount"))));
    const { mount: hostMount, ...host } = inodes("self");
    expect(found).toEqual(host);
    expect(mount).not.toBe(hostMount);
  });

  test("of each kind at once", () => {
    const { pid } = startContainer(withNamespaces(only(...TYPES)));
    const host = inodes("self");
    const inside = inodes(pid);
    for (const type of TYPES) expect(inside[type]).not.toBe(host[type]);
  });

  test("pid: its first process is 1 and sees no others", () => {
    expect(output("echo $$; ls -d /proc/[0-9]* | wc -l", withNamespaces(only("mount", "pid")))).toBe(
      "1\n3\n",
    );
  });

  test("network: has a loopback device of its own and nothing else", () => {
    const devices = (types: NamespaceType[]) =>
      output("tail -n +3 /proc/net/dev | cut -d: -f1", withNamespaces(only("mount", ...types)))
        .trim()
        .split(/\s+/);
    expect(devices(["network"])).toContain("lo");
    const host = readFileSync("/proc/net/dev", "utf8")
      .trim()
      .split("\n")
      .slice(2)
      .map((line) => line.split(":")[0]?.trim());
    expect(devices([])).toEqual(host);
  });

  test("ipc: what is made in it is not on the host, and the other way round", () => {
    const made = Bun.spawnSync(["ipcmk", "-M", "100"]).stdout.toString();
    const id = /\d+/.exec(made)?.[0] ?? "";
    try {
      const segments = (types: NamespaceType[]) =>
        output("tail -n +2 /proc/sysvipc/shm | awk '{ print $2 }'", withNamespaces(only("mount", ...types)));
      expect(segments([]).split("\n")).toContain(id);
      expect(segments(["ipc"])).toBe("");
    } finally {
      Bun.spawnSync(["ipcrm", "-m", id]);
    }
  });

  test("uts: hostname and domainname are set in it and stay as they are on the host", () => {
    const host = ["hostname", "domainname"].map((name) => readFileSync(`/proc/sys/kernel/${name}`, "utf8"));
    const names = output(
      "hostname; cat /proc/sys/kernel/domainname",
      withNamespaces(only("mount", "uts"), (config) => {
        config.hostname = "Inner.host-1";
        config.domainname = "example.org";
      }),
    );
    expect(names).toBe("Inner.host-1\nexample.org\n");
    expect(
      ["hostname", "domainname"].map((name) => readFileSync(`/proc/sys/kernel/${name}`, "utf8")),
    ).toEqual(host);
  });

  test.for(["hostname", "domainname"] as const)("uts: %s without one is refused", (name) => {
    expect(
      rejection(
        withNamespaces(only("mount"), (config) => {
          config[name] = "x";
        }),
      ),
    ).toContain(`${name}: found "x"; allowed: only with a uts namespace`);
  });

  test("cgroup: its cgroup is the root, and the whole path without", () => {
    const own = (types: NamespaceType[]) =>
      /^0::(.*)$/m.exec(output("cat /proc/self/cgroup", withNamespaces(only("mount", ...types))))?.[1];
    expect(own(["cgroup"])).toBe("/");
    expect(own([])).toMatch(/^\/berth-test-\w+\/\d+$/);
  });
});

describe("a new user namespace", () => {
  const user = (patch: (config: Config) => void = () => {}) =>
    withNamespaces(only("mount", "user", "pid", "network", "ipc", "uts", "cgroup"), patch);

  test("has the maps, and ids outside are those mapped", () => {
    const { pid } = startContainer(
      user((config) => {
        config.process.user = { uid: 7, gid: 8, additionalGids: [9] };
        config.linux.gidMappings = [
          { containerID: 0, hostID: 200000, size: 8 },
          { containerID: 8, hostID: 300000, size: 100 },
        ];
      }),
    );
    const read = (file: string) =>
      readFileSync(`/proc/${pid}/${file}`, "utf8")
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s+/).join(" "));
    expect(read("uid_map")).toEqual(["0 100000 65536"]);
    expect(read("gid_map")).toEqual(["0 200000 8", "8 300000 100"]);
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    expect(status).toContain("Uid:\t100007\t100007\t100007\t100007\n");
    expect(status).toContain("Gid:\t300000\t300000\t300000\t300000\n");
    expect(status).toContain("Groups:\t300001 \n");
  });

  test("gives its root rights over its own namespaces, and none over the host's", () => {
    const names = ["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_DAC_OVERRIDE"];
    const found = output(
      [
        "id -u",
        "mount -t tmpfs none /mnt && echo mounted",
        "hostname changed && hostname",
        "ip link set lo up && echo up",
        "mknod /mnt/disk b 8 0 2> /dev/null || echo device",
        "cat /etc/shadow-of-host > /dev/null 2>&1 || echo foreign",
      ].join("; "),
      user((config) => {
        config.process.capabilities = { bounding: names, effective: names, permitted: names };
        config.mounts.push({ destination: "/etc", type: "bind", source: "/root", options: ["rbind", "ro"] });
      }),
    );
    expect(found).toBe("0\nmounted\nchanged\nup\ndevice\nforeign\n");
  });

  test("files that its root makes belong to the mapped id on the host", () => {
    const bundle = makeBundle(
      user((config) => {
        config.root.readonly = false;
        config.process.args = ["/bin/sh", "-c", "touch /home/made; stat -c %u:%g /home/made /bin/sh"];
      }),
    );
    chownSync(join(bundle.rootfs, "home"), 100000, 100000);
    const { stdout, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
    expect({ stdout, stderr }).toEqual({ stdout: "0:0\n65534:65534\n", stderr: "" });
    expect(statSync(join(bundle.rootfs, "home/made"))).toMatchObject({ uid: 100000, gid: 100000 });
  });

  test("has devices, from the host, which work", () => {
    expect(
      output("echo x > /dev/null && head -c 3 /dev/zero | wc -c && ls -l /dev/null | cut -c1", user()),
    ).toBe("3\nc\n");
  });

  test.for(["uidMappings", "gidMappings"] as const)("without %s is refused", (name) => {
    expect(
      failure(
        user((config) => {
          config.linux[name] = [];
        }),
      ),
    ).toContain(`linux.${name}`);
  });

  test("a user that no mapping covers is refused, with the reason", () => {
    const error = failure(
      user((config) => {
        config.process.user = { uid: 70000, gid: 0 };
      }),
    );
    expect(error).toContain("process.user");
    expect(error).toContain("mappings");
  });

  test("maps that overlap are refused before anything is made", () => {
    expect(
      failure(
        user((config) => {
          config.linux.uidMappings = [...MAPS, { containerID: 5, hostID: 900000, size: 1 }];
        }),
      ),
    ).toContain("linux.uidMappings[1].containerID");
  });
});

describe("a namespace that is joined", () => {
  const REST = only("mount");

  test.for(["network", "ipc", "uts", "time", "cgroup", "pid"] as const)("%s of another container", (type) => {
    const first = startContainer(withNamespaces(only("mount", type)));
    const second = startContainer(withNamespaces([...REST, ...joining(first.pid, type)]));
    const [a, b, host] = [inodes(first.pid), inodes(second.pid), inodes("self")];
    expect(b[type]).toBe(a[type]);
    expect(b[type]).not.toBe(host[type]);
    for (const other of TYPES.filter((each) => each !== type && each !== "mount"))
      expect(b[other]).toBe(host[other]);
  });

  test.for([
    ["network", "--net"],
    ["ipc", "--ipc"],
    ["uts", "--uts"],
    ["cgroup", "--cgroup"],
    ["time", "--time", "--fork"],
    ["pid", "--pid", "--fork"],
    ["user", "--user"],
    ["mount", "--mount"],
  ] as const)("%s of a process that unshare made", ([type, ...options]) => {
    const pid = unshared(...options);
    const rest = type === "mount" ? [] : REST;
    const { pid: inside } = startContainer(withNamespaces([...rest, ...joining(pid, type)]));
    expect(namespaceOf(inside, KINDS[type])).toBe(namespaceOf(pid, KINDS[type]));
    expect(namespaceOf(inside, KINDS[type])).not.toBe(namespaceOf("self", KINDS[type]));
  });

  test("pid: is not 1 there, and sees the others", () => {
    const first = startContainer(withNamespaces(only("mount", "pid")));
    const seen = output("echo $$; cat /proc/1/comm", withNamespaces([...REST, ...joining(first.pid, "pid")]));
    const [own, init] = seen.split("\n");
    expect(Number(own)).toBeGreaterThan(1);
    expect(init).toBe("sleep");
  });

  test("pid of the host by path is the host's", () => {
    const own = output(
      "echo $$; readlink /proc/self",
      withNamespaces([...REST, ...joining(process.pid, "pid")]),
    );
    expect(Number(own.split("\n")[0])).toBeGreaterThan(1);
  });

  test("uts: hostname of config.json is set in the joined one", () => {
    const first = startContainer(withNamespaces(only("mount", "uts")));
    const second = withNamespaces([...REST, ...joining(first.pid, "uts")], (config) => {
      config.hostname = "shared";
    });
    expect(output("hostname", second)).toBe("shared\n");
    expect(readlinkSync(path(first.pid, "uts"))).not.toBe(readlinkSync(path("self", "uts")));
  });

  test("pid and user of another container", () => {
    const first = startContainer(withNamespaces(only("mount", "user", "pid", "network")));
    const second = startContainer(
      withNamespaces([
        ...REST,
        ...joining(first.pid, "pid", "user"),
        ...only("network", "ipc", "uts", "cgroup"),
      ]),
    );
    const [a, b] = [inodes(first.pid), inodes(second.pid)];
    expect([b.pid, b.user]).toEqual([a.pid, a.user]);
    for (const type of ["network", "ipc", "uts", "cgroup", "mount"] as const)
      expect(b[type]).not.toBe(a[type]);
    expect(readFileSync(`/proc/${second.pid}/status`, "utf8")).toContain("Uid:\t100000\t");
  });

  test("user of another container, all others new: they belong to it", () => {
    const names = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"];
    const first = startContainer(withNamespaces(only("mount", "user", "network")));
    const found = output(
      "hostname changed && hostname; ip link set lo up && echo up; mount -t tmpfs none /mnt && echo mounted",
      withNamespaces(
        [...only("mount", "network", "ipc", "uts", "pid", "cgroup"), ...joining(first.pid, "user")],
        (config) => {
          config.process.capabilities = { bounding: names, effective: names, permitted: names };
        },
      ),
    );
    expect(found).toBe("changed\nup\nmounted\n");
  });

  test("network of the host's user namespace with a new user namespace: joined, without rights over it", () => {
    const names = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"];
    const pid = unshared("--net");
    const found = output(
      "readlink /proc/self/ns/net; ip link set lo up 2> /dev/null || echo refused; hostname changed && hostname",
      withNamespaces([...only("mount", "user", "uts", "pid"), ...joining(pid, "network")], (config) => {
        config.process.capabilities = { bounding: names, effective: names, permitted: names };
        config.mounts = config.mounts.filter(({ type }) => type !== "sysfs" && type !== "cgroup2");
      }),
    );
    expect(found).toBe(`${namespaceOf(pid, "net")}\nrefused\nchanged\n`);
  });

  test("every namespace of another container", () => {
    const first = startContainer(withNamespaces(only(...TYPES)));
    // In its mount namespace the bundle is not to be found: only what the first container has.
    const types = TYPES.filter((type) => type !== "mount");
    const second = startContainer(withNamespaces([...REST, ...joining(first.pid, ...types)]));
    const [a, b] = [inodes(first.pid), inodes(second.pid)];
    for (const type of types) expect([type, b[type]]).toEqual([type, a[type]]);
  });

  test.for([false, true])(
    "a pod: a sandbox, and containers that share its network, ipc and uts (pid too: %s)",
    (pid) => {
      const shared: NamespaceType[] = ["network", "ipc", "uts", ...(pid ? (["pid"] as const) : [])];
      const sandbox = startContainer(
        withNamespaces(only("mount", "pid", "network", "ipc", "uts", "cgroup"), (config) => {
          config.hostname = "pod";
          config.linux.sysctl = { "kernel.shm_rmid_forced": "1" };
        }),
      );
      const own = only("mount", "cgroup", ...(pid ? [] : (["pid"] as const)));
      const member = withNamespaces([...own, ...joining(sandbox.pid, ...shared)], (config) => {
        Reflect.deleteProperty(config, "hostname");
      });
      const [a, b] = [startContainer(member), startContainer(member)];
      for (const type of TYPES) {
        const [x, y, z] = [sandbox, a, b].map(({ pid }) => namespaceOf(pid, KINDS[type]));
        if (shared.includes(type) || type === "user" || type === "time")
          expect([type, y, z]).toEqual([type, x, x]);
        else expect(new Set([x, y, z]).size).toBe(3);
      }
      const found = output(
        "hostname; cat /proc/sys/kernel/shm_rmid_forced; ls -d /proc/[0-9]* | wc -l",
        member,
      );
      // Its shell, ls and wc, and with a shared pid namespace the three sleeps.
      expect(found).toBe(`pod\n1\n${pid ? 6 : 3}\n`);
    },
  );

  test.for([
    ["network", path("self", "ipc"), 'is of type "ipc"'],
    ["pid", path("self", "network"), 'is of type "network"'],
    ["uts", "/etc/passwd", "is not a namespace"],
    ["ipc", "/no/such/file", "no such file or directory"],
    ["cgroup", "/proc/4194305/ns/cgroup", "no such file or directory"],
  ] as const)("%s by %s is refused: %s", ([type, file, reason]) => {
    const error = failure(withNamespaces([...REST, { type, path: file }]));
    expect(error).toContain(`linux.namespaces[1] ${type} namespace "${file}": ${reason}`);
  });

  test("user by the path of one's own is refused", () => {
    const error = failure(withNamespaces([...REST, ...joining(process.pid, "user")]));
    expect(error).toContain(`linux.namespaces[1] user namespace "/proc/${process.pid}/ns/user"`);
    expect(error).toContain("invalid argument");
  });
});

describe("linux.sysctl", () => {
  const host = (name: string) => readFileSync(`/proc/sys/${name}`, "utf8");

  test("of net and ipc is set in the own namespaces, and not on the host", () => {
    const names = [
      "net/ipv4/ip_forward",
      "net/ipv4/ping_group_range",
      "kernel/shmmni",
      "fs/mqueue/msg_max",
      "kernel/sem",
    ];
    const before = names.map(host);
    const found = output(
      names.map((name) => `cat /proc/sys/${name}`).join("; "),
      withNamespaces(only("mount", "network", "ipc", "pid"), (config) => {
        config.linux.sysctl = {
          "net.ipv4.ip_forward": "1",
          "net/ipv4/ping_group_range": "5 6",
          "kernel.shmmni": "1234",
          "fs.mqueue.msg_max": "17",
          "kernel.sem": "100\t200\t30\t40",
        };
      }),
    );
    expect(found).toBe("1\n5\t6\n1234\n17\n100\t200\t30\t40\n");
    expect(names.map(host)).toEqual(before);
  });

  test("of a device with a dot in its name is written with slashes", () => {
    const found = output(
      "cat /proc/sys/net/ipv4/conf/lo/arp_ignore",
      withNamespaces(only("mount", "network"), (config) => {
        config.linux.sysctl = { "net/ipv4/conf/lo/arp_ignore": "2" };
      }),
    );
    expect(found).toBe("2\n");
  });

  test("is set by the root of a user namespace, where its own network is concerned", () => {
    const found = output(
      "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
      withNamespaces(only("mount", "user", "network", "pid"), (config) => {
        config.linux.sysctl = { "net.ipv4.ip_unprivileged_port_start": "81" };
      }),
    );
    expect(found).toBe("81\n");
  });

  test.for([
    ["net.ipv4.ip_forward", "only with a network namespace"],
    ["kernel.shmmax", "only with an ipc namespace"],
    ["fs.mqueue.msg_max", "only with an ipc namespace"],
    ["kernel.domainname", "only with a uts namespace"],
    ["kernel.core_pattern", "this one is the whole host's"],
    ["vm.swappiness", "this one is the whole host's"],
    ["net/../kernel/core_pattern", "only with names joined by dots, or by slashes"],
    ["kernel.hostname", 'only as the property "hostname"'],
  ] as const)("%s without what it needs is refused: %s", ([key, reason]) => {
    const error = rejection(
      withNamespaces(only("mount"), (config) => {
        config.linux.sysctl = { [key]: "1" };
      }),
    );
    expect(error).toContain(`linux.sysctl["${key}"]`);
    expect(error).toContain(reason);
  });

  describe("of berth's own namespace, named by its path,", () => {
    // Berth runs in namespaces of this test's own: should it fail to refuse, they change, and not the host.
    const throwaway = `exec unshare --net --ipc --uts bash -c '
      state() { cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/kernel/hostname /proc/sys/kernel/domainname; }
      before=$(state); "$@"; [ "$before" = "$(state)" ] && echo unchanged' bash "$@"`;

    test.for<
      [string, NamespaceType, Partial<Pick<Config, "hostname" | "domainname">> & Pick<Linux, "sysctl">]
    >([
      ['linux.sysctl["net.ipv4.ip_forward"]', "network", { sysctl: { "net.ipv4.ip_forward": "1" } }],
      ['linux.sysctl["kernel/shmmni"]', "ipc", { sysctl: { "kernel/shmmni": "1234" } }],
      ["hostname", "uts", { hostname: "changed" }],
      ["domainname", "uts", { domainname: "changed" }],
    ])("%s is refused", ([name, type, { sysctl, ...names }]) => {
      const bundle = makeBundle(
        withNamespaces([...only("mount"), { type, path: path("self", type) }], (config) => {
          Reflect.deleteProperty(config, "hostname");
          Object.assign(config, names);
          if (sysctl !== undefined) config.linux.sysctl = sysctl;
        }),
      );
      const { stdout, stderr } = runThrough(throwaway, bundle);
      expect(stderr).toContain(`berth: ${name}: linux.namespaces[1] ${type} namespace`);
      expect(stderr).toContain("is berth's own");
      expect(stdout).toBe("unchanged\n");
    });
  });

  test("that the kernel does not know, or a value it does not take, is named", () => {
    const with_ = (key: string, value: string) =>
      failure(
        withNamespaces(only("mount", "network"), (config) => {
          config.linux.sysctl = { [key]: value };
        }),
      );
    expect(with_("net.ipv4.no_such_thing", "1")).toContain(
      'linux.sysctl["net.ipv4.no_such_thing"]: open /proc/sys/net/ipv4/no_such_thing: no such file or directory',
    );
    expect(with_("net.ipv4.ip_forward", "many")).toContain(
      'write "many" to /proc/sys/net/ipv4/ip_forward: invalid argument',
    );
  });
});

describe("linux.timeOffsets", () => {
  const uptime = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const offsets = (timeOffsets: Linux["timeOffsets"]) =>
    withNamespaces(only("mount", "time", "pid"), (config) => {
      config.linux.timeOffsets = timeOffsets;
    });

  test("shift the clocks of a new time namespace", () => {
    const before = uptime();
    const inside = Number(
      output("cat /proc/uptime", offsets({ boottime: { secs: 1_000_000, nanosecs: 5e8 } })).split(" ")[0],
    );
    const after = uptime();
    expect(inside).toBeGreaterThanOrEqual(before + 1_000_000.4);
    expect(inside).toBeLessThanOrEqual(after + 1_000_000.6);
  });

  test("hold for processes of another container that joins it", () => {
    const first = startContainer(offsets({ boottime: { secs: 2_000_000 }, monotonic: { secs: 3_000_000 } }));
    expect(readFileSync(`/proc/${first.pid}/timens_offsets`, "utf8").replace(/ +/g, " ")).toBe(
      "monotonic 3000000 0\nboottime 2000000 0\n",
    );
    const inside = output(
      "cat /proc/uptime",
      withNamespaces([...only("mount"), ...joining(first.pid, "time")]),
    );
    expect(Number(inside.split(" ")[0])).toBeGreaterThan(2_000_000);
  });

  test("may be negative, down to the start of the clock", () => {
    const inside = Number(
      output("cat /proc/uptime", offsets({ boottime: { secs: -Math.floor(uptime()) } })).split(" ")[0],
    );
    expect(inside).toBeLessThan(uptime());
    const error = failure(offsets({ monotonic: { secs: -100_000_000 } }));
    expect(error).toContain("linux.timeOffsets.monotonic");
    expect(error).toContain("the clock must stay between zero");
  });

  test("need a new time namespace", () => {
    const set = (config: Config) => {
      config.linux.timeOffsets = { boottime: { secs: 1 } };
    };
    expect(failure(withNamespaces(only("mount"), set))).toContain("only with a new time namespace");
    expect(failure(withNamespaces([...only("mount"), ...joining(process.pid, "time")], set))).toContain(
      "only with a new time namespace",
    );
  });

  test("are set by the root of a new user namespace as well", () => {
    const inside = output(
      "cat /proc/uptime",
      withNamespaces(only("mount", "user", "time", "network", "pid"), (config) => {
        config.linux.timeOffsets = { boottime: { secs: 4_000_000 } };
      }),
    );
    expect(Number(inside.split(" ")[0])).toBeGreaterThan(4_000_000);
  });

  test("are set when init is closed to its user namespace, and may not write them itself", () => {
    const set = (config: Config) => {
      config.linux.timeOffsets = { boottime: { secs: 5_000_000 } };
    };
    const owner = startContainer(withNamespaces(only("mount", "user", "network", "pid")));
    for (const namespaces of [
      [...only("mount", "network", "pid", "time"), ...joining(owner.pid, "user")],
      only("mount", "network", "user", "time"),
    ]) {
      const inside = output("cat /proc/uptime", withNamespaces(namespaces, set));
      expect(Number(inside.split(" ")[0])).toBeGreaterThan(5_000_000);
    }
  });
});
