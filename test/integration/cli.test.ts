import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  berth,
  directory,
  leftovers,
  makeBundle,
  newId,
  type Options,
  stateRoot,
  waitUntil,
} from "../bundle.ts";

/** A directory of a test's own. */
function newDirectory(): string {
  const path = join(directory, `dir-${newId()}`);
  mkdirSync(path);
  return path;
}

/** A container that sleeps, created and maybe started; deleted after `use`. */
function withContainer(steps: readonly "start"[], use: (id: string, bundle: string) => void): void {
  const id = newId();
  const { path } = makeBundle((config) => {
    config.process.args = ["/bin/sleep", "1000"];
    config.annotations = { "org.example.a": "1" };
  });
  try {
    expect(berth(["create", "--bundle", path, id])).toMatchObject({ status: 0, stdout: "", stderr: "" });
    for (const step of steps) expect(berth([step, id])).toMatchObject({ status: 0, stdout: "", stderr: "" });
    use(id, path);
  } finally {
    berth(["delete", "--force", id]);
  }
}

const state = (id: string) => JSON.parse(berth(["state", id]).stdout) as Record<string, unknown>;
const lastLine = (text: string) => text.trimEnd().split("\n").at(-1) ?? "";

describe("help and version", () => {
  test("the first three lines of --version are those that Docker and containerd read", () => {
    for (const flag of ["--version", "-v"]) {
      const { status, stdout, stderr } = berth([flag], { root: null });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout.split("\n").slice(0, 3)).toEqual([
        expect.stringMatching(/^berth version \d+\.\d+\.\d+$/),
        expect.stringMatching(/^commit: \S+$/),
        "spec: 1.3.0",
      ]);
    }
  });

  test("all ways to ask for help lead to it, on stdout, with status 0", () => {
    const { stdout } = berth([], { root: null });
    expect(stdout).toMatch(/^NAME:\n {3}berth - /);
    for (const name of [
      "create",
      "start",
      "state",
      "kill",
      "delete",
      "run",
      "list",
      "spec",
      "pause",
      "resume",
      "ps",
      "explain",
    ])
      expect(stdout).toMatch(new RegExp(`^ {3}${name} +\\S`, "m"));
    for (const args of [["help"], ["h"], ["--help"], ["-h"], ["--help", "create"]])
      expect(berth(args, { root: null })).toMatchObject({ status: 0, stdout, stderr: "" });
  });

  test("and so for each command", () => {
    const { stdout } = berth(["help", "run"], { root: null });
    expect(stdout).toContain("--detach, -d");
    for (const args of [
      ["run", "--help"],
      ["run", "-h"],
      ["run", "--keep", "id", "--help"],
    ])
      expect(berth(args, { root: null })).toMatchObject({ status: 0, stdout, stderr: "" });
  });
});

