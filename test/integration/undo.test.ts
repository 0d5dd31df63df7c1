import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type Bundle,
  berth,
  type Config,
  directory,
  leftovers,
  makeBundle,
  newId,
  program,
  stateRoot,
  waitUntil,
} from "../bundle.ts";
import {
  createContainer,
  forever,
  refuse,
  script,
  spawnBerth,
  stateOf,
  statusOf,
  succeed,
} from "../container.ts";

interface Case {
  readonly what: string;
  readonly patch?: (config: Config) => void;
  /** Changes the bundle when it is there, and answers with what changes it back. */
  readonly spoil?: (bundle: Bundle) => undefined | (() => void);
  readonly options?: (bundle: Bundle) => string[];
  /** All of these are in the error. */
  readonly says: readonly string[];
}

const mountOf = (mount: Config["mounts"][number]) => (config: Config) => {
  config.mounts.push(mount);
};

const namespacePath = (type: string, path: string) => (config: Config) => {
  for (const namespace of config.linux.namespaces) {
    if (namespace.type === type) Object.assign(namespace, { path });
  }
};

const run = (...command: string[]) => {
  const { exitCode, stderr } = Bun.spawnSync(command);
  expect({ command, exitCode, stderr: stderr.toString() }).toEqual({ command, exitCode: 0, stderr: "" });
};

const CASES: readonly Case[] = [
  {
    what: "a mount option that the file system refuses",
    patch: mountOf({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["size=64x"] }),
    says: ["mounts[7]", "/mnt", "size", "invalid argument"],
  },
  {
    what: "an unknown file system",
    patch: mountOf({ destination: "/mnt", type: "nofs", source: "none" }),
    says: ["mounts[7]", "nofs", "no such device"],
  },
  {
    what: "a bind mount whose source is missing",
    patch: mountOf({ destination: "/mnt", type: "bind", source: "/no/such/source", options: ["bind"] }),
    says: ["mounts[7]", "/no/such/source", "no such file or directory"],
  },
  {
    what: "a bind mount of a directory over a file",
    patch: mountOf({ destination: "/bin/busybox", type: "bind", source: "/tmp", options: ["bind"] }),
    says: ["mounts[7]", "/bin/busybox", "invalid argument", "hint: a directory can only cover a directory"],
  },
  {
    what: "a mount below a file",
    patch: mountOf({ destination: "/bin/busybox/below", type: "tmpfs", source: "tmpfs" }),
    says: ["mounts[7]", "/bin/busybox", "not a directory"],
  },
  {
    what: "a mount point that must be made in a read-only rootfs",
    patch: mountOf({ destination: "/not/there", type: "tmpfs", source: "tmpfs" }),
    spoil: ({ rootfs }) => {
      run("mount", "--bind", rootfs, rootfs);
      run("mount", "-o", "remount,bind,ro", rootfs);
      return () => run("umount", rootfs);
    },
    says: ["mounts[7]", "/not", "read-only file system"],
  },
  {
    what: "a namespace path of another type",
    patch: namespacePath("network", "/proc/self/ns/uts"),
    says: ["linux.namespaces[1]", "network", "/proc/self/ns/uts"],
  },
  {
    what: "a namespace path that is missing",
    patch: namespacePath("ipc", "/no/such/namespace"),
    says: ["linux.namespaces[2]", "/no/such/namespace", "no such file or directory"],
  },
  {
    what: "a namespace path that is an ordinary file",
    patch: namespacePath("uts", "/etc/passwd"),
    says: ["linux.namespaces[3]", "/etc/passwd"],
  },
  {
    what: "a sysctl's value that the kernel refuses",
    patch: ({ linux }) => Object.assign(linux, { sysctl: { "net.ipv4.ip_forward": "many" } }),
    says: ["linux.sysctl", "net.ipv4.ip_forward", "many", "invalid argument"],
  },
  {
    what: "a sysctl that is not there",
    patch: ({ linux }) => Object.assign(linux, { sysctl: { "net.ipv4.nothing": "1" } }),
    says: ["linux.sysctl", "net.ipv4.nothing", "no such file or directory"],
  },
  {
    what: "a limit above what the kernel allows to anybody",
    patch: ({ process }) =>
      Object.assign(process, { rlimits: [{ type: "RLIMIT_NOFILE", soft: 2 ** 40, hard: 2 ** 40 }] }),
    says: ["process.rlimits[0]", "RLIMIT_NOFILE", "operation not permitted"],
  },
  {
    what: "a working directory that is a file",
    patch: ({ process }) => Object.assign(process, { cwd: "/bin/busybox" }),
    says: ["process.cwd", "/bin/busybox", "not a directory"],
  },
  {
    what: "a rootfs that is missing",
    patch: ({ root }) => Object.assign(root, { path: "none" }),
    says: ['root.path "none"', "no such file or directory", "hint: "],
  },
  {
    what: "a rootfs that is a file",
    patch: ({ root }) => Object.assign(root, { path: "/etc/passwd" }),
    says: ['root.path "/etc/passwd"', "not a directory"],
  },
  {
    what: "a cgroup that another container uses",
    spoil: ({ config }) => {
      const { id } = createContainer(forever, ({ linux }) => {
        linux.cgroupsPath = config.linux.cgroupsPath;
      });
      return () => {
        expect(statusOf(id)).toBe("created");
        succeed(["delete", id]);
      };
    },
    says: ["linux.cgroupsPath", "container's cgroup is not empty: 1 process(es) found", "hint: "],
  },
  {
    what: "a program that is missing",
    patch: ({ process }) => Object.assign(process, { args: ["/no/such/program"] }),
    says: ["process.args[0]", "/no/such/program", "no such file or directory"],
  },
  {
    what: "a hook that is missing",
    patch: (config) => Object.assign(config, { hooks: { createRuntime: [{ path: "/no/such/hook" }] } }),
    says: ["hooks.createRuntime[0]", "/no/such/hook", "no such file or directory", "hint: "],
  },
  {
    what: "a pid file in a directory that is missing",
    options: () => ["--pid-file", join(directory, "none", "pid")],
    says: [join(directory, "none"), "no such file or directory"],
  },
  {
    what: "a pidfd socket that is missing",
    options: () => ["--pidfd-socket", join(directory, "no-socket")],
    says: ["--pidfd-socket", "no-socket", "no such file or directory", "hint: "],
  },
  {
    what: "more descriptors to preserve than there are",
    options: () => ["--preserve-fds", "5"],
    says: ["--preserve-fds 5", "is not open", "hint: "],
  },
];

