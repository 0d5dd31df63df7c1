import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Hook, HookName } from "../../src/spec/config.ts";
import {
  berth,
  type Config,
  directory,
  leftovers,
  makeBundle,
  namespaceOf,
  newId,
  waitUntil,
} from "../bundle.ts";
import {
  createContainer,
  forever,
  isAlive,
  refuse,
  script,
  spawnBerth,
  startContainer,
  statusOf,
  succeed,
} from "../container.ts";

const KINDS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
/** Those that run before `create` ends; and, of these and of the rest, those that run in the container. */
const CREATING: readonly HookName[] = ["prestart", "createRuntime", "createContainer"];
const NAMESPACES = ["mnt", "pid", "net", "ipc", "uts", "cgroup"] as const;

const newLog = () => mkdtempSync(join(directory, "log-"));

/** A hook that runs a script in the shell of where it runs. */
const hook = (text: string, more: Partial<Hook> = {}): Hook => ({
  path: "/bin/sh",
  args: ["sh", "-c", `PATH=/usr/sbin:/usr/bin:/sbin:/bin; ${text}`],
  ...more,
});

/** Makes `log` reachable at the same path from within the container. */
const sharing = (log: string) => (config: Config) => {
  config.mounts.push({ destination: log, type: "bind", source: log, options: ["bind", "rw"] });
};

const withHooks =
  (hooks: Config["hooks"]) =>
  (config: Config): void => {
    config.hooks = hooks;
  };

/** A hook that writes down how it was run, into files `log`/`name`.* */
function recorder(log: string, name: string, more: Partial<Hook> = {}): Hook {
  const to = join(log, name);
  return hook(
    [
      `cat > ${to}.state`,
      // A redirection is made before cat is executed: these are the shell's own.
      `cat < /proc/self/environ > ${to}.environ`,
      `cat < /proc/self/cmdline > ${to}.cmdline`,
      `for n in ${NAMESPACES.join(" ")}; do readlink /proc/self/ns/$n; done > ${to}.namespaces`,
      `pwd > ${to}.cwd`,
      `echo ${name} >> ${log}/order`,
    ].join("; "),
    more,
  );
}

/** Hooks of all kinds, two of each, that write down how they were run. */
const recorders = (log: string, more: Partial<Hook> = {}): NonNullable<Config["hooks"]> =>
  Object.fromEntries(
    KINDS.map((kind) => [kind, ["-1", "-2"].map((suffix) => recorder(log, kind + suffix, more))]),
  );

const read = (log: string, name: string) => readFileSync(join(log, name), "utf8");
const lines = (text: string) => text.split("\n").filter(Boolean);

