import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import { v1Hierarchies } from "../../src/cgroups/v1/hierarchies.ts";
import {
  type Bundle,
  berth,
  type Config,
  directory,
  makeBundle,
  namespaceOf,
  newId,
  type Options,
  type Result,
  waitUntil,
} from "../bundle.ts";
import { forever, script } from "../container.ts";

/* Containers of a user who is not root, in an account made for these tests, with newuidmap and without it. */

const name = `berth${process.pid}`;
const runtimeDirectory = join(directory, "run");
const noTools = join(directory, "no-tools");
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

let uid = 0;
let gid = 0;
/** The first of the ids that /etc/subuid and /etc/subgid lend to the user, and how many. */
let lent = { uid: 0, gid: 0, size: 0 };

function perform(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  expect({ command, exitCode, stderr: stderr.toString() }).toMatchObject({ exitCode: 0 });
}

beforeAll(() => {
  perform("useradd", "--no-create-home", "--shell", "/bin/sh", name);
  const [, , user, group] = /^(.*):x:(\d+):(\d+):/m.exec(line("/etc/passwd")) ?? [];
  uid = Number(user);
  gid = Number(group);
  const [subuid, subgid] = [line("/etc/subuid").split(":"), line("/etc/subgid").split(":")];
  lent = { uid: Number(subuid[1]), gid: Number(subgid[1]), size: Number(subuid[2]) };
  for (const path of [runtimeDirectory, noTools]) mkdirSync(path);
  chmodSync(runtimeDirectory, 0o700);
  chownSync(runtimeDirectory, uid, gid);
});

