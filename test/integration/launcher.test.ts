import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type Bundle,
  berth,
  directory,
  makeBundle,
  newId,
  type Options,
  program,
  stateRoot,
} from "../bundle.ts";
import { runThrough } from "../caller.ts";
import { forever } from "../container.ts";

/** Where what is hostile leaves a mark, a file, when it gets to run. */
const marks = join(directory, "marks");
/** What is hostile, wherever it is loaded from. */
const hostile = join(directory, "hostile");
const library = join(hostile, "mark.so");
const payload = (name: string) =>
  `require("node:fs").writeFileSync(${JSON.stringify(join(marks, name))}, process.argv.join(" "));\n`;

/** Bun itself, which obeys all of this. */
const bun = process.execPath;

beforeAll(() => {
  mkdirSync(hostile);
  for (const name of ["preload.js", "inspect.js", "require.js"])
    writeFileSync(join(hostile, name), payload(name));
  const source = join(hostile, "mark.c");
  writeFileSync(
    source,
    `int creat(const char *, unsigned);\n__attribute__((constructor)) static void mark(void) { creat("${marks}/library", 0600); }\n`,
  );
  const compiled = Bun.spawnSync(["cc", "-shared", "-fPIC", "-nostdlib", "-o", library, source]);
  expect(compiled.stderr.toString()).toBe("");
  // Found in place of the host's by whoever obeys LD_LIBRARY_PATH: nothing works with these.
  for (const name of ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"])
    copyFileSync(library, join(hostile, name));
});

beforeEach(() => {
  rmSync(marks, { recursive: true, force: true });
  mkdirSync(marks);
});

const left = () => readdirSync(marks);

/** Fills a bundle with all that an engine might load from its working directory. */
function poison({ path }: Bundle): void {
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text, { mode: 0o755 });
  };
  write("bunfig.toml", `preload = ["./evil.js"]\n[run]\nbun = true\n[test]\npreload = ["./evil.js"]\n`);
  write("evil.js", payload("bunfig"));
  for (const name of [".env", ".env.local", ".env.production", ".env.development"]) {
    write(
      name,
      `BUN_OPTIONS=--preload=${hostile}/preload.js\nBERTH_FDS=9\nBERTH_NOFILE=7:8\nXDG_RUNTIME_DIR=${marks}\n`,
    );
  }
  const modules = ["zod", "zod/mini", "pino", "bun:ffi", "node:fs", "fs", "berth"];
  for (const name of modules) write(`node_modules/${name}/index.js`, payload(name.replace("/", "-")));
  write(
    "package.json",
    JSON.stringify({
      name: "evil",
      type: "commonjs",
      main: "main.js",
      bin: "main.js",
      scripts: Object.fromEntries(
        ["run", "create", "list", "state", "prerun"].map((verb) => [verb, `touch ${marks}/script`]),
      ),
      imports: { "#*": "./evil.js" },
    }),
  );
  write(
    "tsconfig.json",
    JSON.stringify({
      compilerOptions: { baseUrl: ".", paths: { "*": ["./evil.js"] }, jsxImportSource: "./evil.js" },
    }),
  );
  for (const name of ["main.js", "index.js", "index.ts", "src/main.ts", "list", "state", "create", "run.ts"])
    write(name, payload(`file-${basename(name)}`));
  for (const name of ["libexec/berth", "libexec/init", "libexec/wait", "libexec/native.so", "berth", "ps"])
    write(name, `#!/bin/sh\ntouch ${marks}/program\n`);
}

/** The environment that makes Bun, Node and the loader run what is not theirs. */
const HOSTILE_ENVIRONMENT = {
  PATH: process.env.PATH ?? "",
  BUN_OPTIONS: `--preload=${hostile}/preload.js`,
  BUN_BE_BUN: "1",
  BUN_INSPECT: "ws://127.0.0.1:0/?break=1",
  BUN_INSPECT_PRELOAD: `${hostile}/inspect.js`,
  BUN_INSPECT_CONNECT_TO: `unix://${hostile}/absent`,
  BUN_CONFIG_PRELOAD: `${hostile}/preload.js`,
  BUN_JSC_dumpOptions: "2",
  BUN_JSC_forceRAMSize: "1",
  BUN_DEBUG_QUIET_LOGS: "0",
  BUN_GC_TIMER_DISABLE: "1",
  NODE_OPTIONS: `--require=${hostile}/require.js`,
  NODE_PATH: hostile,
  LD_PRELOAD: library,
  LD_LIBRARY_PATH: hostile,
  LD_AUDIT: library,
  LD_DEBUG: "all",
  GCONV_PATH: hostile,
  MALLOC_CHECK_: "3",
  BERTH_FDS: "9",
  BERTH_NOFILE: "7:8",
};