describe("mistakes in the command line", () => {
  test("an unknown command is refused, with the nearest one", () => {
    const { status, stdout, stderr } = berth(["crate", "id"]);
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(stderr).toBe('berth: unknown command "crate"\nhint: did you mean "berth create"?\n');
  });

  // Podman asks "checkpoint --help" whether checkpoints are supported, and takes status 0 for a yes.
  test.each(["checkpoint", "restore"])("%s is not there yet, nor its help", (name) => {
    expect(berth([name, "--help"]).status).toBe(3);
  });

  test.each([
    [["start"], '"start" requires exactly 1 argument(s)'],
    [["state", "a", "b"], '"state" requires exactly 1 argument(s)'],
    [["kill"], '"kill" requires a minimum of 1 argument(s)'],
    [["kill", "a", "9", "c"], '"kill" requires a maximum of 2 argument(s)'],
    [["list", "a"], '"list" requires exactly 0 argument(s)'],
  ])("%j: the usage on stdout, the error on stderr", (args, message) => {
    const { status, stdout, stderr } = berth(args);
    expect({ status, stderr }).toEqual({ status: 1, stderr: `berth: ${message}\n` });
    expect(stdout).toMatch(new RegExp(`^Incorrect Usage\\.\n\nNAME:\n {3}berth ${args[0]} - `));
  });

  test("an unknown option of a command", () => {
    const { status, stdout, stderr } = berth(["create", "--no-pviot", "id"]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "berth: flag provided but not defined: -no-pviot\nhint: did you mean --no-pivot?\n",
    });
    expect(stdout).toMatch(
      /^Incorrect Usage: flag provided but not defined: -no-pviot\n\nNAME:\n {3}berth create/,
    );
  });

  test("an unknown option before the command", () => {
    const { status, stdout, stderr } = berth(["--systemd", "list"]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "berth: flag provided but not defined: -systemd\n",
    });
    expect(stdout).toMatch(
      /^Incorrect Usage\. flag provided but not defined: -systemd\n\nNAME:\n {3}berth - /,
    );
  });

  test("a value that is none of the allowed", () => {
    expect(berth(["--log-format", "xml", "list"])).toMatchObject({
      status: 1,
      stdout: "",
      stderr: "berth: invalid log-format: xml\nhint: --log-format is one of: text, json\n",
    });
    expect(berth(["list", "--format", "xml"]).status).toBe(1);
  });

  test("without stdout and stderr, the status still tells", () => {
    const program = join(import.meta.dirname, "../../dist/berth");
    expect(Bun.spawnSync(["/bin/sh", "-c", `${program} state nobody >&- 2>&-`]).exitCode).toBe(1);
  });

  test("a reader who has gone ends it as SIGPIPE would", () => {
    const program = join(import.meta.dirname, "../../dist/berth");
    const line = `{ sleep 0.2; ${program} --help; echo $? >"$1"; } | true`;
    const out = join(newDirectory(), "status");
    Bun.spawnSync(["/bin/sh", "-c", line, "sh", out]);
    waitUntil(() => existsSync(out) && readFileSync(out, "utf8") !== "", "berth has ended");
    expect(readFileSync(out, "utf8")).toBe("141\n");
  });
});

describe("the root of states", () => {
  test("must not be /", () => {
    for (const root of ["/", "//", "/.", "/tmp/.."])
      expect(berth(["list"], { root })).toMatchObject({ status: 1, stdout: "" });
  });

  test("is relative to the working directory", () => {
    const cwd = newDirectory();
    const id = newId();
    const bundle = makeBundle();
    expect(berth(["create", "--bundle", bundle.path, id], { cwd, root: "states" }).status).toBe(0);
    try {
      expect(existsSync(join(cwd, "states", id, "state.json"))).toBe(true);
    } finally {
      berth(["delete", "--force", id], { cwd, root: "states" });
    }
  });

  test("must be there when it is named; by default it need not", () => {
    const root = join(directory, "nowhere");
    expect(berth(["list"], { root })).toMatchObject({
      status: 1,
      stdout: "",
      stderr: `berth: list containers in "${root}": no such file or directory\n`,
    });
    expect(existsSync(root)).toBe(false);
    // Podman's environment for kill, delete, pause and resume: an empty XDG_RUNTIME_DIR and nothing else.
    expect(berth(["list"], { root: null, env: { XDG_RUNTIME_DIR: "" } }).status).toBe(0);
  });
});