describe("hooks", () => {
  test("run in their order, around the program", () => {
    const log = newLog();
    const { id } = createContainer(
      sharing(log),
      script(`echo program >> ${log}/order; exec sleep 1000`),
      withHooks(recorders(log)),
    );
    const pairs = (...kinds: string[]) => kinds.flatMap((kind) => [`${kind}-1`, `${kind}-2`]);
    const atCreate = pairs(...CREATING);
    expect(lines(read(log, "order"))).toEqual(atCreate);
    succeed(["start", id]);
    waitUntil(() => read(log, "order").includes("program"), "the program has run");
    const atStart = [...atCreate, ...pairs("startContainer")];
    const order = lines(read(log, "order"));
    expect(order.slice(0, atStart.length)).toEqual(atStart);
    // Once it is executed, nobody can say which of program and poststart comes first.
    expect(order.slice(atStart.length).sort()).toEqual([...pairs("poststart"), "program"]);
    expect(order.filter((name) => name.startsWith("poststart"))).toEqual(pairs("poststart"));
    succeed(["delete", "--force", id]);
    expect(lines(read(log, "order"))).toEqual([...order, ...pairs("poststop")]);
  });

  test("get the state on stdin, as it is then", () => {
    const log = newLog();
    const annotations = { "org.example.key": "value" };
    const { id, pid, bundle } = startContainer(sharing(log), forever, withHooks(recorders(log)), (config) =>
      Object.assign(config, { annotations }),
    );
    succeed(["delete", "--force", id]);
    const common = { ociVersion: "1.3.0", id, bundle: bundle.path, annotations };
    const expected = {
      prestart: { status: "creating", pid },
      createRuntime: { status: "creating", pid },
      // In the container, it is the container's own number for it.
      createContainer: { status: "creating", pid: 1 },
      startContainer: { status: "created", pid: 1 },
      poststart: { status: "running", pid },
      poststop: { status: "stopped", pid: 0 },
    };
    for (const kind of KINDS) {
      expect({ kind, state: JSON.parse(read(log, `${kind}-1.state`)) }).toEqual({
        kind,
        state: { ...common, ...expected[kind] },
      });
    }
  });

  test("run in the namespaces of the runtime or of the container, at the right place", () => {
    const log = newLog();
    const { id, pid, bundle } = startContainer(sharing(log), forever, withHooks(recorders(log)));
    const runtime = NAMESPACES.map((name) => namespaceOf("self", name));
    const container = NAMESPACES.map((name) => namespaceOf(pid, name));
    for (const [i, name] of NAMESPACES.entries()) {
      expect({ name, namespace: container[i] }).not.toEqual({ name, namespace: runtime[i] });
    }
    succeed(["delete", "--force", id]);
    for (const kind of KINDS) {
      const inside = kind === "createContainer" || kind === "startContainer";
      expect({ kind, namespaces: lines(read(log, `${kind}-1.namespaces`)) }).toEqual({
        kind,
        namespaces: inside ? container : runtime,
      });
      expect({ kind, cwd: read(log, `${kind}-1.cwd`) }).toEqual({
        kind,
        cwd: inside ? "/\n" : `${bundle.path}\n`,
      });
    }
  });

  test("get their arguments and environment as they are given", () => {
    const log = newLog();
    const env = ["ONE=1", "TWO=with space and = sign", "LINES=a\nb"];
    const { id } = startContainer(sharing(log), forever, withHooks(recorders(log, { env })));
    succeed(["delete", "--force", id]);
    for (const kind of KINDS) {
      expect({ kind, env: read(log, `${kind}-1.environ`).split("\0") }).toEqual({ kind, env: [...env, ""] });
    }
    const odd = newLog();
    const plain = recorder(odd, "odd");
    const args = ["any name", ...(plain.args ?? []).slice(1), "a b", "", "*"];
    const bundle = makeBundle(withHooks({ createRuntime: [{ ...plain, args }] }));
    succeed(["run", "--bundle", bundle.path, newId()]);
    expect(read(odd, "odd.cmdline").split("\0")).toEqual([...args, ""]);
  });

  test("without an environment of their own have none; startContainer has the program's", () => {
    const log = newLog();
    const { id, bundle } = startContainer(sharing(log), forever, withHooks(recorders(log)));
    succeed(["delete", "--force", id]);
    for (const kind of KINDS) {
      const expected = kind === "startContainer" ? `${(bundle.config.process.env ?? []).join("\0")}\0` : "";
      expect({ kind, environ: read(log, `${kind}-1.environ`) }).toEqual({ kind, environ: expected });
    }
  });

  test("without args get their path as the only one", () => {
    const log = newLog();
    const program = join(log, "hook");
    writeFileSync(program, `#!/bin/sh\ncat < /proc/self/cmdline > ${log}/cmdline\n`, { mode: 0o755 });
    const { path } = makeBundle(withHooks({ prestart: [{ path: program }] }));
    succeed(["run", "--bundle", path, newId()]);
    expect(read(log, "cmdline").split("\0")).toEqual(["/bin/sh", program, ""]);
  });

  test("inherit nothing of berth's but their stdio", () => {
    const log = newLog();
    const listing = (name: string) =>
      hook(`for fd in /proc/self/fd/*; do echo \${fd##*/}; done > ${log}/${name}`);
    const hooks = Object.fromEntries(KINDS.map((kind) => [kind, [listing(kind)]]));
    const { path } = makeBundle((config) => {
      sharing(log)(config);
      config.hooks = hooks;
    });
    succeed(["run", "--bundle", path, newId()]);
    for (const kind of KINDS) {
      // 3: the shell's own, of the directory that it lists. Stdout is the file.
      const fds = lines(read(log, kind)).map(Number);
      expect({ kind, more: fds.filter((fd) => fd > 3 && fd !== 10) }).toEqual({ kind, more: [] });
    }
  });

  test("that read no stdin, or say a lot, hold nobody up", () => {
    const { path } = makeBundle(
      withHooks({
        prestart: [{ path: "/bin/true" }, hook("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end >&2")],
      }),
    );
    expect(berth(["run", "--bundle", path, newId()])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });

  test("may leave a process behind that keeps their stdout, and even writes to it", () => {
    const pids = join(newLog(), "pids");
    const { path } = makeBundle(
      withHooks({
        createRuntime: [
          hook(`sleep 1000 & echo $! >> ${pids}`),
          hook(`(while :; do echo again || exit; done) & echo $! >> ${pids}`),
        ],
      }),
    );
    const { status, stderr } = berth(["run", "--bundle", path, newId()]);
    const [sleeper = 0, writer = 0] = lines(readFileSync(pids, "utf8")).map(Number);
    expect(isAlive(sleeper)).toBe(true);
    process.kill(sleeper, "SIGKILL");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    waitUntil(() => !isAlive(writer), "the writer notices that nobody reads any more");
  });
});

describe("each kind can do what it is for", () => {
  test("createRuntime finds the namespaces and mounts of the container at its pid", () => {
    const log = newLog();
    const { id, pid, bundle } = createContainer(
      withHooks({
        createRuntime: [
          hook(
            `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net > ${log}/net; cat /proc/$pid/mountinfo > ${log}/mounts`,
          ),
        ],
      }),
    );
    expect(read(log, "net")).toBe(`${namespaceOf(pid, "net")}\n`);
    for (const at of ["", "/proc", "/dev", "/dev/pts"]) {
      expect(read(log, "mounts")).toContain(` ${bundle.rootfs}${at} `);
    }
    succeed(["delete", id]);
  });

  test("createContainer sees the host's paths, and what it mounts in the rootfs is in the container alone", () => {
    const log = newLog();
    const bundle = makeBundle((config) => {
      script("cat /mnt/message; cat /proc/mounts | grep -c ' /mnt '")(config);
    });
    const { rootfs } = bundle;
    const createContainer = [
      hook(
        `test -d ${bundle.path} && mount -t tmpfs tmpfs ${rootfs}/mnt && echo hello > ${rootfs}/mnt/message`,
      ),
    ];
    writeFileSync(
      join(bundle.path, "config.json"),
      JSON.stringify({
        ...bundle.config,
        hooks: {
          createContainer,
          // By now it would be seen here, if it were.
          poststop: [hook(`ls ${rootfs}/mnt > ${log}/host`)],
        },
      }),
    );
    expect(berth(["run", "--bundle", bundle.path, newId()])).toMatchObject({
      status: 0,
      stdout: "hello\n1\n",
      stderr: "",
    });
    expect(read(log, "host")).toBe("");
  });

  test("startContainer sees the container's root, and runs its programs as its root", () => {
    const log = newLog();
    const { id, bundle } = createContainer(
      sharing(log),
      forever,
      withHooks({
        startContainer: [
          hook(
            `cat /only-here > ${log}/seen; readlink /proc/self/exe >> ${log}/seen; hostname >> ${log}/seen`,
          ),
        ],
      }),
    );
    writeFileSync(join(bundle.rootfs, "only-here"), "in the rootfs\n");
    succeed(["start", id]);
    expect(read(log, "seen")).toBe("in the rootfs\n/bin/busybox\ntest\n");
    succeed(["delete", "--force", id]);
  });

  test("hooks run in the container's cgroup where they run in the container", () => {
    const log = newLog();
    const write = (name: string) => hook(`cat < /proc/self/cgroup > ${log}/${name}`);
    const { path, config } = makeBundle((config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
      sharing(log)(config);
      config.hooks = Object.fromEntries(KINDS.map((kind) => [kind, [write(kind)]]));
    });
    succeed(["run", "--bundle", path, newId()]);
    const isInside = (kind: string) => read(log, kind).includes(`0::${config.linux.cgroupsPath}\n`);
    expect(KINDS.filter(isInside)).toEqual(["createContainer", "startContainer"]);
  });

  test("with a user namespace, container hooks are root in there", () => {
    const log = newLog();
    Bun.spawnSync(["chmod", "777", log]);
    const write = (name: string) =>
      hook(`(id -u; id -g; readlink /proc/self/ns/user; cat < /proc/self/uid_map) > ${log}/${name}`);
    const { id, pid } = createContainer(sharing(log), forever, (config) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
      config.hooks = { createContainer: [write("create")], startContainer: [write("start")] };
    });
    succeed(["start", id]);
    const expected = ["0", "0", namespaceOf(pid, "user"), expect.stringMatching(/^ *0 +100000 +1000$/)];
    for (const name of ["create", "start"]) expect(lines(read(log, name))).toEqual(expected);
    succeed(["delete", "--force", id]);
  });
});

