import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
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
const mark = (name: string) =>
  `import * as std from "quickjs:std";\nstd.open("${marks}/${name}", "w").close();\n`;

/** The interpreter of berth's engine as a program of its own, which runs what it is told to. */
const interpreter = join(
  ...[import.meta.dirname, "../../node_modules/@suchipi/quickjs/build"],
  ...[`${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-gnu`, "bin/quickjs-run"],
);
/** Without the launcher, which keeps the environment from it. */
const engine = join(dirname(program), "libexec/berth");
/** The modules that are embedded in it, by their names as files. */
const modules = readdirSync(join(dirname(program), ".bundle")).filter((name) => name.endsWith(".js"));
/** What the engine is linked with, and what it loads. */
const libraries = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libseccomp.so.2"];

beforeAll(() => {
  mkdirSync(hostile);
  const source = join(hostile, "mark.c");
  writeFileSync(
    source,
    `int creat(const char *, unsigned);\n__attribute__((constructor)) static void mark(void) { creat("${marks}/library", 0600); }\n`,
  );
  const compiled = Bun.spawnSync(["cc", "-shared", "-fPIC", "-nostdlib", "-o", library, source]);
  expect(compiled.stderr.toString()).toBe("");
  // Found in place of the host's by whoever obeys LD_LIBRARY_PATH: nothing works with these.
  for (const name of libraries) copyFileSync(library, join(hostile, name));
  expect(modules).toContain("cli-run.js");
});

beforeEach(() => {
  rmSync(marks, { recursive: true, force: true });
  mkdirSync(marks);
});

const left = () => readdirSync(marks);

/** Fills a bundle with all that an engine might load from its working directory: modules, libraries, and programs. */
function poison({ path }: Bundle): void {
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text, { mode: 0o755 });
  };
  for (const name of [...modules, "index.js", "native.js", "quickjs:std", "list", "state", "create"])
    write(name, mark("module"));
  for (const name of libraries) copyFileSync(library, join(path, name));
  for (const name of ["libexec/berth", "libexec/init", "libexec/wait", "berth", "ps", "newuidmap"])
    write(name, `#!/bin/sh\ntouch ${marks}/program\n`);
}

/** The environment that makes the loader and the C library run or write what is not theirs, and what might make an engine. */
const HOSTILE_ENVIRONMENT = {
  PATH: process.env.PATH ?? "",
  LD_PRELOAD: library,
  LD_LIBRARY_PATH: hostile,
  LD_AUDIT: library,
  LD_DEBUG: "all",
  LD_DEBUG_OUTPUT: join(marks, "debug"),
  LD_TRACE_LOADED_OBJECTS: "1",
  LD_SHOW_AUXV: "1",
  LD_PROFILE: "libc.so.6",
  LD_PROFILE_OUTPUT: marks,
  GLIBC_TUNABLES: "glibc.malloc.check=3:glibc.malloc.perturb=165:glibc.rtld.nns=1",
  MALLOC_CHECK_: "3",
  MALLOC_PERTURB_: "165",
  GCONV_PATH: hostile,
  LOCPATH: hostile,
  TZ: `:${hostile}/mark.c`,
  QJS_MODULES: hostile,
  QUICKJS_PATH: hostile,
  NODE_PATH: hostile,
  NODE_OPTIONS: `--require=${hostile}/preload.js`,
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
  test("is one: the interpreter itself runs what lies there", () => {
    const bundle = bundleForAll();
    poison(bundle);
    Bun.spawnSync([interpreter, "-e", 'import("./cli-run.js")'], { cwd: bundle.path, env: {} });
    Bun.spawnSync([interpreter, "main.js"], { cwd: bundle.path, env: {} });
    expect(left()).toEqual(["module"]);
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
  test("is one: the engine obeys it, but for the launcher", () => {
    const run = (env: Record<string, string>) => Bun.spawnSync([engine, "--version"], { env });
    run({ LD_PRELOAD: library });
    expect(left()).toEqual(["library"]);
    expect(run({ LD_TRACE_LOADED_OBJECTS: "1" }).stdout.toString()).toContain("libc.so.6 =>");
    expect(run({ LD_LIBRARY_PATH: hostile }).exitCode).not.toBe(0);
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

  test.for(["", "-berth", "qjs", "node", "main.js", "/no/such/program", "--preload=x", "a".repeat(5000)])(
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

  test("with as many arguments as the kernel takes", () => {
    const many = Array.from({ length: 100_000 }, () => "y");
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/sh", "-c", "echo $#", "sh", ...many];
    });
    for (const args of [
      ["exec", "absent", ...many],
      ["exec", "--", "absent", ...many],
    ])
      expect(berth(args)).toMatchObject({
        status: 255,
        stderr: expect.stringContaining('"absent" does not exist'),
      });
    expect(berth(["run", "-b", bundle.path, newId()])).toMatchObject({ status: 0, stdout: "100000\n" });
    expect(berth(["explain", bundle.path])).toMatchObject({ status: 0, stderr: "" });
  });

  test("and gives its arguments to the engine as they are", () => {
    const { stderr } = berth(["state", "--", "-e console.log(1) ü\n"]);
    expect(stderr).toMatch(/^berth: .*-e console\.log\(1\) ü/);
    for (const flag of ["--eval", "-e", "--module", "-m", "--include", "-I", "--std"])
      expect(berth([flag, mark("flag")]).status).toBe(1);
    expect(left()).toEqual([]);
    expect(existsSync(stateRoot) ? readdirSync(stateRoot) : []).toEqual([]);
  });
});
