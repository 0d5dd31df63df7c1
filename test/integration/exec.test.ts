import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import type { Process } from "../../src/spec/process.ts";
import {
  berth,
  type Config,
  directory,
  leftovers,
  makeBundle,
  namespaceOf,
  newId,
  type Options,
  program,
  stateRoot,
  waitUntil,
} from "../bundle.ts";
import { field } from "../caller.ts";
import { listenForConsole } from "../console.ts";
import {
  type Container,
  createContainer,
  forever,
  isAlive,
  script,
  spawnBerth,
  startContainer,
  statusOf,
  succeed,
  withoutPidNamespace,
} from "../container.ts";

/** A container that runs while `use` does. */
async function inContainer<T>(
  use: (container: Container) => T | Promise<T>,
  ...patches: ((config: Config) => void)[]
): Promise<T> {
  const container = startContainer(forever, ...patches);
  try {
    return await use(container);
  } finally {
    succeed(["delete", "--force", container.id]);
  }
}

/** `berth exec` that fails as it must: with 255 and one error, which is returned, hint included. */
function fails(args: readonly string[], options: Options = {}): string {
  const { status, stdout, stderr } = berth(args, options);
  expect({ args, status, stdout, stderr }).toEqual({
    args,
    status: 255,
    stdout: "",
    stderr: expect.stringMatching(/^berth: exec failed: (?!internal error).+\n(hint: .+\n)?$/),
  });
  return stderr;
}

const cgroupOf = ({ bundle }: Container) => cgroup2Mount() + bundle.config.linux.cgroupsPath;
const pidsOf = ({ id }: Container) => JSON.parse(succeed(["ps", "--format", "json", id])) as number[];
const statusFile = ["/bin/cat", "/proc/self/status"];

/** Writes a process.json. */
function processFile(process: { readonly [Key in keyof Process]?: Process[Key] | null }): string {
  const file = join(directory, `process-${newId()}.json`);
  writeFileSync(file, JSON.stringify({ cwd: "/", env: ["PATH=/bin"], ...process }));
  return file;
}