type Call = (...args: string[]) => {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** Calls each command, on containers of the bundle in the working directory, and expects what each should do. */
function callAll(call: Call): void {
  const id = newId();
  const quiet = { status: 0, stderr: "" };
  const silent = { ...quiet, stdout: "" };
  expect(call("--version")).toMatchObject({ ...quiet, stdout: expect.stringMatching(/^berth version /) });
  expect(call("--help")).toMatchObject({ ...quiet, stdout: expect.stringContaining("COMMANDS") });
  expect(call("create", id)).toMatchObject(silent);
  try {
    expect(call("state", id)).toMatchObject({ ...quiet, stdout: expect.stringContaining('"created"') });
    expect(call("start", id)).toMatchObject(silent);
    expect(call("list", "--quiet")).toMatchObject({ ...quiet, stdout: `${id}\n` });
    expect(call("ps", "--format", "json", id)).toMatchObject({
      ...quiet,
      stdout: expect.stringMatching(/^\[\d+\]\n?$/),
    });
    expect(call("ps", id)).toMatchObject({ ...quiet, stdout: expect.stringContaining("sleep 1000") });
    expect(call("exec", id, "/bin/echo", "inside")).toMatchObject({ ...quiet, stdout: "inside\n" });
    expect(call("exec", id, "/no/such")).toMatchObject({ status: 255, stdout: "" });
    expect(call("pause", id)).toMatchObject(silent);
    expect(call("resume", id)).toMatchObject(silent);
    expect(call("kill", id, "KILL")).toMatchObject(silent);
  } finally {
    expect(call("delete", "--force", id)).toMatchObject(silent);
  }
  expect(call("explain", ".")).toMatchObject({ ...quiet, stdout: expect.stringContaining("execve") });
  expect(call("run", "--config", "short.json", newId())).toMatchObject({ ...quiet, stdout: "ran\n" });
  const written = `spec-${newId()}`;
  mkdirSync(join(directory, written));
  expect(call("spec", "--bundle", join(directory, written))).toMatchObject(silent);
  expect(existsSync(join(directory, written, "config.json"))).toBe(true);
  expect(call("state", "absent")).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^berth: .*does not exist/),
  });
}

/** A bundle for {@link callAll}. */
function bundleForAll(): Bundle {
  const bundle = makeBundle(forever);
  const short = { ...bundle.config, process: { ...bundle.config.process, args: ["/bin/echo", "ran"] } };
  writeFileSync(join(bundle.path, "short.json"), JSON.stringify(short));
  return bundle;
}

const calling =
  (options: Options): Call =>
  (...args) =>
    berth(args, options);

describe("a hostile working directory", () => {
  test("is one: Bun itself runs what lies there", () => {
    const bundle = bundleForAll();
    poison(bundle);
    const found = Bun.spawnSync([bun, "-p", "process.env.BERTH_FDS"], {
      cwd: bundle.path,
      env: { PATH: "" },
    });
    expect(found.stdout.toString()).toBe("9\n");
    expect(left()).toContain("bunfig");
  });

  test("has no say in any command", () => {
    const bundle = bundleForAll();
    poison(bundle);
    callAll(calling({ cwd: bundle.path }));
    expect(left()).toEqual([]);
  });

  test("nor in what goes wrong, or is unknown", () => {
    const bundle = bundleForAll();
    poison(bundle);
    for (const args of [["no-such-command"], ["--no-such-flag"], ["create"], ["--debug", "state", "absent"]])
      expect(berth(args, { cwd: bundle.path }).status).toBeGreaterThan(0);
    expect(left()).toEqual([]);
  });

  test("may be gone", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/echo", "ran"];
    });
    const gone = join(directory, "gone");
    mkdirSync(gone);
    expect(runThrough('rmdir "$PWD"; exec "$@"', bundle, { cwd: gone })).toMatchObject({
      status: 0,
      stdout: "ran\n",
      stderr: "",
    });
  });
});