const line = (file: string) =>
  readFileSync(file, "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${name}:`)) ?? "";

afterAll(() => {
  perform("userdel", name);
  expect([line("/etc/passwd"), line("/etc/subuid")]).toEqual(["", ""]);
});

const ownIds = (id: number) => id === uid || (id >= lent.uid && id < lent.uid + lent.size);

/** Processes of the user, or of a user that it has been lent. */
function processes(): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      const status = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/status`, "utf8") : "";
      return /^State:\t[^ZX]/m.test(status) && ownIds(Number(/^Uid:\t(\d+)/m.exec(status)?.[1]));
    } catch {
      return false;
    }
  });
}

afterEach(() => {
  const state = join(runtimeDirectory, "berth");
  const left = [...processes(), ...readdirSync(runtimeDirectory).flatMap(() => readdirSync(state))];
  for (const pid of processes()) process.kill(Number(pid), "SIGKILL");
  perform("rm", "-rf", state);
  if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
});

/** `berth` as the user calls it, with its default --root. */
function asUser(
  args: readonly string[],
  options: Options & { path?: string; before?: string[] } = {},
): Result {
  const { path = PATH, before = [], ...rest } = options;
  const drop = ["/usr/bin/setpriv", "--reuid", name, "--regid", name, "--init-groups"];
  const environment = ["/usr/bin/env", "-i", `PATH=${path}`, `XDG_RUNTIME_DIR=${runtimeDirectory}`];
  return berth(args, { root: null, cwd: "/", ...rest, through: [...drop, ...environment, ...before] });
}

function succeed(args: readonly string[], options: Parameters<typeof asUser>[1] = {}): string {
  const { status, stdout, stderr } = asUser(args, options);
  expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: "" });
  return stdout;
}

type Patch = (config: Config) => void;

/** A config.json of the kind that `spec --rootless` writes, which leaves the mappings to berth. */
const rootless: Patch = (config) => {
  const linux: Partial<Config["linux"]> = config.linux;
  delete linux.cgroupsPath;
  delete linux.resources;
  config.linux.namespaces = [
    ...config.linux.namespaces.filter(({ type }) => type !== "network"),
    { type: "user" },
  ];
  for (const mount of config.mounts) {
    mount.options = mount.options?.filter((option) => option !== "gid=5") ?? [];
  }
};

function bundleOf(...patches: Patch[]): Bundle {
  const bundle = makeBundle((config) => {
    for (const patch of [rootless, ...patches]) patch(config);
  });
  perform("chown", "-R", `${name}:${name}`, bundle.path);
  return bundle;
}

const outputOf = (text: string, ...patches: Patch[]) =>
  succeed(["run", "-b", bundleOf(script(text), ...patches).path, newId()]);

const range = (containerID: number, hostID: number, size: number) => ({ containerID, hostID, size });

const mapping =
  (uids: () => ReturnType<typeof range>[], gids = () => [range(0, gid, 1)]): Patch =>
  ({ linux }) => {
    linux.uidMappings = uids();
    linux.gidMappings = gids();
  };

const numbers = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((each) => each.trim().split(/\s+/).map(Number));

describe.each([
  [
    "with newuidmap",
    PATH,
    () => [
      [0, uid, 1],
      [1, lent.uid, lent.size],
    ],
  ],
  ["without newuidmap", noTools, () => [[0, uid, 1]]],
])("%s", (_, path, maps) => {
  test("a container is created, started, joined, listed, killed and deleted", () => {
    const id = newId();
    const { path: bundle } = bundleOf(forever);
    succeed(["create", "--bundle", bundle, id], { path });
    const status = () => JSON.parse(succeed(["state", id], { path })) as { status: string; pid: number };
    expect(status().status).toBe("created");
    succeed(["start", id], { path });
    expect(status().status).toBe("running");
    expect(numbers(succeed(["exec", id, "/bin/cat", "/proc/self/uid_map"], { path }))).toEqual(maps());
    expect(succeed(["exec", id, "/bin/id", "-u"], { path })).toBe("0\n");
    expect(statSync(`/proc/${status().pid}`).uid).toBe(uid);
    const [listed] = JSON.parse(succeed(["list", "--format", "json"], { path })) as { owner: string }[];
    expect(listed).toMatchObject({ id, owner: name, status: "running" });
    succeed(["kill", id, "KILL"], { path });
    waitUntil(() => status().status === "stopped", "it has ended");
    succeed(["delete", id], { path });
  });

  test("what berth spec --rootless writes runs", () => {
    const { path: bundle } = bundleOf();
    perform("rm", `${bundle}/config.json`);
    succeed(["spec", "--rootless", "--bundle", bundle], { path });
    const file = `${bundle}/config.json`;
    const config = JSON.parse(readFileSync(file, "utf8")) as Config;
    Object.assign(config.process, { terminal: false, args: ["/bin/id", "-u"] });
    writeFileSync(file, JSON.stringify(config));
    expect(succeed(["run", "-b", bundle, newId()], { path })).toBe("0\n");
  });
});

describe("who is who", () => {
  const volume = () => {
    const path = join(directory, newId());
    mkdirSync(path);
    chmodSync(path, 0o777);
    return path;
  };
  const show =
    (source: string): Patch =>
    (config) => {
      config.mounts.push({ destination: "/mnt", source, options: ["bind"] });
    };

  test("the container's root is the user, inside and outside", () => {
    const path = volume();
    writeFileSync(join(path, "given"), "");
    chownSync(join(path, "given"), uid, gid);
    expect(outputOf("stat -c %u:%g /mnt/given; touch /mnt/made", show(path))).toBe("0:0\n");
    const made = statSync(join(path, "made"));
    expect([made.uid, made.gid]).toEqual([uid, gid]);
  });

  test("lent users beside the own group alone: a tool writes one map, and berth the other", () => {
    const maps = mapping(() => [range(0, uid, 1), range(1, lent.uid, 10)]);
    expect(numbers(outputOf("cat /proc/self/uid_map /proc/self/gid_map", maps))).toEqual([
      [0, uid, 1],
      [1, lent.uid, 10],
      [0, gid, 1],
    ]);
  });

  test("its other users are those that the user has been lent", () => {
    const path = volume();
    const other: Patch = ({ process }) => {
      process.user = { uid: 5, gid: 7, additionalGids: [9] };
    };
    expect(outputOf("touch /mnt/made; stat -c %u:%g /mnt/made; id -G", show(path), other)).toBe("5:7\n7 9\n");
    const made = statSync(join(path, "made"));
    expect([made.uid, made.gid]).toEqual([lent.uid + 4, lent.gid + 6]);
  });

  test("the root can be another than the user", () => {
    const all = mapping(
      () => [range(0, lent.uid, 100)],
      () => [range(0, lent.gid, 100)],
    );
    const path = volume();
    expect(outputOf("touch /mnt/made; stat -c %u:%g /mnt/made", show(path), all)).toBe("0:0\n");
    expect(statSync(join(path, "made")).uid).toBe(lent.uid);
  });

  test("without a user namespace in config.json it gets one, with a warning", () => {
    const { path } = bundleOf(script("cat /proc/self/uid_map"), ({ linux }) => {
      linux.namespaces = linux.namespaces.filter(({ type }) => type !== "user");
    });
    const { status, stdout, stderr } = asUser(["run", "-b", path, newId()]);
    expect([status, numbers(stdout)[0]]).toEqual([0, [0, uid, 1]]);
    expect(stderr).toContain("warning: linux.namespaces has no user namespace");
  });
});

describe("what only root may", () => {
  test("a lower OOM score is warned about and stays; a higher one, scheduler and I/O priority are set", () => {
    const score = "cat /proc/self/oom_score_adj";
    const { path } = bundleOf(script(score), ({ process }) => {
      process.oomScoreAdj = -900;
    });
    const { status, stdout, stderr } = asUser(["run", "-b", path, newId()]);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: readFileSync("/proc/self/oom_score_adj", "utf8"),
    });
    expect(stderr).toContain("process.oomScoreAdj: -900 is below");
    const priorities: Patch = ({ process }) => {
      process.oomScoreAdj = 700;
      process.user = { uid: 5, gid: 5 };
      process.scheduler = { policy: "SCHED_BATCH", nice: 4 };
      process.ioPriority = { class: "IOPRIO_CLASS_IDLE", priority: 0 };
    };
    // Fields 19 and 41 of proc_pid_stat(5): nice, and the policy, which for SCHED_BATCH is 3.
    const text = `${score}; ionice -p $$; cut -d' ' -f19,41 /proc/self/stat`;
    expect(outputOf(text, priorities)).toBe("700\nidle\n4 3\n");
  });

  test("hooks run in the container's namespaces", () => {
    const { path } = bundleOf();
    const file = `${path}/config.json`;
    const config = JSON.parse(readFileSync(file, "utf8")) as Config;
    const hook = { path: "/usr/bin/touch", args: ["touch", join(path, "seen")] };
    writeFileSync(file, JSON.stringify({ ...config, hooks: { createContainer: [hook] } }));
    succeed(["run", "-b", path, newId()]);
    expect(statSync(join(path, "seen")).uid).toBe(uid);
  });

  const user: Patch = ({ process }) => {
    process.user = { uid: 0, gid: 0, additionalGids: [5] };
  };
  const own = mapping(() => [range(0, uid, 1)]);
  test.each<[string, Patch, (text: string) => string, string?]>([
    [
      "ids that are another's",
      mapping(() => [range(0, 1, 10)]),
      () => `linux.uidMappings[0]: user "${name}" may not map the host's uids 1 to 10: /etc/subuid lends it`,
    ],
    [
      "more ids than are lent",
      mapping(
        () => [range(0, uid, 1)],
        () => [range(0, gid, 1), range(1, lent.gid, lent.size + 1)],
      ),
      () => `linux.gidMappings[1]: user "${name}" may not map the host's gids`,
    ],
    [
      "more than one id without newuidmap",
      mapping(() => [range(0, uid, 1), range(1, lent.uid, 1)]),
      () =>
        `linux.uidMappings: to map more than the caller's own uid ${uid} takes newuidmap, which is not in PATH`,
      noTools,
    ],
    [
      "groups where setgroups is denied",
      (config) => {
        own(config);
        user(config);
      },
      () => "process.user.additionalGids: a user without newgidmap cannot set groups",
    ],
    [
      "a user that is not mapped",
      (config) => {
        own(config);
        config.process.user = { uid: 5, gid: 0 };
      },
      () => "process.user.uid: uid 5 is not mapped in the container",
    ],
    [
      "a mount for a group that is not mapped",
      (config) => {
        own(config);
        config.mounts[2]?.options?.push("gid=5");
      },
      () => 'mounts[2] option "gid=5": gid 5 is not mapped in the container',
    ],
    [
      "an id-mapped mount",
      (config) => {
        const maps = [range(0, 1, 1)];
        const mount = { destination: "/mnt", source: "/tmp", options: ["bind"] };
        config.mounts.push({ ...mount, uidMappings: maps, gidMappings: maps });
      },
      () => "mounts[7] /mnt: id mappings take root",
    ],
    [
      "a cgroup that config.json names",
      ({ linux }) => {
        linux.cgroupsPath = `/${basename(directory)}/x`;
      },
      () => "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: ",
    ],
    [
      "a limit",
      ({ linux }) => {
        linux.resources = { pids: { limit: 10 } };
      },
      () => "linux.cgroupsPath: make cgroup",
    ],
  ])("%s is refused, and nothing is left", (_, patch, expected, path = PATH) => {
    const { status, stderr } = asUser(["run", "-b", bundleOf(patch).path, newId()], { path });
    expect(status).toBe(1);
    expect(stderr).toContain(expected(name));
  });

  test("explain tells who writes the maps", () => {
    const { path } = bundleOf();
    expect(succeed(["explain", path])).toContain(`newuidmap PID 0 ${uid} 1 1 ${lent.uid} ${lent.size}`);
    const alone = succeed(["explain", path], { path: noTools });
    expect(alone).toContain('write "deny" to /proc/PID/setgroups');
    expect(alone).toContain(`write "0 ${uid} 1\\n" to /proc/PID/uid_map`);
  });
});