describe("a hook that fails", () => {
  test("ends create, and everything is undone; the message has what the hook said", () => {
    for (const kind of CREATING) {
      const log = newLog();
      const { path } = makeBundle(
        withHooks({
          [kind]: [hook("echo from stdout; echo from stderr >&2; exit 3"), hook(`touch ${log}/second`)],
          poststop: [recorder(log, "poststop")],
        }),
      );
      const id = newId();
      const error = refuse(["create", "--bundle", path, id]);
      expect(error).toContain(`hooks.${kind}[0] "/bin/sh": exit status 3`);
      expect(error).toMatch(/from stdout.*from stderr/);
      expect(existsSync(join(log, "second"))).toBe(false);
      // What was created was deleted: runtime.md "Lifecycle", steps 4 to 6 lead to 13.
      expect(JSON.parse(read(log, "poststop.state"))).toMatchObject({ id, status: "stopped", pid: 0 });
      expect(leftovers()).toEqual([]);
    }
  });

  test("names the one that failed, and none after it runs", () => {
    const log = newLog();
    const { path } = makeBundle(
      withHooks({
        createRuntime: [recorder(log, "first"), hook("kill -SEGV $$"), recorder(log, "third")],
        createContainer: [recorder(log, "fourth")],
      }),
    );
    expect(refuse(["create", "--bundle", path, newId()])).toContain(
      'hooks.createRuntime[1] "/bin/sh": killed by signal 11',
    );
    expect(lines(read(log, "order"))).toEqual(["first"]);
  });

  test("shows the end of a long output, on one line", () => {
    const { path } = makeBundle(
      withHooks({ prestart: [hook("seq 100000; printf '\\033[31mred\\n' >&2; exit 1")] }),
    );
    const error = refuse(["create", "--bundle", path, newId()]);
    expect(error).toContain("100000");
    expect(error).toContain("red");
    expect(error.length).toBeLessThan(5000);
    expect(error).not.toContain("\x1b");
  });

  test("says why it could not be executed", () => {
    const log = newLog();
    const plain = join(log, "plain");
    writeFileSync(plain, "#!/bin/sh\n", { mode: 0o644 });
    writeFileSync(join(log, "text"), "no program\n", { mode: 0o755 });
    writeFileSync(join(log, "script"), "#!/no/such/interpreter\n", { mode: 0o755 });
    const bundle = makeBundle();
    for (const [path, reason] of [
      [join(log, "missing"), "no such file or directory"],
      [plain, "permission denied"],
      [join(log, "text"), "exec format error"],
      [join(log, "script"), "no such file or directory"],
      [log, "permission denied"],
    ] as const) {
      for (const kind of CREATING) {
        const hooks = { [kind]: [{ path }] };
        writeFileSync(join(bundle.path, "config.json"), JSON.stringify({ ...bundle.config, hooks }));
        const error = refuse(["create", "--bundle", bundle.path, newId()]);
        expect(error).toContain(`hooks.${kind}[0] "${path}"`);
        expect(error).toContain(reason);
        expect(leftovers()).toEqual([]);
      }
    }
  });

  test("outlives its timeout: it is killed, and what it left is undone", () => {
    const pidFile = join(newLog(), "pid");
    const text = `echo $$ > ${pidFile}; echo waiting; exec sleep 1000`;
    const bundles = CREATING.map((kind) => ({
      kind,
      path: makeBundle(withHooks({ [kind]: [hook(text, { timeout: 1 })] })).path,
    }));
    const began = Date.now();
    const error = refuse(["create", "--bundle", bundles[0]?.path ?? "", newId()]);
    expect(Date.now() - began).toBeGreaterThanOrEqual(1000);
    expect(error).toMatch(/hooks\.prestart\[0\] "\/bin\/sh": still running after its timeout of 1 s/);
    expect(error).toContain("waiting");
    expect(isAlive(Number(readFileSync(pidFile, "utf8")))).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  test("in time is not killed by its timeout", () => {
    const { path } = makeBundle(withHooks({ prestart: [hook("sleep 0.05", { timeout: 1000 })] }));
    succeed(["run", "--bundle", path, newId()]);
  });

  test("startContainer: the program never runs, and the container can be deleted", () => {
    const { id, output } = createContainer(
      script("echo ran"),
      withHooks({ startContainer: [hook("echo no >&2; exit 2")] }),
    );
    expect(refuse(["start", id])).toMatch(/hooks\.startContainer\[0\] .*exit status 2.*no/);
    expect(statusOf(id)).toBe("stopped");
    expect(output()).toBe("");
    succeed(["delete", id]);
  });

  test("poststart: the container is killed", () => {
    const { id, pid } = createContainer(
      forever,
      withHooks({ poststart: [hook("exit 0"), hook("echo no >&2; exit 2")] }),
    );
    expect(refuse(["start", id])).toMatch(/hooks\.poststart\[1\] .*exit status 2.*no/);
    expect(isAlive(pid)).toBe(false);
    expect(statusOf(id)).toBe("stopped");
    succeed(["delete", id]);
  });

  test("poststart: all of a container without a pid namespace is killed", () => {
    const { id } = createContainer(
      script("sleep 1000 & sleep 1000 & wait"),
      withHooks({ poststart: [hook("sleep 0.2; exit 2")] }),
      (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
      },
    );
    expect(refuse(["start", id])).toContain("hooks.poststart[0]");
    waitUntil(() => succeed(["ps", "--format", "json", id]) === "[]\n", "all of its processes have ended");
    succeed(["delete", id]);
  });

  test("run undoes everything, and still runs the poststop hooks", () => {
    for (const kind of KINDS.filter((kind) => kind !== "poststop")) {
      const log = newLog();
      const { path } = makeBundle((config) => {
        forever(config);
        config.hooks = { [kind]: [hook("exit 4")], poststop: [recorder(log, "poststop")] };
      });
      expect(refuse(["run", "--bundle", path, newId()])).toContain(`hooks.${kind}[0]`);
      expect(read(log, "order")).toBe("poststop\n");
      expect(leftovers()).toEqual([]);
    }
  });

  test("poststop: only a warning, and the next one runs", () => {
    const log = newLog();
    const hooks = {
      poststop: [hook("echo broken >&2; exit 5"), { path: "/no/such/hook" }, recorder(log, "last")],
    };
    const { id } = startContainer(withHooks(hooks));
    waitUntil(() => statusOf(id) === "stopped", "it has ended");
    const { status, stderr } = berth(["delete", id]);
    expect(status).toBe(0);
    expect(lines(stderr)).toEqual([
      expect.stringMatching(/^berth: warning: hooks\.poststop\[0\] .*exit status 5.*broken$/),
      expect.stringMatching(
        /^berth: warning: hooks\.poststop\[1\] "\/no\/such\/hook": .*no such file or directory$/,
      ),
    ]);
    expect(read(log, "order")).toBe("last\n");
    const { path } = makeBundle(withHooks(hooks));
    expect(berth(["run", "--bundle", path, newId()])).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("warning"),
    });
  });

  test("poststop hooks run when everything else is gone", () => {
    const log = newLog();
    const { id, bundle } = createContainer((config) => {
      config.hooks = {
        poststop: [
          hook(
            `ls ${directory}/state > ${log}/states; find /sys/fs/cgroup -path '*${config.linux.cgroupsPath}' > ${log}/cgroups`,
          ),
        ],
      };
    });
    expect(bundle.config.linux.cgroupsPath).not.toBe("");
    succeed(["delete", id]);
    expect(read(log, "states")).toBe("");
    expect(read(log, "cgroups")).toBe("");
  });
});

