import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { O_DIRECTORY, O_PATH } from "../../src/linux/constants.ts";
import { close, open } from "../../src/linux/file.ts";
import { syscall } from "../../src/linux/native.ts";
import { copyUp } from "../../src/rootfs/copy-up.ts";
import { makePathInRoot } from "../../src/rootfs/make-path.ts";

let directory: string;
let root: string;
let fd: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "berth-path-"));
  root = join(directory, "root");
  mkdirSync(root);
  fd = open(root, O_PATH | O_DIRECTORY);
});

afterEach(() => {
  close(fd);
  rmSync(directory, { recursive: true });
});

const isDirectory = (path: string) => statSync(join(root, path)).isDirectory();

describe("makePathInRoot", () => {
  test("makes directories with mode 0755 and files with 0644, whatever the umask", () => {
    const umask = syscall("umask", 0o77);
    try {
      makePathInRoot(fd, "/a/b", "directory");
      makePathInRoot(fd, "/a/c/f", "file");
      expect(syscall("umask", 0o77)).toBe(0o77);
    } finally {
      syscall("umask", umask);
    }
    expect(statSync(join(root, "a/b")).mode & 0o7777).toBe(0o755);
    expect(statSync(join(root, "a/c/f")).mode & 0o7777).toBe(0o644);
    expect(statSync(join(root, "a/c/f")).isFile()).toBe(true);
  });

  test("leaves what is there", () => {
    writeFileSync(join(root, "f"), "kept");
    makePathInRoot(fd, "/f", "file");
    expect(readFileSync(join(root, "f"), "utf8")).toBe("kept");
  });

  test("makes what a dangling symlink names inside the root, never outside: CVE-2024-45310", () => {
    symlinkSync(join(directory, "outside"), join(root, "absolute"));
    symlinkSync("../../../../../../escaped", join(root, "relative"));
    makePathInRoot(fd, "/absolute", "file");
    makePathInRoot(fd, "/relative/sub", "directory");
    expect(existsSync(join(directory, "outside"))).toBe(false);
    expect(existsSync(join(directory, "escaped"))).toBe(false);
    expect(existsSync("/escaped")).toBe(false);
    expect(statSync(join(root, directory, "outside")).isFile()).toBe(true);
    expect(isDirectory("escaped/sub")).toBe(true);
  });

  test("takes .. as inside the root, after symlinks", () => {
    mkdirSync(join(root, "deep/er"), { recursive: true });
    symlinkSync("/deep/er", join(root, "link"));
    makePathInRoot(fd, "/link/../sibling", "directory");
    makePathInRoot(fd, "/../../top", "directory");
    expect(isDirectory("deep/sibling")).toBe(true);
    expect(isDirectory("top")).toBe(true);
    expect(readdirSync(directory)).toEqual(["root"]);
  });

  test("gives up on symlinks in a circle, and on a file in the way", () => {
    symlinkSync("b", join(root, "a"));
    symlinkSync("a", join(root, "b"));
    writeFileSync(join(root, "file"), "");
    expect(() => makePathInRoot(fd, "/a/x", "directory")).toThrow(/too many levels of symbolic links/);
    expect(() => makePathInRoot(fd, "/file/x", "directory")).toThrow(/not a directory/);
  });
});

describe("copyUp", () => {
  function copy(): string {
    const to = join(directory, "to");
    mkdirSync(to);
    const target = open(to, O_PATH | O_DIRECTORY);
    try {
      copyUp(fd, target);
    } finally {
      close(target);
    }
    return to;
  }

  test("copies files, directories, symlinks and fifos with their modes", () => {
    mkdirSync(join(root, "d/e"), { recursive: true });
    writeFileSync(join(root, "d/e/f"), "x".repeat(200_000));
    chmodSync(join(root, "d/e/f"), 0o640);
    chmodSync(join(root, "d"), 0o750);
    symlinkSync("/etc/passwd", join(root, "l"));
    execFileSync("mkfifo", [join(root, "p")]);
    const to = copy();
    expect(readFileSync(join(to, "d/e/f"), "utf8")).toHaveLength(200_000);
    expect(statSync(join(to, "d/e/f")).mode & 0o7777).toBe(0o640);
    expect(statSync(join(to, "d")).mode & 0o7777).toBe(0o750);
    expect(readlinkSync(join(to, "l"))).toBe("/etc/passwd");
    expect(statSync(join(to, "p")).isFIFO()).toBe(true);
  });

  test("names the file that it cannot copy", () => {
    writeFileSync(join(root, "f"), "");
    const target = open("/proc/self", O_PATH | O_DIRECTORY);
    try {
      expect(() => copyUp(fd, target)).toThrow(/^tmpcopyup: copy "\/f": /);
    } finally {
      close(target);
    }
  });
});