describe("a creation that fails leaves nothing", () => {
  for (const { what, patch = () => {}, spoil, options, says } of CASES) {
    test(what, () => {
      const bundle = makeBundle(patch);
      const repair = spoil?.(bundle);
      try {
        for (const verb of ["create", "run"]) {
          const error = refuse([verb, "--bundle", bundle.path, ...(options?.(bundle) ?? []), newId()]);
          for (const part of says) expect(error).toContain(part);
        }
      } finally {
        repair?.();
      }
      expect(leftovers()).toEqual([]);
    });
  }

  test("a console socket that is missing, or does not listen", () => {
    const bundle = makeBundle((config) => Object.assign(config.process, { terminal: true }));
    const missing = join(directory, "no-console");
    const file = join(directory, "not-a-socket");
    writeFileSync(file, "");
    for (const [path, reason] of [
      [missing, "no such file or directory"],
      [file, "connection refused"],
    ] as const) {
      const error = refuse(["create", "--bundle", bundle.path, "--console-socket", path, newId()]);
      for (const part of ["--console-socket", path, reason, "hint: "]) expect(error).toContain(part);
      expect(leftovers()).toEqual([]);
    }
  });

  test("a terminal without a console socket", () => {
    const bundle = makeBundle((config) => Object.assign(config.process, { terminal: true }));
    expect(refuse(["create", "--bundle", bundle.path, newId()])).toContain(
      "cannot allocate tty if berth will detach without setting console socket",
    );
    const socket = ["--console-socket", join(directory, "any")];
    expect(refuse(["create", "--bundle", makeBundle().path, ...socket, newId()])).toContain(
      "cannot use console socket",
    );
  });

  test("what berth itself may not do: it says so", () => {
    const confined = (bundle: Bundle, ...lacking: string[]) => {
      const drop = lacking.map((capability) => `-${capability}`).join(",");
      const command = [program, "--root", stateRoot, "run", "--bundle", bundle.path, newId()];
      const { exitCode, stderr } = Bun.spawnSync(["setpriv", "--bounding-set", drop, ...command]);
      expect(exitCode).toBe(1);
      expect(stderr.toString()).toMatch(/^berth: (?!internal).+\n(hint: .+\n)?$/);
      expect(leftovers()).toEqual([]);
      return stderr.toString();
    };
    const all = ["CAP_KILL", "CAP_WAKE_ALARM"];
    const capable = makeBundle(({ process }) => {
      process.capabilities = { bounding: all, effective: all, permitted: all };
    });
    const error = confined(capable, "wake_alarm");
    expect(error).toContain("process.capabilities");
    expect(error).toContain("operation not permitted");
    expect(error).toContain("CAP_WAKE_ALARM");

    const greedy = makeBundle(({ process }) => Object.assign(process, { oomScoreAdj: -1000 }));
    expect(confined(greedy, "sys_resource")).toMatch(/process\.oomScoreAdj.*permission denied/);

    const plain = makeBundle();
    expect(confined(plain, "sys_admin")).toContain("operation not permitted");
  });

  test("an id in use: the container that has it goes on", () => {
    const { id, bundle } = createContainer(script("sleep 1000 & exec sleep 1000"));
    const other = makeBundle();
    const { pid } = stateOf(id);
    refuse(["create", "--bundle", other.path, id]);
    refuse(["run", "--bundle", other.path, id]);
    expect(stateOf(id)).toMatchObject({ status: "created", pid, bundle: bundle.path });
    succeed(["start", id]);
    refuse(["run", "--bundle", other.path, id]);
    expect(stateOf(id)).toMatchObject({ status: "running", pid });
    succeed(["delete", "--force", id]);
  });

  test("what was there before stays: its cgroup, the directories above, the pid file", () => {
    const { id, bundle } = createContainer(forever);
    const pidFile = join(directory, "kept.pid");
    writeFileSync(pidFile, "old");
    const failing = makeBundle((config) => {
      config.linux.cgroupsPath = `${bundle.config.linux.cgroupsPath}/below`;
      config.hooks = { createContainer: [{ path: "/bin/false" }] };
    });
    refuse(["create", "--bundle", failing.path, "--pid-file", pidFile, newId()]);
    expect(readFileSync(pidFile, "utf8")).toBe("old");
    expect(statusOf(id)).toBe("created");
    succeed(["delete", id]);
  });
});