describe("a hook that hangs", () => {
  /** A create that hangs in this hook, and the host's pid of that. */
  function hang(kind: HookName) {
    const file = join(newLog(), "hangs");
    const { path } = makeBundle(withHooks({ [kind]: [hook(`: > ${file}; exec sleep 1000`)] }));
    const id = newId();
    const creating = spawnBerth(["create", "--bundle", path, id]);
    waitUntil(() => existsSync(file), "the hook runs");
    return { id, creating };
  }

  test("ends when the container's init is killed", async () => {
    for (const kind of CREATING) {
      const { id, creating } = hang(kind);
      expect(statusOf(id)).toBe("creating");
      // Both at once: who waited for the hook would wait for ever, and a hook may be the one to ask.
      expect(refuse(["start", id])).toContain("still being created");
      expect(refuse(["delete", id])).toContain(`cannot delete container ${id} that is not stopped: creating`);
      succeed(["kill", id, "KILL"]);
      const { status, stderr } = await creating.ended;
      expect(status).toBe(1);
      expect(stderr).toMatch(/^berth: hooks\..*\n(hint: .*\n)?$/);
      expect(leftovers()).toEqual([]);
    }
  });

  test("ends, with the creation, by delete --force", async () => {
    for (const kind of CREATING) {
      const { id, creating } = hang(kind);
      succeed(["delete", "--force", id]);
      expect((await creating.ended).status).toBe(1);
      expect(leftovers()).toEqual([]);
    }
  });

  test("ends with the berth that runs it, and the rest is undone by delete --force", async () => {
    for (const kind of CREATING) {
      const { id, creating } = hang(kind);
      creating.kill("SIGKILL");
      await creating.ended;
      succeed(["delete", "--force", id]);
      waitUntil(() => leftovers().length === 0, "nothing is left");
    }
  });
});