describe("the process", () => {
  test("is in all namespaces of the container and in its cgroup, and its exit status is berth's", () =>
    inContainer(async (container) => {
      const running = spawnBerth(["exec", container.id, "/bin/sh", "-c", "sleep 1000; exit 7"]);
      waitUntil(() => pidsOf(container).length === 3, "the process and its child run");
      const [, shell = 0, sleep = 0] = pidsOf(container);
      for (const kind of ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"]) {
        expect(namespaceOf(shell, kind)).toBe(namespaceOf(container.pid, kind));
      }
      expect(readFileSync(join(cgroupOf(container), "cgroup.procs"), "utf8")).toContain(`${shell}\n`);
      expect(statSync(`/proc/${shell}/root`).ino).toBe(statSync(`/proc/${container.pid}/root`).ino);
      process.kill(sleep, "SIGTERM");
      expect(await running.ended).toMatchObject({ status: 7, stderr: expect.stringContaining("Terminated") });
      expect(pidsOf(container)).toEqual([container.pid]);
    }));

  test("has the caller's stdin, stdout and stderr, and no other descriptor", () =>
    inContainer(({ id }) => {
      const echo = berth(["exec", id, "/bin/sh", "-c", "cat; echo err >&2"], { stdin: "in\n" });
      expect(echo).toMatchObject({ status: 0, stdout: "in\n", stderr: "err\n" });
      expect(succeed(["exec", id, "/bin/ls", "/proc/self/fd"]).split(/\s+/).filter(Boolean)).toEqual([
        "0",
        "1",
        "2",
        "3",
      ]);
    }));

  test("gets the container's /dev/null for the host's, unless that is broken", () =>
    inContainer(({ id, pid }) => {
      const nullOf = () => succeed(["exec", id, "/bin/stat", "-L", "-c", "%d:%i", "/proc/self/fd/0"]).trim();
      const { dev, ino } = statSync(`/proc/${pid}/root/dev/null`);
      expect(nullOf()).toBe(`${dev}:${ino}`);
      succeed(["exec", id, "/bin/sh", "-c", "rm /dev/null; echo broken > /dev/null"]);
      const host = statSync("/dev/null");
      expect(nullOf()).toBe(`${host.dev}:${host.ino}`);
    }));

  test("ended by signal n: 128 + n", () =>
    inContainer(({ id }) => {
      expect(berth(["exec", id, "/bin/sh", "-c", "kill -9 $$"]).status).toBe(137);
      expect(berth(["exec", id, "/bin/sh", "-c", "kill $$"]).status).toBe(143);
    }));

  test("gets the signals that berth gets", () =>
    inContainer(async ({ id }) => {
      const text = "trap 'echo usr1; exit 9' USR1; echo ready; while :; do sleep 0.01; done";
      const running = spawnBerth(["exec", id, "/bin/sh", "-c", text]);
      waitUntil(() => running.output() === "ready\n", "it is ready");
      running.kill("SIGUSR1");
      expect(await running.ended).toEqual({ status: 9, stdout: "ready\nusr1\n", stderr: "" });
    }));

  test("begins without ignored or blocked signals, whatever berth has", () =>
    inContainer(({ id }) => {
      const status = succeed(["exec", id, ...statusFile]);
      expect(field(status, "SigIgn")).toBe("0000000000000000");
      expect(field(status, "SigBlk")).toBe("0000000000000000");
    }));

  test("joins a container that was created and not started, and one that shares its pid namespace", () => {
    const created = createContainer(forever);
    expect(succeed(["exec", created.id, "/bin/hostname"])).toBe("test\n");
    expect(statusOf(created.id)).toBe("created");
    succeed(["delete", created.id]);
    const shared = startContainer(forever, withoutPidNamespace);
    expect(succeed(["exec", shared.id, "/bin/hostname"])).toBe("test\n");
    succeed(["delete", "--force", shared.id]);
  });

  test("joins a user namespace as its root, with its ids and no right over the host", () =>
    inContainer(
      ({ id, pid }) => {
        expect(succeed(["exec", id, "/bin/cat", "/proc/self/uid_map"]).trim().split(/\s+/)).toEqual([
          "0",
          "100000",
          "65536",
        ]);
        expect(field(succeed(["exec", "--user", "5:6", id, ...statusFile]), "Uid")).toBe("5\t5\t5\t5");
        const own = succeed(["exec", id, "/bin/readlink", "/proc/self/ns/user"]).trim();
        expect(own).toBe(namespaceOf(pid, "user"));
        expect(berth(["exec", id, "/bin/mount", "-o", "remount,rw", "/"]).status).not.toBe(0);
      },
      (config) => {
        config.linux.namespaces.push({ type: "user" });
        config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
        config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
        config.mounts = config.mounts.filter(({ type }) => type !== "cgroup2");
      },
    ));

  test("joins a time namespace", () =>
    inContainer(
      ({ id, pid }) => {
        expect(succeed(["exec", id, "/bin/readlink", "/proc/self/ns/time"]).trim()).toBe(
          namespaceOf(pid, "time"),
        );
        const uptime = Number(succeed(["exec", id, "/bin/cat", "/proc/uptime"]).split(" ")[0]);
        expect(uptime).toBeGreaterThan(90_000_000);
      },
      (config) => {
        config.linux.namespaces.push({ type: "time" });
        config.linux.timeOffsets = { boottime: { secs: 100_000_000 } };
      },
    ));

  test("without a mount namespace, its root is the container's", () =>
    inContainer(
      ({ id, bundle }) => {
        writeFileSync(join(bundle.rootfs, "here"), "");
        expect(succeed(["exec", id, "/bin/ls", "/"]).split("\n")).toContain("here");
        expect(succeed(["exec", "--cwd", "/..", id, "/bin/ls"]).split("\n")).toContain("here");
      },
      (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
        config.mounts = [];
        config.linux.maskedPaths = [];
        config.linux.readonlyPaths = [];
        config.root.readonly = false;
      },
    ));

  test("joins the container's session keyring, and makes none", () => {
    const keyrings = (id: string) =>
      readFileSync("/proc/keys", "utf8")
        .split("\n")
        .filter((line) => line.includes(`_ses.${id}:`)).length;
    const bundle = makeBundle(forever);
    for (const [options, count] of [
      [[], 1],
      [["--no-new-keyring"], 0],
    ] as const) {
      const id = newId();
      succeed(["run", "--detach", ...options, "--bundle", bundle.path, id]);
      succeed(["exec", "--detach", id, "/bin/sleep", "1000"]);
      expect({ options, count: keyrings(id) }).toEqual({ options, count });
      succeed(["delete", "--force", id]);
    }
  });
});

