import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR_NOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_PATH,
  O_WRONLY,
} from "../../src/linux/constants.ts";
import {
  check,
  E2BIG,
  EACCES,
  EAGAIN,
  ELIBBAD,
  ELOOP,
  ENOENT,
  ENOEXEC,
  ENOTDIR,
  EPERM,
  ETXTBSY,
} from "../../src/linux/errno.ts";
import { close, open, openInRoot, writeAll } from "../../src/linux/file.ts";
import { scratch } from "../../src/linux/memory.ts";
import { syscall } from "../../src/linux/native.ts";
import { tryPidfdOpen } from "../../src/linux/process.ts";
import { type Scope, scoped } from "../../src/linux/scope.ts";
import { fromDirectory, quote } from "../../src/process/container-file.ts";
import { machineName, parseElf } from "../../src/process/elf.ts";
import { explainExecFailure } from "../../src/process/exec-failure.ts";
import { readMountLog } from "../../src/rootfs/mount-log.ts";

const THIS = process.arch === "arm64" ? 183 : 62;
const OTHER = process.arch === "arm64" ? 62 : 183;
const THIS_NAME = process.arch === "arm64" ? "aarch64" : "x86-64";
const OTHER_NAME = process.arch === "arm64" ? "x86-64" : "aarch64";
const [COMPAT, COMPAT_NAME] = process.arch === "arm64" ? [40, "32-bit arm"] : [3, "32-bit x86"];

let root = "";
let rootFd = -1;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-exec-"));
  rootFd = open(root, O_PATH | O_DIRECTORY);
});

afterEach(() => {
  close(rootFd);
  rmSync(root, { recursive: true });
});

function put(path: string, content: string | Uint8Array, mode = 0o755): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
  chmodSync(join(root, path), mode);
}

function explain(errno: number, path: string | string[] = "/app", cwd = "/"): string | undefined {
  return explainExecFailure(rootFd, cwd, typeof path === "string" ? [path] : path, "/usr/bin:/bin", errno);
}

interface ElfOptions {
  bits?: 32 | 64;
  big?: boolean;
  type?: number;
  loader?: string;
  loaderAt?: number;
  /** Bytes that a PT_LOAD asks for. */
  load?: number;
}

/** A file with one ELF header and up to two program headers. */
function elf(machine = THIS, options: ElfOptions = {}): Uint8Array {
  const { bits = 64, big = false, type = 2, loader, load = 64 } = options;
  const [header, segment] = bits === 64 ? [64, 56] : [52, 32];
  const loaderAt = options.loaderAt ?? header + 2 * segment;
  const bytes = new Uint8Array(loaderAt + (loader?.length ?? 0) + 1);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number) =>
    bits === 64 ? view.setBigUint64(at, BigInt(value), !big) : view.setUint32(at, value, !big);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, big ? 2 : 1, 1]);
  view.setUint16(16, type, !big);
  view.setUint16(18, machine, !big);
  word(bits === 64 ? 32 : 28, header);
  view.setUint16(bits === 64 ? 54 : 42, segment, !big);
  view.setUint16(bits === 64 ? 56 : 44, loader === undefined ? 1 : 2, !big);
  const place = (at: number, type: number, offset: number, size: number) => {
    view.setUint32(at, type, !big);
    word(at + (bits === 64 ? 8 : 4), offset);
    word(at + (bits === 64 ? 32 : 16), size);
  };
  place(header, 1, 0, load);
  if (loader !== undefined) {
    place(header + segment, 3, loaderAt, loader.length + 1);
    bytes.set(new TextEncoder().encode(loader), loaderAt);
  }
  return bytes;
}