describe("logs", () => {
  function failure(args: readonly string[], options: Options = {}): { lines: string[]; stderr: string } {
    const file = join(newDirectory(), "log");
    const { status, stderr } = berth(["--log", file, ...args, "state", "nobody"], options);
    expect(status).toBe(1);
    return { lines: readFileSync(file, "utf8").split("\n"), stderr };
  }
  const message = 'container "nobody" does not exist: container does not exist';

  test("JSON: one line for one failure, and a plain one on stderr", () => {
    const { lines, stderr } = failure(["--log-format", "json"]);
    expect(lines).toHaveLength(2);
    const { level, msg, time, ...rest } = JSON.parse(lines[0] ?? "") as Record<string, string>;
    expect({ level, msg, rest }).toEqual({ level: "error", msg: message, rest: {} });
    expect(Math.abs(Date.parse(time ?? "") - Date.now())).toBeLessThan(60_000);
    expect(stderr).toBe(`berth: ${message}\n`);
  });

  test("text is the default of a file", () => {
    const { lines } = failure([]);
    expect(lines[0]).toMatch(/^time="[^"]+" level=error msg="container \\"nobody\\" does not exist: /);
  });

  test("on stderr, a format replaces the plain line", () => {
    const { stderr } = berth(["--log-format=json", "state", "nobody"]);
    expect(JSON.parse(stderr)).toMatchObject({ level: "error", msg: message });
  });

  test("a log is added to, and made with mode 0644", () => {
    const file = join(newDirectory(), "log");
    for (let i = 0; i < 3; i++) berth(["--log", file, "--log-format", "json", "state", "nobody"]);
    expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(3);
    expect(statSync(file).mode & 0o777).toBe(0o644 & ~process.umask());
  });

  test("several problems are one line in the log, and one each on stderr", () => {
    const bundle = makeBundle();
    writeFileSync(join(bundle.path, "config.json"), JSON.stringify({ ociVersion: 1, root: 2, linux: {} }));
    const file = join(newDirectory(), "log");
    const { stderr } = berth(["--log", file, "--log-format", "json", "create", "-b", bundle.path, newId()]);
    const { msg } = JSON.parse(readFileSync(file, "utf8")) as { msg: string };
    expect(stderr.split("\n").length).toBeGreaterThan(3);
    for (const path of ["ociVersion", "root", "linux.namespaces"]) {
      expect(msg).toContain(path);
      expect(stderr).toMatch(new RegExp(`^ +${path}: `, "m"));
    }
  });

  test("a warning about config.json goes to the log, or without one to stderr", () => {
    const bundle = makeBundle();
    writeFileSync(join(bundle.path, "config.json"), JSON.stringify({ ...bundle.config, hostnam: "x" }));
    const file = join(newDirectory(), "log");
    const logged = berth(["--log", file, "--log-format", "json", "run", "-b", bundle.path, newId()]);
    expect(logged).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({
      level: "warning",
      msg: expect.stringContaining("hostnam"),
    });
    expect(berth(["run", "-b", bundle.path, newId()]).stderr).toMatch(/^berth: warning: .*hostnam/);
    expect(berth(["--log-level", "error", "run", "-b", bundle.path, newId()]).stderr).toBe("");
  });

  test("--debug tells where an error comes from, and ends with the error", () => {
    const { lines, stderr } = failure(["--log-format", "json", "--debug"]);
    const parsed = lines.filter(Boolean).map((line) => JSON.parse(line) as { level: string; msg: string });
    expect(parsed.map(({ level }) => level)).toEqual(["debug", "error"]);
    expect(parsed[0]?.msg.split("\n")[0]).toBe(`BerthError: ${message}`);
    expect(parsed[0]?.msg).toMatch(/\n +at /);
    expect(stderr).toBe(`berth: ${message}\n`);
  });

  test("scripts/where.mjs finds that place in src/", () => {
    const { stderr } = berth(["--debug", "create", "-b", newDirectory(), newId()]);
    const script = join(import.meta.dirname, "../../scripts/where.mjs");
    const found = Bun.spawnSync(["node", script], { stdin: Buffer.from(stderr) }).stdout.toString();
    const source = readFileSync(join(import.meta.dirname, "../../src/runtime/bundle.ts"), "utf8").split("\n");
    // The error, and the one that it came from.
    const lines = [...found.matchAll(/\(src\/runtime\/bundle\.ts:(\d+):\d+\)/g)].map(
      ([, line]) => source[Number(line) - 1],
    );
    expect(lines).toEqual([
      expect.stringContaining("throw new BerthError("),
      expect.stringContaining("readBundleFile(file, path)"),
      expect.stringContaining("return readText(file)"),
      expect.stringContaining("readBundleFile(file, path)"),
    ]);
  });

  test("a log that cannot be opened is an error", () => {
    const { status, stderr } = berth(["--log", join(directory, "nowhere/log"), "list"]);
    expect(status).toBe(1);
    expect(stderr).toContain("no such file or directory");
  });
});