describe("options", () => {
  test("--cwd, --env, and HOME from the container's /etc/passwd", () =>
    inContainer(
      ({ id }) => {
        expect(succeed(["exec", "--cwd", "/etc", id, "/bin/pwd"])).toBe("/etc\n");
        const env = succeed(["exec", "-e", "B=2", "--env", "A=two words", "-e", "A=3=4", id, "/usr/bin/env"]);
        expect(env.trim().split("\n").sort()).toEqual(["A=3=4", "B=2", "C=own", "HOME=/root", "PATH=/bin"]);
        expect(succeed(["exec", "-u", "1000", id, "/bin/sh", "-c", "echo $HOME"])).toBe("/home\n");
        expect(succeed(["exec", "-e", "HOME=/x", id, "/bin/sh", "-c", "echo $HOME"])).toBe("/x\n");
      },
      (config) => {
        config.process.env = ["PATH=/bin", "A=1", "C=own"];
      },
    ));

  test.each<[string[], uid: number, gid: number, groups: string]>([
    [[], 5, 6, "7"],
    [["--user", "1000"], 1000, 6, "7"],
    [["-u", "1000:44"], 1000, 44, "7"],
    [["--user=user"], 1000, 1000, "10"],
    [["--user", "user:wheel"], 1000, 10, ""],
    [["--user", "12:tty"], 12, 5, "7"],
    [["--user", "nobody"], 65534, 65534, ""],
    [["-g", "8", "--additional-gids", "9"], 5, 6, "7 8 9"],
    [["-u", "user", "-g", "8"], 1000, 1000, "8 10"],
  ])("%j", (options, uid, gid, groups) =>
    inContainer(
      ({ id }) => {
        const status = succeed(["exec", ...options, id, ...statusFile]);
        expect(field(status, "Uid")).toBe(Array(4).fill(uid).join("\t"));
        expect(field(status, "Gid")).toBe(Array(4).fill(gid).join("\t"));
        expect(field(status, "Groups")).toBe(groups);
      },
      (config) => {
        config.process.user = { uid: 5, gid: 6, additionalGids: [7] };
      },
    ),
  );

  test("--cap adds to the container's, ambient only where something is inheritable; --no-new-privs", () =>
    inContainer(
      ({ id }) => {
        const own = succeed(["exec", id, ...statusFile]);
        expect(field(own, "CapEff")).toBe("0000000000000020");
        expect(field(own, "NoNewPrivs")).toBe("0");
        const more = succeed([
          "exec",
          "--cap",
          "CAP_NET_RAW",
          "-c",
          "chown",
          "--no-new-privs",
          id,
          ...statusFile,
        ]);
        for (const set of ["CapBnd", "CapEff", "CapPrm"]) expect(field(more, set)).toBe("0000000000002021");
        expect(field(more, "CapInh")).toBe("0000000000000000");
        expect(field(more, "CapAmb")).toBe("0000000000000000");
        expect(field(more, "NoNewPrivs")).toBe("1");
      },
      (config) => {
        const kill = ["CAP_KILL"];
        config.process.capabilities = { bounding: kill, effective: kill, permitted: kill };
        config.process.noNewPrivileges = false;
      },
    ));

  test("--no-new-privs=false takes back what config.json says", () =>
    inContainer(({ id }) => {
      expect(field(succeed(["exec", id, ...statusFile]), "NoNewPrivs")).toBe("1");
      const without = succeed(["exec", "--no-new-privs=false", id, ...statusFile]);
      expect(field(without, "NoNewPrivs")).toBe("0");
    }));

  test("limits, umask, OOM score, scheduler and I/O priority are those of config.json", () =>
    inContainer(
      ({ id }) => {
        const text =
          "ulimit -n; umask; cat /proc/$$/oom_score_adj; cut -d' ' -f19 /proc/$$/stat; ionice -p $$";
        expect(succeed(["exec", id, "/bin/sh", "-c", text])).toBe("77\n0027\n500\n5\nbest-effort: prio 6\n");
      },
      (config) => {
        config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 77, hard: 100 }];
        config.process.user = { ...config.process.user, umask: 0o027 };
        config.process.oomScoreAdj = 500;
        config.process.scheduler = { policy: "SCHED_OTHER", nice: 5 };
        config.process.ioPriority = { class: "IOPRIO_CLASS_BE", priority: 6 };
      },
    ));

  test("--preserve-fds passes descriptors on, and only those", () =>
    inContainer(({ id }) => {
      const file = join(directory, "preserved");
      writeFileSync(file, "kept\n");
      const command = [program, "--root", stateRoot, "exec", "--preserve-fds", "1", id];
      const line = `exec 3< ${file} 4< ${file}; exec "$@" /bin/sh -c 'cat <&3; ls /proc/self/fd'`;
      const child = Bun.spawnSync(["bash", "-c", line, "bash", ...command]);
      expect(child.stderr.toString()).toBe("");
      expect(child.stdout.toString().split(/\s+/).filter(Boolean)).toEqual(["kept", "0", "1", "2", "3", "4"]);
    }));

  test("--detach returns while the process runs; --pid-file has its pid, as one write and no newline", () =>
    inContainer((container) => {
      const pidFile = join(directory, "exec.pid");
      const { stdout } = berth(["exec", "-d", "--pid-file", pidFile, container.id, "/bin/sleep", "1000"]);
      expect(stdout).toBe("");
      const text = readFileSync(pidFile, "utf8");
      expect(text).toMatch(/^\d+$/);
      expect(pidsOf(container)).toEqual([container.pid, Number(text)]);
      // Nobody's child any more, and nobody's end is its own.
      expect(isAlive(Number(text))).toBe(true);
      process.kill(Number(text), "SIGKILL");
      waitUntil(() => !isAlive(Number(text)), "it has ended");
    }));

  test("--pidfd-socket gets a pidfd of the process", () =>
    inContainer((container) => {
      const sockets = mkdtempSync(join(tmpdir(), "berth-pidfd-"));
      const socket = listenForConsole(join(sockets, "s"));
      try {
        succeed(["exec", "-d", "--pidfd-socket", socket.path, container.id, "/bin/sleep", "1000"]);
        const { fd, payload, close } = socket.receive();
        const [, pid = 0] = pidsOf(container);
        expect(payload).toBe("setns");
        expect(field(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"), "Pid")).toBe(String(pid));
        close();
        process.kill(pid, "SIGKILL");
        waitUntil(() => !isAlive(pid), "it has ended");
      } finally {
        socket.close();
        rmSync(sockets, { recursive: true });
      }
    }));

  test("--cgroup is a cgroup below the container's", () =>
    inContainer((container) => {
      const sub = join(cgroupOf(container), "sub");
      mkdirSync(join(sub, "deep"), { recursive: true });
      for (const path of ["sub", "/sub/./deep"]) {
        const member = [
          "exec",
          "--cgroup",
          path,
          container.id,
          "/bin/sh",
          "-c",
          "grep ^0: /proc/self/cgroup",
        ];
        expect(succeed(member)).toBe(`0::${join("/", path)}\n`);
      }
      expect(fails(["exec", "--cgroup", "../x", container.id, "true"])).toContain(
        "bad sub cgroup path: ../x",
      );
      expect(fails(["exec", "--cgroup", "none", container.id, "true"])).toContain('/none"');
      expect(fails(["exec", "--cgroup", "cpu:sub", container.id, "true"])).toContain(
        "invalid --cgroup argument",
      );
      rmdirSync(join(sub, "deep"));
      rmdirSync(sub);
    }));
});

