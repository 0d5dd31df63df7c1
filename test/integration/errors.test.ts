import { closeSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  berth,
  type Config,
  directory,
  leftovers,
  makeBundle,
  newId,
  program,
  stateRoot,
} from "../bundle.ts";
import { createContainer, forever, refuse, script, statusOf, succeed } from "../container.ts";

/** Numbers of <linux/elf-em.h>. */
const MACHINES = { x64: 62, arm64: 183 } as const;
const RISCV = 243;
const HERE = process.arch === "arm64" ? MACHINES.arm64 : MACHINES.x64;

/** An ELF program, with nothing in it but the name of a loader. */
function elf(machine: number, loader: string): Uint8Array {
  const PT_INTERP = 3;
  const name = new TextEncoder().encode(`${loader}\0`);
  const bytes = new Uint8Array(64 + 56 + name.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 3, true); // e_type: ET_DYN
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true); // e_version
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint16(52, 64, true); // e_ehsize
  view.setUint16(54, 56, true); // e_phentsize
  view.setUint16(56, 1, true); // e_phnum
  view.setUint32(64, PT_INTERP, true);
  view.setUint32(68, 4, true); // PF_R
  view.setBigUint64(72, 120n, true); // p_offset
  view.setBigUint64(96, BigInt(name.length), true); // p_filesz
  view.setBigUint64(104, BigInt(name.length), true); // p_memsz
  bytes.set(name, 120);
  return bytes;
}

interface Case {
  readonly what: string;
  /** Which verb finds it out. */
  readonly verb: "create" | "start";
  readonly args: string[];
  readonly file?: { readonly content: string | Uint8Array; readonly mode?: number };
  readonly patch?: (config: Config, rootfs: string) => void;
  /** All of these are in the error; the first is what engines search for. */
  readonly says: readonly string[];
}