describe("a hostile environment", () => {
  test("is one: Bun and the loader obey it", () => {
    Bun.spawnSync([bun, join(hostile, "require.js")], {
      env: { BUN_OPTIONS: HOSTILE_ENVIRONMENT.BUN_OPTIONS },
    });
    Bun.spawnSync(["/bin/true"], { env: { LD_PRELOAD: library } });
    expect(left()).toEqual(expect.arrayContaining(["preload.js", "library"]));
  });

  test("has no say in any command", () => {
    const bundle = bundleForAll();
    poison(bundle);
    callAll(calling({ cwd: bundle.path, env: HOSTILE_ENVIRONMENT }));
    expect(left()).toEqual([]);
  });

  test.for(Object.keys(HOSTILE_ENVIRONMENT).filter((name) => name !== "PATH"))("nor %s alone", (name) => {
    const env = { [name]: HOSTILE_ENVIRONMENT[name as keyof typeof HOSTILE_ENVIRONMENT] };
    const { status, stdout, stderr } = berth(["--version"], { env });
    expect({ status, stderr, first: stdout.split(" ")[0] }).toEqual({
      status: 0,
      stderr: "",
      first: "berth",
    });
    expect(left()).toEqual([]);
  });

  test("cannot speak for the launcher", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/sh", "-c", "ulimit -n; ulimit -Hn"];
      config.process.rlimits = [];
    });
    const env = { ...process.env, BERTH_NOFILE: "7:8", BERTH_FDS: "9" } as Record<string, string>;
    expect(runThrough('ulimit -Sn 300; ulimit -Hn 400; exec "$@"', bundle, { env }).stdout).toBe(
      "300\n400\n",
    );
    const refused = runThrough('exec "$@"', bundle, { env, options: ["--preserve-fds", "1"] });
    expect(refused.stderr).toContain("descriptor 3 is not open");
  });

  test("does not reach the container", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/busybox", "env"];
      config.process.env = ["HOME=/"];
    });
    const { stdout } = berth(["run", "--bundle", bundle.path, newId()], { env: HOSTILE_ENVIRONMENT });
    expect(stdout).toBe("HOME=/\n");
  });
});

describe("an environment", () => {
  test("that is empty is enough for every command", () => {
    callAll(calling({ cwd: bundleForAll().path, env: {} }));
  });

  test("with an empty XDG_RUNTIME_DIR is as without", () => {
    callAll(calling({ cwd: bundleForAll().path, env: { XDG_RUNTIME_DIR: "" } }));
    const list = (env: Record<string, string>) => berth(["list", "--quiet"], { env, root: null });
    expect(list({ XDG_RUNTIME_DIR: "" })).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(join(directory, "berth"))).toBe(false);
  });

  test("of very many variables is passed over", () => {
    const env = Object.fromEntries(
      Array.from({ length: 5000 }, (_, i) => [`VARIABLE_${i}`, "x".repeat(100)]),
    );
    callAll(calling({ cwd: bundleForAll().path, env: { ...env, PATH: "/bin" } }));
  });
});

describe("the program may be called", () => {
  const version = (
    command: string[],
    options: { cwd?: string; argv0?: string; env?: Record<string, string> } = {},
  ) => {
    const child = Bun.spawnSync(command, options);
    return {
      status: child.exitCode,
      stdout: child.stdout.toString().split(" ")[0],
      stderr: child.stderr.toString(),
    };
  };
  const fine = { status: 0, stdout: "berth", stderr: "" };

  test("through a symlink, and a chain of them", () => {
    const link = join(directory, "link");
    symlinkSync(program, link);
    symlinkSync("link", join(directory, "chain"));
    expect(version([link, "--version"])).toEqual(fine);
    expect(version([join(directory, "chain"), "--version"])).toEqual(fine);
  });

  test("by a relative path, or found in PATH", () => {
    expect(version(["./berth", "--version"], { cwd: dirname(program) })).toEqual(fine);
    expect(version(["../berth", "--version"], { cwd: join(dirname(program), "libexec") })).toEqual(fine);
    expect(version(["env", `PATH=${dirname(program)}`, "berth", "--version"])).toEqual(fine);
  });

  test.for(["", "-berth", "bun", "node", "bunx", "/no/such/program", "--preload=x", "a".repeat(5000)])(
    "as argv[0] %j",
    (argv0) => {
      expect(version([program, "--version"], { argv0 })).toEqual(fine);
    },
  );

  test("from an installation without an engine, and says so", () => {
    const alone = join(directory, "alone");
    mkdirSync(alone);
    copyFileSync(program, join(alone, "berth"));
    const { status, stderr } = version([join(alone, "berth"), "--version"]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "berth: cannot execute libexec/berth beside this program: is the installation complete?\n",
    });
  });

  test("and gives its arguments to the engine as they are", () => {
    const { stderr } = berth(["state", "--", "-e console.log(1) ü\n"]);
    expect(stderr).toMatch(/^berth: .*-e console\.log\(1\) ü/);
    for (const flag of ["--eval", "-e", "--print", "--inspect", "-r", "--preload"])
      expect(berth([flag, `require("fs").writeFileSync("${marks}/flag","")`]).status).toBe(1);
    expect(left()).toEqual([]);
    expect(existsSync(stateRoot) ? readdirSync(stateRoot) : []).toEqual([]);
  });
});