test("explain shows a user what is meant for root, too", () => {
  const { path } = bundleOf(mapping(() => [range(0, 0, 1)]));
  const { status, stdout, stderr } = asUser(["explain", path]);
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.stringMatching(/^berth: warning: explained as for root: linux\.uidMappings\[0\]: .+\n$/),
  });
  expect(stdout).toContain("execve");
});

describe("another container of the user", () => {
  test("can have its namespaces joined, and mount targets made in the one that joins", () => {
    const first = newId();
    succeed(["run", "--detach", "-b", bundleOf(forever).path, first]);
    const { pid } = JSON.parse(succeed(["state", first])) as { pid: number };
    const joining: Patch = (config) => {
      const joined = (["user", "ipc", "uts"] as const).map((type) => ({
        type,
        path: `/proc/${pid}/ns/${type}`,
      }));
      config.linux.namespaces = [...joined, { type: "pid" }, { type: "mount" }];
      config.mounts.push({ destination: "/new/dir", type: "tmpfs", source: "tmpfs" });
      config.root.readonly = false;
      Reflect.deleteProperty(config, "hostname");
    };
    const text = "readlink /proc/self/ns/user; readlink /proc/self/ns/ipc; hostname; ls -d /new/dir";
    const namespaces = ["user", "ipc"].map((kind) => namespaceOf(pid, kind));
    expect(outputOf(text, joining)).toBe(`${[...namespaces, "test", "/new/dir"].join("\n")}\n`);
    succeed(["delete", "--force", first]);
  });
});