describe("--process", () => {
  test("gives the whole process; what it leaves out of these, the container's process has", () =>
    inContainer(
      ({ id }) => {
        const file = processFile({
          args: ["/bin/sh", "-c", "cat /proc/self/status; pwd; env; ulimit -n"],
          env: ["PATH=/bin", "HOME=/h"],
          cwd: "/etc",
          user: { uid: 9, gid: 8, additionalGids: [3, 4] },
          noNewPrivileges: true,
          terminal: false,
          capabilities: null,
          rlimits: [],
          apparmorProfile: "",
        });
        const output = succeed(["exec", "--process", file, id]);
        expect(field(output, "Uid")).toBe("9\t9\t9\t9");
        expect(field(output, "Gid")).toBe("8\t8\t8\t8");
        expect(field(output, "Groups")).toBe("3 4");
        expect(field(output, "NoNewPrivs")).toBe("1");
        expect(field(output, "CapBnd")).toBe("0000000020000420");
        expect(output).toContain("\n/etc\n");
        expect(output).toContain("\nHOME=/h\n");
        expect(output).not.toContain("X=not");
        expect(output).toMatch(/\n55\n$/);
      },
      (config) => {
        config.process.env = ["X=not", "PATH=/bin"];
        config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 55, hard: 100 }];
      },
    ));

  test("with its own capabilities and limits", () =>
    inContainer(({ id }) => {
      const file = processFile({
        args: ["/bin/sh", "-c", "cat /proc/self/status; ulimit -n"],
        // The kernel gives root all that is bounding.
        user: { uid: 1, gid: 1 },
        capabilities: { bounding: ["CAP_KILL"] },
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 44, hard: 44 }],
      });
      const output = succeed(["exec", "-p", file, id]);
      expect(field(output, "CapBnd")).toBe("0000000000000020");
      expect(field(output, "CapEff")).toBe("0000000000000000");
      expect(output).toMatch(/\n44\n$/);
    }));

  test("with options beside it that it makes useless: they are named", () =>
    inContainer(({ id }) => {
      const file = processFile({ args: ["/bin/echo", "done"] });
      const result = berth(["exec", "--process", file, "--cwd", "/x", "--tty", "-e", "A=1", id, "extra"]);
      expect(result).toMatchObject({ status: 0, stdout: "done\n" });
      expect(result.stderr).toBe(
        "berth: warning: --cwd, --env, the command: not used, as --process gives the whole process\n",
      );
    }));

  test.each<[string, string, string]>([
    ["no JSON", "{", "JSON"],
    ["null", "null", "process"],
    ["no cwd", '{"args":["true"]}', "process.cwd"],
    ["a relative cwd", '{"args":["true"],"cwd":"x"}', 'process.cwd: found "x"'],
    ["no args", '{"cwd":"/"}', "process.args"],
    ["a wrong type", '{"args":["true"],"cwd":"/","user":{"uid":"0"}}', "process.user.uid"],
    ["a wrong variable", '{"args":["true"],"cwd":"/","env":["x"]}', "process.env[0]"],
  ])("that is wrong, %s, is refused and named", (_, text, expected) =>
    inContainer((container) => {
      const file = join(directory, "wrong.json");
      writeFileSync(file, text);
      const error = fails(["exec", "--process", file, container.id]);
      expect(error).toContain(file);
      expect(error).toContain(expected);
      expect(pidsOf(container)).toEqual([container.pid]);
    }),
  );
});