const CASES: readonly Case[] = [
  {
    what: "is not in PATH",
    verb: "create",
    args: ["nothing"],
    says: ["executable file not found in", 'no "nothing" in the directories of PATH', "/usr/local/sbin"],
  },
  {
    what: "is searched for without a PATH",
    verb: "create",
    args: ["true"],
    patch: (config) => Object.assign(config.process, { env: ["A=1"] }),
    says: ["executable file not found in", "no PATH"],
  },
  {
    what: "does not exist",
    verb: "create",
    args: ["/bin/nothing"],
    says: ["no such file or directory", '"/bin/nothing"'],
  },
  {
    what: "does not exist, nor does its directory",
    verb: "create",
    args: ["/no/such/program"],
    says: ["no such file or directory", '"/no" is missing'],
  },
  {
    what: "is a symlink to nowhere",
    verb: "create",
    args: ["/program"],
    patch: (_, rootfs) => symlinkSync("/no/such/target", join(rootfs, "program")),
    says: ["no such file or directory", '"/program" is a symlink to "/no/such/target"'],
  },
  {
    what: "has no x bit",
    verb: "create",
    args: ["/program"],
    file: { content: "#!/bin/sh\n", mode: 0o644 },
    says: ["permission denied", "chmod +x", "0644"],
  },
  {
    what: "may be executed by another user only",
    verb: "create",
    args: ["/program"],
    file: { content: "#!/bin/sh\n", mode: 0o700 },
    patch: (config) => Object.assign(config.process, { user: { uid: 1000, gid: 1000 } }),
    says: ["permission denied", "0700", "process.user"],
  },
  {
    what: "lies in a directory that its user may not enter",
    verb: "create",
    args: ["/closed/program"],
    patch: (config, rootfs) => {
      mkdirSync(join(rootfs, "closed"), { mode: 0o700 });
      writeFileSync(join(rootfs, "closed/program"), "#!/bin/sh\n", { mode: 0o755 });
      Object.assign(config.process, { user: { uid: 1000, gid: 1000 } });
    },
    says: ["permission denied", 'the directory "/closed" has mode 0700'],
  },
  {
    what: "lies on a file system that is mounted noexec",
    verb: "create",
    args: ["/mnt/program"],
    patch: (config) => {
      const source = join(directory, "noexec");
      mkdirSync(source, { recursive: true });
      writeFileSync(join(source, "program"), "#!/bin/sh\n", { mode: 0o755 });
      config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["bind", "noexec"] });
    },
    says: ["permission denied", "mounted noexec"],
  },
  {
    what: "is a directory",
    verb: "create",
    args: ["/tmp"],
    says: ["permission denied", '"/tmp" is a directory'],
  },
  {
    what: "is empty",
    verb: "start",
    args: ["/program"],
    file: { content: "" },
    says: ["exec format error", '"/program" is empty'],
  },
  {
    what: 'is text without a "#!" line',
    verb: "start",
    args: ["/program"],
    file: { content: "echo hello\n" },
    says: ["exec format error", 'text without "#!"'],
  },
  {
    what: "is a script whose interpreter is missing",
    verb: "start",
    args: ["/program"],
    file: { content: "#!/usr/bin/python3 -u\nprint(1)\n" },
    says: ["no such file or directory", "#!/usr/bin/python3", 'there is no "/usr/bin/python3"'],
  },
  {
    what: "is a script whose interpreter has no x bit",
    verb: "start",
    args: ["/program"],
    file: { content: "#!/interpreter\n" },
    patch: (_, rootfs) => writeFileSync(join(rootfs, "interpreter"), "", { mode: 0o644 }),
    says: ["permission denied", '"#!/interpreter"', "0644"],
  },
  {
    what: "is a script with CRLF",
    verb: "start",
    args: ["/program"],
    file: { content: "#!/bin/sh\r\necho hello\r\n" },
    says: ["no such file or directory", "CRLF", "LF"],
  },
  {
    what: "found through PATH, is a script whose interpreter is missing",
    verb: "start",
    args: ["program"],
    patch: (config, rootfs) => {
      writeFileSync(join(rootfs, "bin/program"), "#!/no/bash\n", { mode: 0o755 });
      Object.assign(config.process, { env: ["PATH=/usr/bin:/bin"] });
    },
    says: ["no such file or directory", "#!/no/bash"],
  },
  {
    what: "is dynamically linked, and its loader is missing",
    verb: "start",
    args: ["/program"],
    file: { content: elf(HERE, "/lib64/ld-linux-none.so.9") },
    says: ["no such file or directory", '"/lib64/ld-linux-none.so.9"', "loader", "glibc"],
  },
  {
    what: "is built for another machine",
    verb: "start",
    args: ["/program"],
    file: { content: elf(RISCV, "/lib/ld.so") },
    says: ["exec format error", "built for riscv"],
  },
  {
    what: "is a truncated ELF file",
    verb: "start",
    args: ["/program"],
    file: { content: elf(HERE, "/lib/ld.so").slice(0, 40) },
    says: ["exec format error", "truncated or corrupt ELF"],
  },
  {
    what: "gets an argument that is too long",
    verb: "start",
    args: ["/bin/true", "x".repeat(200_000)],
    says: ["argument list too long", "128 KiB"],
  },
];

function bundleOf({ args, file, patch }: Case) {
  const bundle = makeBundle((config) => {
    config.process.args = args;
  });
  if (file !== undefined) {
    writeFileSync(join(bundle.rootfs, "program"), file.content, { mode: file.mode ?? 0o755 });
  }
  patch?.(bundle.config, bundle.rootfs);
  writeFileSync(join(bundle.path, "config.json"), JSON.stringify(bundle.config));
  return bundle;
}