describe("state", () => {
  test("is in a directory of the user's own without XDG_RUNTIME_DIR", () => {
    const root = `/tmp/berth-${uid}`;
    expect([existsSync(`/run/user/${uid}`), existsSync(root)]).toEqual([false, false]);
    const before = ["/usr/bin/env", "-u", "XDG_RUNTIME_DIR"];
    try {
      succeed(["run", "-b", bundleOf().path, newId()], { before });
      expect(statSync(root)).toMatchObject({ uid, mode: 0o41700 });
      chmodSync(root, 0o777);
      expect(asUser(["list"], { before }).stderr).toContain(
        `"${root}" is not a directory that belongs to user ${uid} alone`,
      );
    } finally {
      perform("rm", "-rf", root);
    }
  });
});

describe("root of a user namespace, as Podman makes one", () => {
  const before = ["/usr/bin/unshare", "--user", "--map-root-user", "--map-auto", "--mount"];
  const inherited: Patch = (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "user");
    config.linux.resources = { devices: [{ allow: false, access: "rwm" }] };
    config.process.user = { uid: 3, gid: 4 };
  };

  test("runs containers in it, without a user namespace of their own", () => {
    const { path } = bundleOf(script("id -u; cat /proc/self/uid_map; echo x > /dev/null"), inherited);
    const [own, ...maps] = numbers(succeed(["run", "-b", path, newId()], { before }));
    expect([own, maps[0]]).toEqual([[3], [0, uid, 1]]);
    expect(maps[1]?.slice(0, 2)).toEqual([1, lent.uid]);
  });

  test("needs a cgroup with --rootless false", () => {
    const { path } = bundleOf(inherited);
    const { status, stderr } = asUser(["--rootless", "false", "run", "-b", path, newId()], { before });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^berth: linux\.cgroupsPath: make cgroup "\/.*": permission denied\n/);
  });
});