describe("a terminal", () => {
  test("--tty in the foreground: its own, of the container's devpts, while /dev/console stays", async () =>
    inContainer(({ id }) => {
      const text = "tty; test -t 0 && test -t 1 && test -t 2 && echo three; echo x > /dev/tty; exit 5";
      const child = Bun.spawnSync([program, "--root", stateRoot, "exec", "-t", id, "/bin/sh", "-c", text]);
      expect({ status: child.exitCode, stderr: child.stderr.toString() }).toEqual({ status: 5, stderr: "" });
      expect(child.stdout.toString()).toBe("/dev/pts/0\r\nthree\r\nx\r\n");
    }));

  test("belongs to the user, and the caller's size reaches it", () =>
    inContainer(({ id }) => {
      const exec = `${program} --root ${stateRoot} exec --tty --user 1000:1000 ${id}`;
      const line = `stty rows 31 cols 99; ${exec} /bin/sh -c 'stty size; stat -c %u:%a /dev/pts/0'`;
      const child = Bun.spawnSync(["script", "-qec", line, "/dev/null"], { stdin: new Blob([]) });
      // At the end of its own input script(1) may type a NUL, which the terminal echoes.
      expect(child.stdout.toString().replaceAll("^@", "")).toContain("31 99\r\n1000:620\r\n");
    }));

  test("--console-socket gets its master, detached", () =>
    inContainer((container) => {
      const sockets = mkdtempSync(join(tmpdir(), "berth-console-"));
      const socket = listenForConsole(join(sockets, "s"));
      try {
        const file = processFile({
          args: ["/bin/sh", "-c", "read a; echo got $a; sleep 1000"],
          terminal: true,
        });
        succeed([
          "exec",
          "--process",
          file,
          "--detach",
          "--tty",
          "--console-socket",
          socket.path,
          container.id,
        ]);
        const terminal = socket.receive();
        terminal.type("word\n");
        terminal.shows("got word\r\n");
        terminal.close();
        waitUntil(() => pidsOf(container).length === 1, "the hangup has ended it");
      } finally {
        socket.close();
        rmSync(sockets, { recursive: true });
      }
    }));

  test("with nobody to serve it, and a console socket without a terminal", () =>
    inContainer(({ id }) => {
      expect(fails(["exec", "-t", "-d", id, "/bin/true"])).toContain(
        "cannot allocate tty if berth will detach without setting console socket",
      );
      expect(fails(["exec", "--console-socket", "/none", id, "/bin/true"])).toContain(
        "cannot use console socket if berth will not detach or allocate tty",
      );
      expect(fails(["exec", "-t", "-d", "--console-socket", "/none", id, "/bin/true"])).toContain(
        '--console-socket: connect to "/none": no such file or directory',
      );
    }));
});