describe("spec", () => {
  test("writes a config.json that berth accepts, indented with tabs", () => {
    const cwd = newDirectory();
    mkdirSync(join(cwd, "rootfs"));
    expect(berth(["spec"], { cwd })).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const text = readFileSync(join(cwd, "config.json"), "utf8");
    expect(text).toMatch(/^\{\n\t"ociVersion": "/);
    expect(text).toMatch(/[^\n]$/);
    expect(statSync(join(cwd, "config.json")).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(berth(["explain"], { cwd }).status).toBe(0);
  });

  test("does not overwrite one", () => {
    const path = newDirectory();
    writeFileSync(join(path, "config.json"), "mine");
    const { status, stderr } = berth(["spec", "--bundle", path]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `berth: File config.json exists. Remove it first\nhint: it is "${path}/config.json"\n`,
    });
    expect(readFileSync(join(path, "config.json"), "utf8")).toBe("mine");
  });

  test("--rootless maps the caller into a user namespace", () => {
    const path = newDirectory();
    expect(berth(["spec", "--rootless", "-b", path]).status).toBe(0);
    const { linux } = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
    expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: process.geteuid?.(), size: 1 }]);
    expect(linux.namespaces).toContainEqual({ type: "user" });
    expect(linux.resources).toBeUndefined();
  });
});

describe("the cgroup manager", () => {
  test("--systemd-cgroup=false is as if it were not there", () => {
    expect(berth(["--systemd-cgroup=false", "run", "--bundle", makeBundle().path, newId()]).status).toBe(0);
  });
});