describe.runIf(v1Hierarchies().length > 0)("a host with cgroup v1", () => {
  test("shows the caller's cgroups to a container that gets none of its own, read-only", () => {
    const asEngines: Patch = ({ mounts }) => {
      for (const mount of mounts) if (mount.type === "cgroup2") mount.type = "cgroup";
    };
    const shown = outputOf(
      "ls /sys/fs/cgroup; cat /sys/fs/cgroup/*/cgroup.procs | grep -cx 1; for d in /sys/fs/cgroup/*; do mkdir $d/x 2>&1; done | grep -vc 'Read-only file system'; true",
      asEngines,
    );
    const hierarchies = v1Hierarchies();
    const names = hierarchies.flatMap(({ mount, controllers }) => [basename(mount), ...controllers]);
    expect(shown.split("\n")).toEqual([...[...new Set(names)].sort(), String(hierarchies.length), "0", ""]);
  });
});

describe("a cgroup that was delegated to the user", () => {
  test("gets the container's beside berth's own", () => {
    const mount = cgroup2Mount();
    const mark = `/${basename(directory)}`;
    mkdirSync(join(mount, mark, "session"), { recursive: true });
    for (const path of [mark, `${mark}/cgroup.procs`, `${mark}/cgroup.subtree_control`, `${mark}/session`]) {
      chownSync(join(mount, path), uid, gid);
    }
    chownSync(join(mount, mark, "session/cgroup.procs"), uid, gid);
    const procs = join(mount, mark, "session/cgroup.procs");
    const id = newId();
    // As a login does: only root can move the first process there.
    const enter = ["/bin/sh", "-c", `echo $$ > "${procs}"; exec "$@"`, "sh"];
    const drop = ["/usr/bin/setpriv", "--reuid", name, "--regid", name, "--init-groups"];
    const environment = ["/usr/bin/env", "-i", `PATH=${PATH}`, `XDG_RUNTIME_DIR=${runtimeDirectory}`];
    const hooked: Patch = (config) => {
      config.hooks = { startContainer: [{ path: "/bin/true" }] };
    };
    const { path } = bundleOf(forever, hooked);
    const inSession = (...args: string[]) =>
      berth(args, { root: null, cwd: "/", through: [...enter, ...drop, ...environment] });
    expect(inSession("create", "-b", path, id)).toMatchObject({ status: 0, stderr: "" });
    // From where the user may not move a process into that cgroup: the hook runs all the same.
    succeed(["start", id]);
    const { pid } = JSON.parse(succeed(["state", id])) as { pid: number };
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`0::${mark}/${id}\n`);
    succeed(["pause", id]);
    expect(succeed(["state", id])).toContain('"paused"');
    succeed(["resume", id]);
    expect(inSession("exec", id, "/bin/true")).toMatchObject({ status: 0, stderr: "" });
    succeed(["delete", "--force", id]);
    expect(readdirSync(join(mount, mark))).not.toContain(id);
    perform("rmdir", join(mount, mark, "session"));
  });
});