describe("what cannot be executed", () => {
  test.each<[string[], string]>([
    [["/no/such"], "no such file or directory"],
    [["no-such"], "executable file not found in $PATH"],
    [["/etc"], "permission denied"],
    [["/etc/passwd"], "permission denied"],
    [["--cwd", "/no/such", "ID", "/bin/true"], "process.cwd /no/such: chdir: no such file or directory"],
    [["--user", "nobody-here", "ID", "/bin/true"], 'no user "nobody-here" in the container\'s /etc/passwd'],
    [["--user", "0:none", "ID", "/bin/true"], 'no group "none" in the container\'s /etc/group'],
    [["--user", "1000:", "ID", "/bin/true"], 'no group ""'],
    [["--user", ":5", "ID", "/bin/true"], 'no user ""'],
    [["--user", "4294967295", "ID", "/bin/true"], "no user or group id"],
    [["--user", "1:2:3", "ID", "/bin/true"], 'no group "2:3"'],
    [["-g", "x", "ID", "/bin/true"], '--additional-gids "x": not a group id'],
    [["--env", "x", "ID", "/bin/true"], '--env "x": not of the form NAME=VALUE'],
    [["--cwd", "x", "ID", "/bin/true"], '--cwd "x": not an absolute path'],
    [["--cap", "CAP_NOTHING", "ID", "/bin/true"], '--cap "CAP_NOTHING": there is no such capability'],
    [["--preserve-fds", "2", "ID", "/bin/true"], "--preserve-fds 2: descriptor 3 is not open"],
    [["--pid-file", "/no/such/file", "ID", "/bin/sleep", "1000"], "no such file or directory"],
    [["ID"], "process args cannot be empty"],
  ])("%j", (args, expected) =>
    inContainer((container) => {
      const whole = args.includes("ID")
        ? args.map((arg) => (arg === "ID" ? container.id : arg))
        : [container.id, ...args];
      expect(fails(["exec", ...whole])).toContain(expected);
      expect(pidsOf(container)).toEqual([container.pid]);
    }),
  );

  test("the error is the last line of the log, for an engine to read", () =>
    inContainer(({ id }) => {
      const log = join(directory, "exec.log");
      berth(["--log", log, "--log-format", "json", "exec", id, "no-such"]);
      const last = JSON.parse(readFileSync(log, "utf8").trim().split("\n").at(-1) ?? "");
      expect(last).toMatchObject({
        level: "error",
        msg: expect.stringContaining("executable file not found in $PATH"),
      });
      expect(last.msg).toMatch(/^exec failed: /);
    }));

  test("a mistake in the command line itself: 1, with help", () => {
    expect(berth(["exec"])).toMatchObject({ status: 1, stdout: expect.stringContaining("berth exec") });
    expect(berth(["exec", "--nope", "x", "true"])).toMatchObject({ status: 1 });
  });
});