/** A tmpfs that is mounted nowhere; undefined without CAP_SYS_ADMIN. */
function detachedTmpfs(scope: Scope, attributes: number): number | undefined {
  const context = syscall("fsopen", scratch().text("tmpfs"), FSOPEN_CLOEXEC);
  if (context === -EPERM) return undefined;
  scope.keep(context);
  check(syscall("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0), "fsconfig");
  return scope.keep(check(syscall("fsmount", context, FSMOUNT_CLOEXEC, attributes), "fsmount"));
}

describe("a file that is not there", () => {
  test("one that was named", () => {
    expect(explain(ENOENT, "/app")).toBe('there is no "/app" in the container');
  });

  test("the directory that is missing on the way to it", () => {
    mkdirSync(join(root, "opt"));
    expect(explain(ENOENT, "/opt/tools/bin/app")).toBe(
      'there is no "/opt/tools/bin/app" in the container: "/opt/tools" is missing',
    );
  });

  test("a relative one, from the working directory", () => {
    mkdirSync(join(root, "srv"));
    expect(explain(ENOENT, "./app", "/srv")).toBe('there is no "/srv/app" in the container');
    put("/srv/app", "");
    expect(explain(ENOEXEC, "./app", "/srv")).toBe('"/srv/app" is empty');
  });

  test("a PATH search names the directories", () => {
    mkdirSync(join(root, "bin"));
    expect(explain(ENOENT, ["/usr/bin/app", "/bin/app", "./app"])).toBe(
      'no "app" in the directories of PATH: "/usr/bin", "/bin", "."',
    );
  });

  test("no PATH to search", () => {
    expect(explainExecFailure(rootFd, "/", [], undefined, ENOENT)).toContain("process.env has no PATH:");
    expect(explainExecFailure(rootFd, "/", [], "", ENOENT)).toContain("PATH in process.env is empty:");
  });

  test("a file where a directory should be", () => {
    put("/etc", "x");
    expect(explain(ENOTDIR, "/etc/app")).toBe('"/etc" is not a directory');
  });

  test("a symlink that leads nowhere, also one of a PATH search", () => {
    mkdirSync(join(root, "bin"));
    symlinkSync("/etc/alternatives/app", join(root, "bin/app"));
    const sentence =
      '"/bin/app" is a symlink to "/etc/alternatives/app", which does not exist in the container';
    expect(explain(ENOENT, "/bin/app")).toBe(sentence);
    expect(explain(ENOENT, ["/usr/bin/app", "/bin/app"])).toBe(sentence);
  });

  test("symlinks in a circle", () => {
    symlinkSync("two", join(root, "one"));
    symlinkSync("one", join(root, "two"));
    expect(explain(ELOOP, "/one")).toContain('the symlinks at "/one" lead in a circle');
  });

  test("symlinks are followed inside of the root, never out of it", () => {
    put("/real/app", "");
    symlinkSync("/real/app", join(root, "app"));
    symlinkSync("../../../../../../etc/passwd", join(root, "out"));
    expect(explain(ENOEXEC, "/app")).toBe('"/app" is empty');
    expect(explain(ENOENT, "/out")).toContain("which does not exist in the container");
  });
});

describe("a file that may not be executed", () => {
  test("a directory and a fifo are told without being opened", () => {
    mkdirSync(join(root, "app"));
    execFileSync("mkfifo", ["-m", "755", join(root, "fifo")]);
    expect(explain(EACCES, "/app")).toBe('"/app" is a directory, not a program');
    expect(explain(EACCES, "/fifo")).toBe('"/fifo" is a fifo, not a program');
  });

  test("nobody has the right", () => {
    put("/app", "#!/bin/sh\n", 0o644);
    const { uid, gid } = { uid: process.getuid?.(), gid: process.getgid?.() };
    expect(explain(EACCES)).toBe(
      `"/app" has mode 0644 and owner ${uid}:${gid}: nobody may execute it before "chmod +x"`,
    );
  });

  test("a PATH search that met one without the right says so rather than that there was none", () => {
    put("/bin/app", elf(), 0o644);
    expect(explain(ENOENT, ["/bin/app", "/sbin/app"])).toContain('"/bin/app" has mode 0644');
    chmodSync(join(root, "bin/app"), 0o700);
    expect(explain(ENOENT, ["/bin/app", "/sbin/app"])).toContain('"/bin/app" has mode 0700');
  });

  test("only some have the right, to it or to a directory on the way", () => {
    put("/bin/app", elf(), 0o750);
    expect(explain(EACCES, "/bin/app")).toContain('"/bin/app" has mode 0750');
    expect(explain(EACCES, "/bin/app")).toContain("the user of process.user must be allowed to execute it");
    chmodSync(join(root, "bin/app"), 0o755);
    chmodSync(join(root, "bin"), 0o700);
    expect(explain(EACCES, "/bin/app")).toContain('the directory "/bin" has mode 0700');
  });

  test("modes are in order: something else forbids it", () => {
    put("/app", elf());
    expect(explain(EACCES)).toContain("AppArmor");
    expect(explain(EPERM)).toContain("seccomp");
    expect(explain(ENOENT)).toBeUndefined();
  });

  test("a mount with noexec", () => {
    scoped((scope) => {
      const mount = detachedTmpfs(scope, MOUNT_ATTR_NOEXEC);
      // Only root can make one; for others this is the file of an ordinary mount, which must not be called noexec.
      const directory = mount ?? rootFd;
      const fd = open("app", O_WRONLY | O_CREAT, 0o755, scope.keep(openInRoot(directory, "/", O_DIRECTORY)));
      scope.keep(fd);
      writeAll(fd, elf());
      const hint = explainExecFailure(directory, "/", ["/app"], undefined, EACCES);
      if (mount === undefined) expect(hint).not.toContain("noexec");
      else expect(hint).toBe('"/app" lies on a file system that is mounted noexec');
    });
  });
});

describe("scripts", () => {
  test("the interpreter is missing", () => {
    put("/app", "#!/bin/bash -e\necho\n");
    mkdirSync(join(root, "bin"));
    expect(explain(ENOENT)).toBe(
      '"/app" begins with "#!/bin/bash": there is no "/bin/bash" in the container',
    );
  });

  test("so it is in a PATH search", () => {
    put("/bin/app", "#! /usr/bin/python3");
    expect(explain(ENOENT, ["/sbin/app", "/bin/app"])).toContain(
      '"/bin/app" begins with "#!/usr/bin/python3"',
    );
  });

  test("CRLF", () => {
    put("/bin/sh", elf());
    put("/app", "#!/bin/sh\r\necho\r\n");
    expect(explain(ENOENT)).toBe(
      'the first line of "/app" ends with CRLF, and there is no "/bin/sh\\r" in the container: save the file with LF line ends',
    );
  });

  test("the interpreter may not be executed, or is for another machine", () => {
    put("/app", "#!/bin/sh\n");
    put("/bin/sh", elf(), 0o644);
    expect(explain(EACCES)).toContain('"/app" begins with "#!/bin/sh": "/bin/sh" has mode 0644');
    put("/bin/sh", elf(OTHER));
    expect(explain(ENOEXEC)).toContain(`"/bin/sh" is built for ${OTHER_NAME}`);
  });

  test("the interpreter's own loader is missing", () => {
    put("/app", "#!/bin/sh\n");
    put("/bin/sh", elf(THIS, { loader: "/lib/ld-musl-x86_64.so.1" }));
    expect(explain(ENOENT)).toContain('begins with "#!/bin/sh": "/bin/sh" needs the loader of musl');
  });

  test("no interpreter, a name without a path, a line too long", () => {
    put("/app", "#!  \necho\n");
    expect(explain(ENOEXEC)).toContain("names no interpreter");
    put("/app", "#!bash\n");
    expect(explain(ENOENT)).toContain('"#!bash", for which the kernel does not search PATH');
    put("/app", `#!/${"x".repeat(300)}\n`);
    expect(explain(ENOEXEC)).toContain('the "#!" line of "/app" is too long');
    put("/app", `#!/bin/sh ${"x".repeat(300)}\n`);
    expect(explain(ENOENT)).toContain('there is no "/bin/sh"');
  });

  test("scripts that are interpreters of scripts: five, no more", () => {
    for (let i = 0; i < 6; i++) put(`/s${i}`, `#!/s${i + 1}\n`);
    put("/s6", elf());
    expect(explain(ELOOP, "/s0")).toContain('"/s5" is a script, the interpreter of a script');
    expect(explain(ELOOP, "/s1")).toBeUndefined();
  });

  test("control characters do not reach the terminal", () => {
    put("/app", "#!/bin/\u001b[2J\u009b1m\u202e\n");
    const hint = explain(ENOENT) ?? "";
    expect(hint).toContain("\\u001b[2J\\u009b1m\\u202e");
    expect(hint).toMatch(/^[\x20-\x7e]*$/);
  });
});

describe("ELF", () => {
  test("another machine", () => {
    put("/app", elf(OTHER));
    expect(explain(ENOEXEC)).toBe(`"/app" is built for ${OTHER_NAME}, this machine is ${THIS_NAME}`);
    expect(explain(ENOENT)).toContain("binfmt_misc");
  });

  test("a big-endian one", () => {
    put("/app", elf(22, { big: true }));
    expect(explain(ENOEXEC)).toBe(`"/app" is built for s390x, this machine is ${THIS_NAME}`);
  });

  test("a machine that the kernel may run besides", () => {
    put("/app", elf(COMPAT, { bits: 32 }));
    expect(explain(ENOEXEC)).toContain(
      `built for ${COMPAT_NAME}, this machine is ${THIS_NAME}: its kernel needs`,
    );
    put("/app", elf(COMPAT, { bits: 32, loader: "/lib/ld-linux.so.2" }));
    expect(explain(ENOENT)).toContain('there is no "/lib/ld-linux.so.2" in the container');
  });

  test("the loader is missing", () => {
    put("/lib/x", "");
    put("/app", elf(THIS, { type: 3, loader: "/lib64/ld-linux-x86-64.so.2" }));
    expect(explain(ENOENT)).toBe(
      '"/app" needs the loader of glibc, which images with musl (Alpine) lack: there is no "/lib64/ld-linux-x86-64.so.2" in the container: "/lib64" is missing',
    );
    put("/app", elf(THIS, { loader: "/nix/ld.so", loaderAt: 9000 }));
    expect(explain(ENOENT)).toContain('"/app" needs a loader: there is no "/nix/ld.so"');
  });

  test("the loader is for another machine, no ELF file, or may not be executed", () => {
    put("/app", elf(THIS, { loader: "/lib/ld.so" }));
    put("/lib/ld.so", elf(OTHER));
    expect(explain(ELIBBAD)).toBe(
      `"/app" needs a loader: "/lib/ld.so" is built for ${OTHER_NAME}, the program for ${THIS_NAME}`,
    );
    put("/lib/ld.so", "text");
    expect(explain(ELIBBAD)).toContain('"/lib/ld.so" is no ELF file');
    put("/lib/ld.so", elf(), 0o600);
    expect(explain(EACCES)).toContain('"/lib/ld.so" has mode 0600');
  });

  test("cut off in the header, in the program headers, in what they ask for", () => {
    put("/app", elf().slice(0, 30));
    expect(explain(ENOEXEC)).toBe('"/app" is a truncated or corrupt ELF file');
    put("/app", elf().slice(0, 100));
    expect(explain(ENOEXEC)).toBe('"/app" is a truncated ELF file: it has 100 bytes of 120');
    put("/app", elf(THIS, { load: 5000 }));
    expect(explain(ENOEXEC)).toContain("bytes of 5000");
  });

  test("no program", () => {
    put("/app", elf(THIS, { type: 1 }));
    expect(explain(ENOEXEC)).toContain("an object file that was not linked");
    const corrupt = elf();
    corrupt[54] = 7;
    put("/app", corrupt);
    expect(explain(ENOEXEC)).toBe('"/app" is a corrupt ELF file');
    const open = elf(THIS, { loader: "/lib/ld.so" });
    open[open.length - 1] = 0x78;
    put("/app", open);
    expect(explain(ENOEXEC)).toContain("the name of its loader is not terminated");
  });

  test.each([
    [62, 64, false, "x86-64"],
    [62, 32, false, "x86-64 x32"],
    [183, 64, false, "aarch64"],
    [183, 64, true, "aarch64_be"],
    [21, 64, false, "ppc64le"],
    [21, 64, true, "ppc64"],
    [8, 32, false, "mipsel"],
    [8, 64, true, "mips64"],
    [243, 64, false, "riscv64"],
    [258, 64, false, "loongarch64"],
    [4711, 64, false, "machine 4711"],
  ] as const)("machine %i with %i bits, big endian %s: %s", (machine, bits, big, name) => {
    const parsed = parseElf(elf(machine, { bits, big }));
    expect(parsed && machineName(parsed)).toBe(name);
  });
});

describe("neither script nor ELF", () => {
  test.each([
    ["nothing", "", "is empty"],
    ["text", "echo hello\n", 'is text without "#!"'],
    ["UTF-8 text", "# grüß\n", 'is text without "#!"'],
    ["a byte order mark", "\ufeff#!/bin/sh\n", 'has a byte order mark before "#!"'],
    ["Mach-O", new Uint8Array([0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1]), "is built for macOS"],
    ["PE", new Uint8Array([0x4d, 0x5a, 0x90, 0, 3]), "is built for Windows"],
    ["other bytes", new Uint8Array([0x1f, 0x8b, 8, 0]), "is no program"],
  ])("%s", (_, content, sentence) => {
    put("/app", content);
    expect(explain(ENOEXEC)).toContain(`"/app" ${sentence}`);
  });
});

describe("no file is to blame", () => {
  test.each([
    [E2BIG, "RLIMIT_STACK"],
    [ETXTBSY, "open for writing"],
    [EAGAIN, "RLIMIT_NPROC"],
  ])("errno %i", (errno, sentence) => {
    put("/app", elf());
    expect(explain(errno)).toContain(sentence);
  });
});

test("a path from a directory keeps its parents", () => {
  expect(fromDirectory("/a/b", "../c//./d")).toBe("/a/b/../c/d");
  expect(fromDirectory("/a", "/x/")).toBe("/x");
});

test("what is quoted is cut", () => {
  expect(quote("x".repeat(5000)).length).toBeLessThan(300);
});

describe("readMountLog", () => {
  test("takes what the kernel says of each context, once", () => {
    scoped((scope) => {
      const pidfd = scope.keep(check(tryPidfdOpen(process.pid), "pidfd_open"));
      const expected: string[] = [];
      for (const key of ["nonsense", "trifle"]) {
        const context = syscall("fsopen", scratch().text("tmpfs"), FSOPEN_CLOEXEC);
        // Only root gets a context; for others there is none to be found, and no message.
        if (context === -EPERM) continue;
        scope.keep(check(context, "fsopen"));
        const memory = scratch();
        syscall("fsconfig", context, FSCONFIG_SET_STRING, memory.text(key), memory.text("x"), 0);
        expected.push(`tmpfs: Unknown parameter '${key}'`);
      }
      expect(readMountLog(pidfd, process.pid)).toEqual(expected);
      expect(readMountLog(pidfd, process.pid)).toEqual([]);
    });
  });

  test("is empty for a process that is not there", () => {
    expect(readMountLog(-1, 0)).toEqual([]);
  });
});
