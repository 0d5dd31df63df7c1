import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Seccomp } from "../../src/spec/seccomp.ts";
import { berth, directory, leftovers, makeBundle, newId, program, stateRoot } from "../bundle.ts";
import { refuse } from "../container.ts";

const ERRNO = "SCMP_ACT_ERRNO";
const allowing = (...syscalls: NonNullable<Seccomp["syscalls"]>): Seccomp => ({
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls,
});
const notifying = (more: Partial<Seccomp>): Seccomp => ({
  ...allowing({ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }),
  ...more,
});
const everything = (name: string) => ({ names: [name], action: "SCMP_ACT_KILL" as const });

test.each<[string, object, string]>([
  [
    "no default action",
    { syscalls: [{ names: ["read"], action: ERRNO }] },
    "linux.seccomp.defaultAction: missing",
  ],
  ["a rule without names", allowing({ names: [], action: ERRNO }), "linux.seccomp.syscalls[0].names: empty"],
  [
    "a name that is empty",
    allowing({ names: [""], action: ERRNO }),
    "linux.seccomp.syscalls[0].names: a name is empty",
  ],
  [
    "a seventh argument",
    allowing({ names: ["read"], action: ERRNO, args: [{ index: 6, value: 0, op: "SCMP_CMP_EQ" }] }),
    "linux.seccomp.syscalls[0].args[0].index: found 6; a system call has 6 arguments",
  ],
  [
    "an errno for an action without",
    allowing({ names: ["read"], action: "SCMP_ACT_KILL", errnoRet: 1 }),
    "linux.seccomp.syscalls[0].errnoRet: found 1, but SCMP_ACT_KILL returns no errno",
  ],
  [
    "a default errno for an action without",
    { ...allowing(), defaultErrnoRet: 1 },
    "linux.seccomp.defaultErrnoRet: found 1, but SCMP_ACT_ALLOW returns no errno",
  ],
  [
    "an errno that is none",
    allowing({ names: ["read"], action: ERRNO, errnoRet: 5000 }),
    "linux.seccomp.syscalls[0].errnoRet: found 5000; SCMP_ACT_ERRNO takes at most 4094",
  ],
  [
    "a value for a tracer that does not fit",
    allowing({ names: ["read"], action: "SCMP_ACT_TRACE", errnoRet: 65536 }),
    "linux.seccomp.syscalls[0].errnoRet: found 65536; SCMP_ACT_TRACE takes at most 65535",
  ],
  ["an unknown action", { defaultAction: "SCMP_ACT_NO" }, 'linux.seccomp.defaultAction: found "SCMP_ACT_NO"'],
  ["an unknown flag", { ...allowing(), flags: ["X"] }, 'linux.seccomp.flags[0]: found "X"'],
  [
    "an unknown architecture",
    { ...allowing(), architectures: ["SCMP_ARCH_Z80"] },
    'linux.seccomp.architectures[0]: found "SCMP_ARCH_Z80"',
  ],
  [
    "an architecture of another byte order",
    { ...allowing(), architectures: ["SCMP_ARCH_S390X"] },
    'linux.seccomp.architectures[0] "SCMP_ARCH_S390X": libseccomp does not add it',
  ],
  [
    "a profile that forbids execve",
    { defaultAction: ERRNO, syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW" }] },
    "linux.seccomp: the profile forbids execve",
  ],
  [
    "a profile that kills execve",
    allowing(everything("execve")),
    "linux.seccomp: the profile forbids execve",
  ],
  ["notifications without a listener", notifying({}), "linux.seccomp.listenerPath: missing"],
  ["a listener that is not there", notifying({ listenerPath: "/nowhere" }), 'there is no socket "/nowhere"'],
  [
    "a listener that is no socket",
    notifying({ listenerPath: "/etc/passwd" }),
    'there is no socket "/etc/passwd"',
  ],
  ["a listener with a relative path", notifying({ listenerPath: "socket" }), "allowed: an absolute path"],
  [
    "metadata without a listener",
    { ...allowing(), listenerMetadata: "x" },
    "linux.seccomp.listenerMetadata: set, without a listenerPath",
  ],
  [
    "notifications, and read forbidden",
    {
      ...allowing({ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }, everything("read")),
      listenerPath: "/dev/null",
    },
    "linux.seccomp: a profile with SCMP_ACT_NOTIFY must not forbid read",
  ],
])("%s", (_, seccomp, message) => {
  const bundle = makeBundle((config) => {
    config.linux.seccomp = seccomp as Seccomp;
  });
  expect(refuse(["create", "--bundle", bundle.path, newId()])).toContain(message);
  expect(leftovers()).toEqual([]);
});

test("unknown system calls are named once, in one line, and the others are filtered", () => {
  const bundle = makeBundle((config) => {
    config.process.args = ["/bin/sh", "-c", "hostname x 2>&1; true"];
    config.linux.seccomp = {
      ...allowing(
        { names: ["no_such_call", "sethostname", "nor_this"], action: ERRNO, errnoRet: 14 },
        { names: ["no_such_call"], action: ERRNO },
      ),
    };
  });
  for (let n = 0; n < 2; n++) {
    const { status, stdout, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "hostname: sethostname: Bad address\n" });
    expect(stderr.match(/.*\n/g)).toEqual([
      expect.stringMatching(
        /linux\.seccomp: .*libseccomp \(\d+\.\d+\.\d+\) does not know: no_such_call, nor_this\n/,
      ),
    ]);
  }
});

test("a host without libseccomp is told so before anything is made, and can run what needs none", () => {
  const library =
    readdirSync("/usr/lib/x86_64-linux-gnu").find((name) => /^libseccomp\.so\.2\../.test(name)) ?? "";
  const path = join("/usr/lib/x86_64-linux-gnu", library);
  const bundle = makeBundle((config) => {
    config.linux.seccomp = allowing();
  });
  const plain = makeBundle();
  const root = join(directory, "no-library");
  const run = (bundlePath: string) =>
    Bun.spawnSync([
      "unshare",
      "-m",
      "sh",
      "-c",
      'mount --bind /dev/null "$0" && exec "$@"',
      path,
      program,
      "--root",
      bundlePath === bundle.path ? root : stateRoot,
      "run",
      "--bundle",
      bundlePath,
      newId(),
    ]);
  const { exitCode, stderr } = run(bundle.path);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({
    exitCode: 1,
    stderr: expect.stringMatching(
      /^berth: linux\.seccomp: cannot load libseccomp\.so\.2.*\nhint: install it/,
    ),
  });
  expect(readdirSync(directory)).not.toContain("no-library");
  expect(run(plain.path).exitCode).toBe(0);
});