describe("a container that", () => {
  test("does not exist", () => {
    expect(fails(["exec", newId(), "/bin/true"])).toContain("container does not exist");
  });

  test("has stopped", () => {
    const { id, pid } = startContainer(forever);
    succeed(["kill", id, "KILL"]);
    waitUntil(() => !isAlive(pid), "it has ended");
    expect(fails(["exec", id, "/bin/true"])).toContain("cannot exec in a stopped container");
    succeed(["delete", id]);
  });

  test("is paused; with --ignore-paused the process waits there", () =>
    inContainer(async (container) => {
      const { id } = container;
      succeed(["pause", id]);
      expect(fails(["exec", id, "/bin/true"])).toContain(
        "cannot exec in a paused container (use --ignore-paused to override)",
      );
      const running = spawnBerth(["exec", "--ignore-paused", id, "/bin/echo", "resumed"]);
      waitUntil(() => pidsOf(container).length === 2, "the process is there");
      expect(running.output()).toBe("");
      succeed(["resume", id]);
      expect(await running.ended).toEqual({ status: 0, stdout: "resumed\n", stderr: "" });
    }));

  test("ends: the process goes with it", () =>
    inContainer(async (container) => {
      const running = spawnBerth(["exec", container.id, "/bin/sh", "-c", "echo ready; exec sleep 1000"]);
      waitUntil(() => running.output() === "ready\n", "it runs");
      succeed(["kill", container.id, "KILL"]);
      expect(await running.ended).toMatchObject({ status: 137 });
    }));

  test("has moved its processes below its cgroup: the process goes to where init is", () =>
    inContainer((container) => {
      const own = cgroupOf(container);
      mkdirSync(join(own, "init"));
      writeFileSync(join(own, "init", "cgroup.procs"), String(container.pid));
      // A threaded cgroup below makes this one a place for no other process, as controllers of v2 do.
      const member = ["exec", container.id, "/bin/sh", "-c", "grep ^0: /proc/self/cgroup"];
      const controllers = readFileSync(join(own, "cgroup.controllers"), "utf8").trim().split(" ");
      if (controllers[0] !== "") {
        writeFileSync(join(own, "cgroup.subtree_control"), `+${controllers[0]}`);
        expect(succeed(member)).toBe("0::/init\n");
        writeFileSync(join(own, "cgroup.subtree_control"), `-${controllers[0]}`);
      } else expect(succeed(member)).toBe("0::/\n");
      writeFileSync(join(own, "cgroup.procs"), String(container.pid));
      rmdirSync(join(own, "init"));
    }));
});

describe("security", () => {
  test("a cwd that leads out of the container is refused (CVE-2024-21626)", () =>
    inContainer(({ id, bundle }) => {
      for (let fd = 0; fd < 20; fd++) {
        const { status, stdout } = berth(["exec", "--cwd", `/proc/self/fd/${fd}`, id, "/bin/pwd"]);
        // One of them is the container's own root.
        expect({ fd, status, stdout }).toEqual(
          status === 0 ? { fd, status, stdout: "/\n" } : { fd, status: 255, stdout: "" },
        );
      }
      symlinkSync("/proc/self/fd/3", join(bundle.rootfs, "link"));
      const command = [program, "--root", stateRoot, "exec", "--preserve-fds", "1", "--cwd", "/link", id];
      const child = Bun.spawnSync(["bash", "-c", 'exec 3< /; exec "$@"', "bash", ...command, "/bin/ls"]);
      expect({ status: child.exitCode, stdout: child.stdout.toString() }).toEqual({
        status: 255,
        stdout: "",
      });
      expect(child.stderr.toString()).toContain("the working directory lies outside");
    }));

  test("nothing of the host's can be reached through the process while it is set up", async () =>
    inContainer(async (container) => {
      // A process of the container that looks at all that appear beside it, at once and again and again.
      const watch = spawnBerth([
        "exec",
        container.id,
        "/bin/sh",
        "-c",
        'echo ready; while :; do for p in /proc/[0-9]*; do case "$(readlink $p/exe)" in *berth*) echo "$p $(readlink $p/exe)"; ls $p/fd/ $p/root/; cat $p/environ;; esac; done; done 2>/dev/null',
      ]);
      waitUntil(() => watch.output().startsWith("ready\n"), "it watches");
      for (let i = 0; i < 40; i++) succeed(["exec", container.id, "/bin/true"]);
      const [, watcher = 0] = pidsOf(container);
      process.kill(watcher, "SIGKILL");
      const { stdout } = await watch.ended;
      expect(stdout.replace("ready\n", "")).toBe("");
    }));

  test("a bundle's config.json that was changed since changes nothing", () =>
    inContainer(({ id, bundle }) => {
      const config = {
        ...bundle.config,
        process: { ...bundle.config.process, cwd: "/etc", env: ["EVIL=1"] },
      };
      writeFileSync(join(bundle.path, "config.json"), JSON.stringify(config));
      expect(succeed(["exec", id, "/bin/sh", "-c", "pwd; echo $EVIL"])).toBe("/\n\n");
    }));
});