describe("berth killed at any moment: delete --force cleans up", () => {
  const TRIES = 60;
  const STEP = 0.5;

  /** How long a verb takes to come to this status, in milliseconds: the machine may be busy. */
  async function timeTo(status: string, bundle: Bundle, verb: readonly string[]): Promise<number> {
    const id = newId();
    const begin = performance.now();
    const running = spawnBerth([...verb, "--bundle", bundle.path, id]);
    waitUntil(() => berth(["state", id]).stdout.includes(`"status": "${status}"`), `it is ${status}`);
    const time = performance.now() - begin;
    succeed(["delete", "--force", id]);
    await running.ended;
    return time;
  }

  /** Kills berth after each of many times, from the begin to when it has come to `late`, and checks each time. */
  async function killAtManyMoments(bundle: Bundle, late: string, ...verb: string[]): Promise<Set<string>> {
    const step = (1.2 * (await timeTo(late, bundle, verb))) / TRIES;
    const seen = new Set<string>();
    for (let i = 0; i < TRIES || (i < 3 * TRIES && !seen.has(late)); i++) {
      const id = newId();
      const running = spawnBerth([...verb, "--bundle", bundle.path, id]);
      Bun.sleepSync(i * step);
      running.kill("SIGKILL");
      await running.ended;
      const { status, stdout } = berth(["state", id]);
      seen.add(status === 0 ? (JSON.parse(stdout) as { status: string }).status : "none");
      succeed(["delete", "--force", id]);
      expect({ i, left: leftovers() }).toEqual({ i, left: [] });
    }
    return seen;
  }

  test("create", async () => {
    const bundle = makeBundle(forever);
    const seen = await killAtManyMoments(bundle, "created", "create");
    expect([...seen]).toEqual(expect.arrayContaining(["none", "created"]));
  });

  test("run", async () => {
    const bundle = makeBundle(script("sleep 1000 & exec sleep 1000"));
    const seen = await killAtManyMoments(bundle, "running", "run");
    expect([...seen]).toEqual(expect.arrayContaining(["none", "running"]));
  });

  test("create with a user namespace, and no pid namespace", async () => {
    const bundle = makeBundle((config) => {
      forever(config);
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
      config.linux.namespaces.push({ type: "user" });
      // The host's processes are not for a user namespace to show.
      config.mounts = config.mounts.filter(({ destination }) => destination !== "/proc");
      config.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
    });
    await killAtManyMoments(bundle, "created", "create");
  });

  test("create in a cgroup that another container uses, which lives on", async () => {
    const { id, bundle } = createContainer(forever);
    const same = makeBundle((config) => {
      forever(config);
      config.linux.cgroupsPath = bundle.config.linux.cgroupsPath;
    });
    for (let i = 0; i < TRIES; i++) {
      const other = newId();
      const running = spawnBerth(["create", "--bundle", same.path, other]);
      Bun.sleepSync((i * STEP) / 5);
      running.kill("SIGKILL");
      await running.ended;
      succeed(["delete", "--force", other]);
      expect({ i, status: statusOf(id) }).toEqual({ i, status: "created" });
    }
    succeed(["delete", "--force", id]);
  });

  test("start", async () => {
    for (let i = 0; i < 20; i++) {
      const { id } = createContainer(script("sleep 1000 & exec sleep 1000"));
      const running = spawnBerth(["start", id]);
      Bun.sleepSync(i * STEP);
      running.kill("SIGKILL");
      await running.ended;
      succeed(["delete", "--force", id]);
      expect({ i, left: leftovers() }).toEqual({ i, left: [] });
    }
  });

  test("delete", async () => {
    const { path, config } = makeBundle(script("sleep 1000 & exec sleep 1000"));
    expect(config.linux.cgroupsPath).not.toBe("");
    for (let i = 0; i < 20; i++) {
      const id = newId();
      succeed(["run", "--detach", "--bundle", path, id]);
      const running = spawnBerth(["delete", "--force", id]);
      Bun.sleepSync(i * STEP);
      running.kill("SIGKILL");
      await running.ended;
      succeed(["delete", "--force", id]);
      expect({ i, left: leftovers() }).toEqual({ i, left: [] });
    }
  });

  test("a state directory in which nothing was written yet", () => {
    const id = newId();
    mkdirSync(join(stateRoot, id), { recursive: true });
    expect(refuse(["start", id])).toContain("still being created");
    succeed(["delete", "--force", id]);
    waitUntil(() => leftovers().length === 0, "nothing is left");
  });
});