describe("a program that", () => {
  for (const example of CASES) {
    test(`${example.what}: ${example.verb} says so`, () => {
      const { path } = bundleOf(example);
      const id = newId();
      const create = ["create", "--bundle", path, id];
      const check = (error: string) => {
        expect(error).toContain("process.args[0]");
        // Engines read the first line, or the log: what they look for must be in there.
        expect(error.split("\n")[0]).toContain(example.says[0]);
        for (const part of example.says) expect(error).toContain(part);
      };
      if (example.verb === "create") check(refuse(create));
      else {
        succeed(create);
        check(refuse(["start", id]));
        expect(statusOf(id)).toBe("stopped");
        succeed(["delete", id]);
      }
      expect(leftovers()).toEqual([]);
      check(refuse(["run", "--bundle", path, newId()]));
      expect(leftovers()).toEqual([]);
    });
  }

  test("is open for writing: start says so", () => {
    const { id, bundle } = createContainer(script("exit 0"));
    const fd = openSync(join(bundle.rootfs, "bin/busybox"), "r+");
    try {
      const error = refuse(["start", id]);
      expect(error).toContain("text file busy");
      expect(error).toContain("open for writing");
    } finally {
      closeSync(fd);
    }
    succeed(["delete", id]);
  });

  test("cannot be executed leaves no false trail: a good one of the same name further on in PATH is run", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["program"];
      config.process.env = ["PATH=/none:/one:/two:/bin"];
    });
    for (const [name, mode] of [
      ["one", 0o644],
      ["two", 0o755],
    ] as const) {
      mkdirSync(join(bundle.rootfs, name));
      writeFileSync(join(bundle.rootfs, name, "program"), `#!/bin/sh\necho ${name}\n`, { mode });
    }
    expect(succeed(["run", "--bundle", bundle.path, newId()])).toBe("two\n");
  });
});