describe("many at once", () => {
  test("100 in one container: all answer", () =>
    inContainer(async (container) => {
      const results = await Promise.all(
        Array.from(
          { length: 100 },
          (_, i) => spawnBerth(["exec", container.id, "/bin/sh", "-c", `echo ${i}; exit ${i % 50}`]).ended,
        ),
      );
      results.forEach((result, i) => {
        expect(result).toEqual({ status: i % 50, stdout: `${i}\n`, stderr: "" });
      });
      expect(pidsOf(container)).toEqual([container.pid]);
    }));

  test("exec, state, kill and delete racing: none hangs, none is lost, nothing is left", async () => {
    for (let round = 0; round < 12; round++) {
      const { id } = startContainer(
        script("sleep 1000 & exec sleep 1000"),
        ...(round % 3 === 2 ? [withoutPidNamespace] : []),
      );
      const call = (...args: string[]) => spawnBerth(args).ended;
      const execs = () =>
        [0, 1, 2, 3].map((n) => call("exec", ...(n === 3 ? ["-d"] : []), id, "/bin/sleep", "1000"));
      const first = execs();
      Bun.sleepSync(round);
      const others = [call("state", id), call("kill", id, "KILL"), ...execs(), call("delete", "--force", id)];
      for (const { status, stderr } of await Promise.all([...first, ...others])) {
        expect(stderr).not.toContain("internal error");
        if (status === 0 || status === 137) continue;
        expect({ status, stderr }).toMatchObject({
          stderr: expect.stringMatching(
            /stopped container|does not exist|not running|still being created|cannot exec|init still running/,
          ),
        });
      }
      succeed(["delete", "--force", id]);
      expect({ round, left: leftovers() }).toEqual({ round, left: [] });
    }
  });

  test("a berth that is killed while it waits leaves the process to the container", () =>
    inContainer(async (container) => {
      const running = spawnBerth(["exec", container.id, "/bin/sh", "-c", "echo ready; exec sleep 1000"]);
      waitUntil(() => running.output() === "ready\n", "it runs");
      running.kill("SIGKILL");
      await running.ended;
      const [, pid = 0] = pidsOf(container);
      expect(isAlive(pid)).toBe(true);
      expect(readdirSync(`/proc/${pid}/fd`)).toEqual(["0", "1", "2"]);
    }));
});

describe("kill and delete --regex", () => {
  test("reach all whose id matches, and no other", () => {
    const containers = [startContainer(forever), startContainer(forever), startContainer(forever)];
    const [one, two, other] = containers.map(({ id }) => id) as [string, string, string];
    succeed(["kill", "--regex", `^(${one}|${two})$`, "KILL"]);
    for (const { pid } of containers.slice(0, 2)) waitUntil(() => !isAlive(pid), "it has ended");
    expect(statusOf(other)).toBe("running");
    const failed = berth(["delete", "--regex", "."]);
    expect(failed.status).toBe(1);
    expect(failed.stderr).toContain(`cannot delete container ${other} that is not stopped: running`);
    expect(failed.stderr).toContain("1 of 3 containers");
    expect(succeed(["list", "-q"])).toBe(`${other}\n`);
    succeed(["delete", "--force", "-r", `${other}$`]);
    succeed(["kill", "-r", "nothing-like-it"]);
    expect(berth(["kill", "--regex", "("])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('--regex "("'),
    });
  });
});
