import {
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Seccomp } from "../../src/spec/seccomp.ts";
import { directory, makeBundle, newId, stateRoot } from "../bundle.ts";
import { script, succeed } from "../container.ts";

const cache = join(stateRoot, "seccomp@cache");
const files = () => readdirSync(cache).sort();

const denying = (errnoRet: number): Seccomp => ({
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names: ["sethostname"], action: "SCMP_ACT_ERRNO", errnoRet }],
});

/** Runs a container that tries to set its hostname under this profile. @returns what it says */
function run(seccomp: Seccomp): string {
  const bundle = makeBundle((config) => {
    script("hostname new 2>&1")(config);
    const capabilities = ["CAP_SYS_ADMIN"];
    config.process.capabilities = {
      bounding: capabilities,
      permitted: capabilities,
      effective: capabilities,
    };
    config.linux.seccomp = seccomp;
    config.process.args = ["/bin/sh", "-c", "hostname new 2>&1 || true"];
  });
  return succeed(["run", "--bundle", bundle.path, newId()]);
}

const FAULT = "hostname: sethostname: Bad address\n";
const QUOTA = "hostname: sethostname: Disk quota exceeded\n";

/** A cache with the filters of two profiles: their paths. */
function filled(): { fault: string; quota: string } {
  rmSync(cache, { recursive: true, force: true });
  expect(run(denying(14))).toBe(FAULT);
  const [fault = ""] = files();
  expect(run(denying(122))).toBe(QUOTA);
  const quota = files().find((name) => name !== fault) ?? "";
  return { fault: join(cache, fault), quota: join(cache, quota) };
}

test("the second start uses the filter of the first, which only its owner can read or write", () => {
  const { fault } = filled();
  expect(lstatSync(fault).mode).toBe(0o100600);
  expect(lstatSync(cache).mode).toBe(0o40700);
  const before = lstatSync(fault);
  expect(run(denying(14))).toBe(FAULT);
  const after = lstatSync(fault);
  expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
  expect(files().length).toBe(2);
});

test("no container is called as the directory is, and list does not show it", () => {
  filled();
  expect(succeed(["list", "--quiet"])).toBe("");
});

test.each<[string, (fault: string, quota: string) => void]>([
  ["a damaged one", (fault) => writeFileSync(fault, readFileSync(fault).fill(0, 100, 108))],
  ["one whose beginning is damaged", (fault) => writeFileSync(fault, readFileSync(fault).fill(1, 0, 4))],
  ["a cut one", (fault) => writeFileSync(fault, readFileSync(fault).subarray(0, 60))],
  ["an empty one", (fault) => writeFileSync(fault, "")],
  ["that of another profile", (fault, quota) => copyFileSync(quota, fault)],
  ["one that others may write", (fault) => chmodSync(fault, 0o666)],
  ["one of another user", (fault) => chownSync(fault, 1000, 1000)],
  [
    "a symlink",
    (fault) => {
      renameSync(fault, join(directory, "elsewhere"));
      symlinkSync(join(directory, "elsewhere"), fault);
    },
  ],
])("%s is not used, but replaced", (_, harm) => {
  const { fault, quota } = filled();
  harm(fault, quota);
  const harmed = lstatSync(fault).ino;
  expect(run(denying(14))).toBe(FAULT);
  expect(lstatSync(fault).ino).not.toBe(harmed);
  expect(lstatSync(fault)).toMatchObject({ mode: 0o100600, uid: 0 });
});

test.each<[string, () => void]>([
  ["others may write to", () => chmodSync(cache, 0o777)],
  ["belongs to another user", () => chownSync(cache, 1000, 1000)],
  [
    "is a symlink",
    () => {
      renameSync(cache, join(directory, "cache"));
      symlinkSync(join(directory, "cache"), cache);
    },
  ],
])("a directory that %s is not used", (_, harm) => {
  const { fault, quota } = filled();
  // What would be used if the directory were.
  copyFileSync(fault, `${fault}.kept`);
  harm();
  const before = readFileSync(quota);
  expect(run(denying(14))).toBe(FAULT);
  expect(run(denying(5))).toContain("error");
  expect(readFileSync(quota).equals(before)).toBe(true);
  expect(files().length).toBe(3);
  rmSync(join(directory, "cache"), { recursive: true, force: true });
  rmSync(cache, { recursive: true, force: true });
});

test("it does not grow without end", () => {
  filled();
  for (let i = 0; i < 70; i++) writeFileSync(join(cache, `old-${i}`), "");
  expect(run(denying(99))).not.toBe("");
  expect(files().length).toBe(1);
});