describe("errors of the bundle", () => {
  const newDirectory = () => {
    const path = join(directory, `empty-${newId()}`);
    mkdirSync(path);
    return path;
  };

  test("no config.json, or no bundle", () => {
    const path = newDirectory();
    for (const verb of ["create", "run"]) {
      const error = refuse([verb, "--bundle", path, newId()]);
      expect(error).toContain(`"${path}/config.json": no such file or directory`);
      expect(error).toContain("hint: ");
      expect(refuse([verb, "--bundle", join(path, "none"), newId()])).toContain("no such file or directory");
    }
  });

  test("broken JSON: where and what", () => {
    const path = newDirectory();
    writeFileSync(join(path, "config.json"), '{\n  "ociVersion": "1.0.2",\n  "process": {,\n}\n');
    const error = refuse(["create", "--bundle", path, newId()]);
    expect(error).toContain(`${path}/config.json`);
    expect(error).toMatch(/\b3\b/);
  });

  test("an id that cannot be one", () => {
    const { path } = makeBundle();
    for (const id of ["", ".", "..", "a/b", "../x", "a b", "ä", "a\nb", "x".repeat(2000)]) {
      expect(refuse(["create", "--bundle", path, "--", id])).toContain("invalid container ID format");
    }
    expect(leftovers()).toEqual([]);
  });

  test("several problems are one message", () => {
    const bundle = makeBundle((config) => {
      Object.assign(config, { hostname: 5 });
      Object.assign(config.process, { cwd: "relative", args: [] });
    });
    const { status, stderr } = berth(["create", "--bundle", bundle.path, newId()]);
    expect(status).toBe(1);
    expect(stderr.match(/^berth: /gm)).toHaveLength(1);
    for (const path of ["hostname", "process.cwd"]) expect(stderr).toContain(path);
  });

  test.each([
    ["as a whole", () => `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
    ["without an end", () => '{"a":'.repeat(100_000)],
    ["at a string's place", () => `{"annotations":{"a":${"[".repeat(5000)}${"]".repeat(5000)}}}`],
    ["with a null", () => `{"a":${"[".repeat(8000)}{"b":null}${"]".repeat(8000)}}`],
  ])("a config.json that is nested too deeply %s, also with a small stack", (_, text) => {
    const { path } = makeBundle();
    writeFileSync(join(path, "config.json"), text());
    const says = `berth: ${path}/config.json: arrays or objects are nested too deeply in it\n`;
    expect(refuse(["create", "--bundle", path, newId()])).toContain(says);
    const line = ["bash", "-c", 'ulimit -s 128; exec "$@"', "bash", program, "create", "-b", path, newId()];
    const { exitCode, stderr } = Bun.spawnSync(line);
    expect({ exitCode, stderr: stderr.toString() }).toEqual({
      exitCode: 1,
      stderr: expect.stringContaining(says),
    });
  });
});

describe("--log", () => {
  interface Line {
    readonly level: string;
    readonly msg: string;
    readonly time: string;
  }

  /** A log's lines, as containerd reads them: one that is no JSON is fatal to all. */
  const read = (file: string) =>
    readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);

  const logged = (...args: string[]) => {
    const file = join(directory, `log-${newId()}`);
    const result = berth(["--log", file, "--log-format", "json", ...args]);
    return { ...result, file };
  };

  test("json: one line for the error, which is also on stderr for people", () => {
    for (const example of CASES) {
      const { path } = bundleOf(example);
      const { file, status, stderr } = logged("run", "--bundle", path, newId());
      expect(status).toBe(1);
      const lines = read(file);
      expect(lines.map(({ level }) => level)).toEqual(["error"]);
      const [line] = lines;
      expect(line?.msg).toContain(example.says[0]);
      expect(line?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
      expect(stderr).toContain(example.says[0]);
    }
  });

  test("json: an error that quotes odd bytes is still JSON, on one line", () => {
    const odd = 'quote " backslash \\ newline \n escape \x1b end';
    const bundle = makeBundle((config) => {
      config.process.args = [`/${odd}`];
    });
    const { file, status } = logged("run", "--bundle", bundle.path, newId());
    expect(status).toBe(1);
    expect(read(file)).toHaveLength(1);
    expect(readFileSync(file, "utf8")).not.toContain("\x1b");
  });

  test("json: warnings come first, and a hook's many lines are one", () => {
    const bundle = makeBundle((config) => {
      Object.assign(config, { hostnam: "x" });
      const fail = { path: "/bin/sh", args: ["sh", "-c", "echo a; echo b; exit 1"] };
      config.hooks = { createRuntime: [fail], poststop: [fail] };
    });
    const { file, status } = logged("create", "--bundle", bundle.path, newId());
    expect(status).toBe(1);
    const lines = read(file);
    expect(lines.map(({ level }) => level)).toEqual(["warning", "warning", "error"]);
    expect(lines[0]?.msg).toContain("hostnam");
    expect(lines[1]?.msg).toContain("hooks.poststop[0]");
    expect(lines[2]?.msg).toContain("hooks.createRuntime[0]");
  });

  test("several calls share a file, and add to it", () => {
    const { path } = makeBundle(script("exit 0"));
    const file = join(directory, "shared.log");
    const id = newId();
    const log = ["--log", file, "--log-format", "json"];
    refuse([...log, "state", id]);
    succeed([...log, "run", "--bundle", path, id]);
    refuse([...log, "start", id]);
    expect(read(file).map(({ msg }) => msg)).toEqual([
      expect.stringContaining("does not exist"),
      expect.stringContaining("does not exist"),
    ]);
  });

  test("text: the same as key=value", () => {
    const file = join(directory, "text.log");
    refuse(["--log", file, "state", newId()]);
    expect(readFileSync(file, "utf8")).toMatch(/^time="[^"]+" level=error msg=".*does not exist.*"\n$/);
  });
});

describe("the state directory", () => {
  test("that is damaged: an error that says what to do, and delete --force does it", () => {
    const { id } = createContainer(forever);
    const file = join(stateRoot, id, "state.json");
    const record = readFileSync(file);
    writeFileSync(file, "{");
    for (const verb of ["state", "start", "kill", "delete"]) {
      const error = refuse([verb, id]);
      expect(error).toContain(`${id}/state.json" is damaged`);
      expect(error).toContain(`hint: "berth delete --force ${id}"`);
    }
    // Not what the hint advises yet: the container still runs, and would be lost.
    writeFileSync(file, record);
    succeed(["delete", id]);

    const lost = newId();
    mkdirSync(join(stateRoot, lost), { recursive: true });
    writeFileSync(join(stateRoot, lost, "state.json"), "");
    expect(berth(["delete", "--force", lost]).status).toBe(0);
    expect(leftovers()).toEqual([]);
  });

  test("that holds somebody else's files is not removed with them", () => {
    const { id } = createContainer(forever);
    const foreign = join(stateRoot, id, "foreign");
    writeFileSync(foreign, "");
    expect(refuse(["delete", id])).toContain("directory not empty");
    Bun.spawnSync(["rm", foreign]);
    succeed(["delete", "--force", id]);
    expect(leftovers()).toEqual([]);
  });

  test("cannot be made: the error names it", () => {
    const { path } = makeBundle();
    const file = join(directory, "a-file");
    writeFileSync(file, "");
    const error = refuse(["create", "--bundle", path, newId()], { root: join(file, "root") });
    expect(error).toContain(file);
    expect(error).toContain("not a directory");
  });
});