describe("containers", () => {
  test("state is JSON of two spaces, in runc's order, without a final line break", () => {
    withContainer([], (id, bundle) => {
      const { stdout } = berth(["state", id]);
      const found = JSON.parse(stdout) as Record<string, unknown>;
      expect(stdout).toBe(JSON.stringify(found, null, 2));
      expect(Object.keys(found)).toEqual([
        "ociVersion",
        "id",
        "pid",
        "status",
        "bundle",
        "rootfs",
        "created",
        "annotations",
        "owner",
      ]);
      expect(found).toMatchObject({
        id,
        status: "created",
        bundle,
        rootfs: join(bundle, "rootfs"),
        annotations: { "org.example.a": "1" },
        owner: "",
      });
      expect(readFileSync(`/proc/${found.pid}/stat`, "utf8")).toContain("(");
    });
  });

  test("list as table, as JSON and as ids", () => {
    expect(berth(["list", "--format", "json"], { root: newDirectory() }).stdout).toBe("null\n");
    withContainer(["start"], (id, bundle) => {
      const { pid, created } = state(id);
      const [header, row] = berth(["list"]).stdout.split("\n");
      expect(header?.split(/ {3,}/)).toEqual(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
      expect(row?.split(/ {3,}/)).toEqual([id, String(pid), "running", bundle, created, "root"]);
      const { stdout } = berth(["list", "-f", "json"]);
      expect(stdout).toMatch(/^\[.*\]\n$/);
      expect(JSON.parse(stdout)).toEqual([{ ...state(id), owner: "root" }]);
      expect(berth(["list", "-q"]).stdout).toBe(`${id}\n`);
    });
  });

  test("a damaged entry does not hide the others in list", () => {
    withContainer([], (id) => {
      const bad = join(stateRoot, "bad");
      mkdirSync(bad);
      writeFileSync(join(bad, "state.json"), "{");
      try {
        const { status, stdout, stderr } = berth(["list", "-q"]);
        expect({ status, stdout }).toEqual({ status: 0, stdout: `${id}\n` });
        expect(stderr).toMatch(/^berth: warning: load container bad: .*damaged/);
      } finally {
        rmSync(bad, { recursive: true });
      }
    });
  });

  test("ps as JSON and as the host's table", () => {
    withContainer(["start"], (id) => {
      const { pid } = state(id);
      expect(berth(["ps", "--format", "json", id]).stdout).toBe(`[${pid}]\n`);
      const [header, row, ...rest] = berth(["ps", id], { env: {} }).stdout.trimEnd().split("\n");
      expect(header).toMatch(/\bPID\b.*\bCMD\b/);
      expect(row).toMatch(new RegExp(`\\b${pid}\\b.*sleep 1000`));
      expect(rest).toEqual([]);
      expect(berth(["ps", id, "-o", "comm,pid"]).stdout).toMatch(
        new RegExp(`^COMMAND +PID\nsleep +${pid}\n$`),
      );
      expect(berth(["ps", id, "-o", "comm"])).toMatchObject({ status: 1, stdout: "" });
    });
  });

  test.each(["KILL", "SIGKILL", "sigkill", "9"])("kill with %s", (signal) => {
    withContainer(["start"], (id) => {
      expect(berth(["kill", id, signal])).toMatchObject({ status: 0, stdout: "", stderr: "" });
      waitUntil(() => state(id).status === "stopped", "the container has stopped");
      expect(lastLine(berth(["kill", id]).stderr)).toContain("container not running");
      expect(berth(["kill", "--all", id, "9"]).status).toBe(0);
    });
  });

  test("kill of an unknown signal says so", () => {
    expect(berth(["kill", "nobody", "KILLL"])).toMatchObject({
      status: 1,
      stdout: "",
      stderr: 'berth: unknown signal "KILLL"\nhint: did you mean KILL?\n',
    });
  });

  test("pause and resume, and what their state forbids", () => {
    withContainer(["start"], (id) => {
      expect(lastLine(berth(["resume", id]).stderr)).toContain("container not paused");
      expect(berth(["pause", id])).toMatchObject({ status: 0, stdout: "", stderr: "" });
      expect(state(id).status).toBe("paused");
      expect(berth(["resume", id])).toMatchObject({ status: 0, stdout: "", stderr: "" });
      expect(state(id).status).toBe("running");
    });
  });

  test("delete wants force for one that runs", () => {
    withContainer(["start"], (id) => {
      const { status, stderr } = berth(["delete", id]);
      expect(status).toBe(1);
      expect(stderr).toContain(`cannot delete container ${id} that is not stopped: running`);
      expect(berth(["delete", "-f", id])).toMatchObject({ status: 0, stdout: "", stderr: "" });
      expect(berth(["state", id]).stderr).toContain("container does not exist");
    });
  });

  test("delete of one that is not there: an error, but not with force", () => {
    expect(berth(["delete", "nobody"]).stderr).toContain("container does not exist");
    expect(berth(["delete", "--force", "nobody"])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });

  test("an id that is there", () => {
    withContainer([], (id, bundle) => {
      const { status, stderr } = berth(["create", "--bundle", bundle, id]);
      expect(status).toBe(1);
      expect(stderr).toContain("container with given ID already exists");
    });
  });

  test("the pid file has the pid and nothing else; paths are relative to the working directory", () => {
    const id = newId();
    const { path } = makeBundle();
    const cwd = newDirectory();
    expect(berth(["create", `--bundle=${path}`, "-pid-file", "pid", id], { cwd }).status).toBe(0);
    expect(readFileSync(join(cwd, "pid"), "utf8")).toBe(String(state(id).pid));
    expect(berth(["delete", id]).status).toBe(0);
  });

  test("run takes another config file, and gives the exit status", () => {
    const { path, config } = makeBundle();
    const file = join(newDirectory(), "other.json");
    const process = { ...config.process, args: ["/bin/sh", "-c", "echo out; exit 7"] };
    writeFileSync(file, JSON.stringify({ ...config, process }));
    expect(berth(["run", "-f", file, "-b", path, newId()])).toMatchObject({ status: 7, stdout: "out\n" });
  });

  test("run --keep leaves the stopped container, --detach the running one", () => {
    const kept = newId();
    const { path } = makeBundle();
    expect(berth(["run", "--keep", "--bundle", path, kept]).status).toBe(0);
    expect(state(kept)).toMatchObject({ status: "stopped", pid: 0 });
    expect(berth(["delete", kept]).status).toBe(0);

    const detached = newId();
    const sleeper = makeBundle((config) => {
      config.process.args = ["/bin/sleep", "1000"];
    });
    expect(berth(["run", "-d", "--bundle", sleeper.path, detached]).status).toBe(0);
    expect(state(detached).status).toBe("running");
    expect(berth(["delete", "--force", detached]).status).toBe(0);
  });

  test("--cgroup-manager disabled leaves the container in the caller's cgroup", () => {
    const own = readFileSync("/proc/self/cgroup", "utf8");
    const { path } = makeBundle((config) => {
      config.process.args = ["/bin/sleep", "1000"];
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
    });
    const id = newId();
    expect(berth(["--cgroup-manager", "disabled", "run", "-d", "--bundle", path, id]).status).toBe(0);
    expect(readFileSync(`/proc/${state(id).pid}/cgroup`, "utf8")).toBe(own);
    expect(berth(["delete", "--force", id]).status).toBe(0);
  });
});

describe("explain", () => {
  test("prints the Plan, needs no root and changes nothing", () => {
    const bundle = makeBundle();
    const program = join(import.meta.dirname, "../../dist/berth");
    // It must be able to get at the program and the bundle, and at nothing that only root may have.
    const { exitCode, stdout, stderr } = Bun.spawnSync(
      ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, "explain", bundle.path],
      { env: { PATH: process.env.PATH ?? "" } },
    );
    expect(stderr.toString()).toBe("");
    expect(exitCode).toBe(0);
    const text = stdout.toString();
    for (const line of [
      /^berth: cgroup$/m,
      /^init: mounts$/m,
      /^ {2}mounts\[0\] \/proc$/m,
      /fsopen\(type: "proc", flags: FSOPEN_CLOEXEC\)/,
      /start init: clone3 with CLONE_NEWNS\|CLONE_NEWUTS\|CLONE_NEWIPC\|CLONE_NEWPID\|CLONE_NEWNET,/,
      /sethostname\(name: "test", size: 4\)/,
      /execve\(path: "\/bin\/true", argv: \["\/bin\/true"\]/,
    ])
      expect(text).toMatch(line);
    expect(leftovers()).toEqual([]);
  });

  test("JSON has the same steps, and hooks in their place", () => {
    const hook = { path: "/bin/true", args: ["true", "x"] };
    const bundle = makeBundle((config) => {
      config.hooks = { createRuntime: [hook], createContainer: [hook], poststop: [hook] };
    });
    const { stdout, status } = berth(["explain", "--format", "json", bundle.path]);
    expect(status).toBe(0);
    const groups = JSON.parse(stdout) as { by: string; phase: string; steps: Record<string, unknown>[] }[];
    const order = groups.map(({ by, phase }) => `${by}: ${phase}`);
    const places = [
      "berth: cgroup",
      "berth: namespaces",
      "init: mounts",
      "init: hooks",
      "hook, on the host: hooks",
      "hook, in the container's namespaces: hooks",
      "init: pivot",
      "init: start",
      "hook, on the host, after delete: hooks",
    ].map((place) => order.indexOf(place));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    const proc = groups.flatMap(({ steps }) => steps).find(({ call }) => call === "fsopen");
    expect(proc).toMatchObject({
      kind: "call",
      path: "mounts[0]",
      subject: "/proc",
      result: "context",
      arguments: { type: '"proc"', flags: "FSOPEN_CLOEXEC" },
    });
  });

  test("refuses what create would refuse", () => {
    const bundle = makeBundle((config) => {
      config.process.args = [];
    });
    expect(berth(["explain", bundle.path]).status).toBe(1);
  });
});
