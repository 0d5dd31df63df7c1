import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { attachDevices, attachedPrograms, deviceSteps, replaceDevices } from "../../src/cgroups/attach.ts";
import { cgroupSteps, locateCgroup, prepareCgroup } from "../../src/cgroups/cgroup.ts";
import { type Cgroup, createCgroup, undoCgroup } from "../../src/cgroups/create.ts";
import { compileDevices } from "../../src/cgroups/device-program.ts";
import { devicePolicy } from "../../src/cgroups/device-rules.ts";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import { BPF_PROG_LOAD } from "../../src/linux/constants.ts";
import { close } from "../../src/linux/file.ts";
import { at, scratch } from "../../src/linux/memory.ts";
import { syscall } from "../../src/linux/native.ts";
import { perform } from "../../src/plan/perform.ts";
import type { Spec } from "../../src/spec/config.ts";
import type { DeviceRule } from "../../src/spec/resources.ts";
import { bunCommand } from "../engine.ts";
import { waitUntil } from "../wait.ts";

const place = { mount: cgroup2Mount(), path: `/berth-test-devices-${process.pid}` };
const nodes = mkdtempSync(join(tmpdir(), "berth-test-"));
afterAll(() => rmSync(nodes, { recursive: true }));

const DENY_ALL: DeviceRule = { allow: false, access: "rwm" };
const kmsg = (allow: boolean, access: string): DeviceRule => ({
  allow,
  type: "c",
  major: 1,
  minor: 11,
  access,
});

function programOf(...rules: DeviceRule[]): Uint8Array {
  const code = compileDevices(devicePolicy(rules));
  if (code === undefined) throw new Error("these rules need no program");
  return code;
}

/** What a shell in the cgroup may do: makes /dev/kmsg's node 1:11 and opens it, and some that are always allowed. */
function tried({ mount, path }: { mount: string; path: string }): Record<string, boolean> {
  const script = `
    echo $$ > "${mount}${path}/cgroup.procs"
    cd "${nodes}"; rm -f null kmsg
    try() { name=$1; shift; if (eval "$*") 2>/dev/null; then echo "$name"; fi; }
    try mknod "mknod null c 1 3 && mknod kmsg c 1 11"
    try null ": <> null"
    try zero "head -c 1 /dev/zero > /dev/null"
    try read ": < kmsg"
    try write ": >> kmsg"
    try both ": <> kmsg"
  `;
  const done = Bun.spawnSync(["sh", "-c", script]).stdout.toString().split("\n");
  return Object.fromEntries(
    ["mknod", "null", "zero", "read", "write", "both"].map((name) => [name, done.includes(name)]),
  );
}
const DEFAULTS = { mknod: true, null: true, zero: true };

describe("a device program", () => {
  let cgroup: Cgroup;
  beforeEach(() => {
    cgroup = createCgroup(place);
  });
  afterEach(() => {
    undoCgroup(cgroup);
  });

  test("none: everything is allowed", () => {
    expect(tried(place)).toEqual({ ...DEFAULTS, read: true, write: true, both: true });
  });

  test.each([
    ["deny all", [DENY_ALL], { read: false, write: false, both: false }],
    ["no rules", [], { read: false, write: false, both: false }],
    ["allow reading", [DENY_ALL, kmsg(true, "r")], { read: true, write: false, both: false }],
    ["allow both, one by one", [kmsg(true, "r"), kmsg(true, "w")], { read: true, write: true, both: true }],
    [
      "allow all but writing one",
      [{ allow: true, access: "rwm" }, kmsg(false, "w")],
      { read: true, write: false, both: false },
    ],
  ])("%s", (_, rules, result) => {
    attachDevices(cgroup.directory, programOf(...rules));
    expect(tried(place)).toEqual({ ...DEFAULTS, ...result });
  });

  test("of a thousand rules is accepted", () => {
    const rules = Array.from({ length: 1000 }, (_, i): DeviceRule => {
      return {
        allow: i % 3 !== 0,
        type: i % 2 === 0 ? "b" : "c",
        major: 300 + (i % 7),
        minor: i,
        access: i % 5 ? "r" : "rwm",
      };
    });
    attachDevices(cgroup.directory, programOf(DENY_ALL, ...rules, kmsg(true, "rw")));
    expect(tried(place)).toEqual({ ...DEFAULTS, read: true, write: true, both: true });
  });

  test("takes the place of ours, not of another's", () => {
    attachOther(cgroup.directory);
    replaceDevices(cgroup.directory, programOf(DENY_ALL));
    const [other, first] = attachedPrograms(cgroup.directory);
    expect(tried(place)).toMatchObject({ read: false });
    replaceDevices(cgroup.directory, programOf(DENY_ALL, kmsg(true, "rw")));
    const attached = attachedPrograms(cgroup.directory);
    expect(attached).toHaveLength(2);
    expect(attached[0]).toBe(other);
    expect(attached[1]).not.toBe(first);
    expect(tried(place)).toMatchObject({ read: true });
    replaceDevices(cgroup.directory, undefined);
    expect(attachedPrograms(cgroup.directory)).toEqual([other]);
  });

  test("is replaced without a moment in which everything is allowed", async () => {
    replaceDevices(cgroup.directory, programOf(DENY_ALL));
    const script = `
      echo $$ > "${place.mount}${place.path}/cgroup.procs"
      cd "${nodes}"; rm -f kmsg; mknod kmsg c 1 11; touch trying
      while [ -e trying ]; do if (: < kmsg) 2> /dev/null; then echo opened; fi; echo > tried; done
    `;
    const child = Bun.spawn(["sh", "-c", script]);
    const tried = () => existsSync(join(nodes, "tried"));
    waitUntil(tried, "the device has been tried");
    for (let i = 0; i < 20; i++) {
      rmSync(join(nodes, "tried"), { force: true });
      while (!tried())
        replaceDevices(cgroup.directory, programOf(DENY_ALL, kmsg(true, i % 2 === 0 ? "w" : "m")));
    }
    rmSync(join(nodes, "trying"));
    expect(await new Response(child.stdout).text()).toBe("");
    expect(attachedPrograms(cgroup.directory)).toHaveLength(1);
  });

  test("is what explain prints", () => {
    const [load] = deviceSteps(programOf(DENY_ALL), "");
    if (load?.kind !== "call" || load.store === undefined)
      throw new Error("the first step loads the program");
    const fd = perform([load])(load.store);
    expect(fd).toBeGreaterThan(2);
    close(fd);
  });

  test("that the kernel refuses is an error with the verifier's words", () => {
    const exitWithoutResult = new Uint8Array([0x95, 0, 0, 0, 0, 0, 0, 0]);
    expect(() => attachDevices(cgroup.directory, exitWithoutResult)).toThrow(
      expect.objectContaining({
        code: "EACCES",
        message:
          "linux.resources.devices: device program of the cgroup: bpf(BPF_PROG_LOAD): permission denied",
        hint: expect.stringMatching(/verifier says: .*R0 !read_ok/),
      }),
    );
  });
});

/** A program of someone else's, that allows everything and lets others join it. */
function attachOther(cgroup: number): void {
  const memory = scratch();
  const load = memory.space(72);
  at.setU32(load, 15);
  at.setU32(load + 4, 2);
  at.setU64(load + 8, memory.copy(new Uint8Array([0xb4, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])));
  at.setU64(load + 16, memory.text("GPL"));
  const fd = syscall("bpf", BPF_PROG_LOAD, load, 72);
  expect(fd).toBeGreaterThan(2);
  const attach = memory.space(20);
  [cgroup, fd, 6, 2].forEach((value, i) => {
    at.setU32(attach + 4 * i, value);
  });
  expect(syscall("bpf", 8, attach, 20)).toBe(0);
  close(fd);
}

describe("prepareCgroup", () => {
  const spec = (devices: DeviceRule[], cgroupsPath = place.path): Spec => ({
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    linux: { namespaces: [], cgroupsPath, resources: { devices } },
  });

  test("makes a cgroup with its device program", () => {
    expect(locateCgroup(spec([]), "id")).toEqual(place);
    const cgroup = prepareCgroup(spec([DENY_ALL]), place, { rootless: false });
    if (cgroup === undefined) throw new Error("there is no cgroup");
    expect(tried(place)).toMatchObject({ zero: true, read: false });
    undoCgroup(cgroup);
  });

  test("loads no program when all is allowed, and takes away that of a container before", () => {
    const before = createCgroup(place);
    attachDevices(before.directory, programOf(DENY_ALL));
    const cgroup = prepareCgroup(spec([{ allow: true, access: "rwm" }]), place, { rootless: false });
    expect(attachedPrograms(before.directory)).toEqual([]);
    if (cgroup !== undefined) close(cgroup.directory);
    undoCgroup(before);
  });

  test("makes nothing when a rule is invalid", () => {
    expect(() => prepareCgroup(spec([{ allow: true }]), place, { rootless: false })).toThrow(
      "linux.resources.devices[0].access",
    );
    expect(Bun.spawnSync(["test", "-e", place.mount + place.path]).exitCode).toBe(1);
  });

  test("leaves nothing when the program may not be loaded, and says what it takes", () => {
    const script = `
      const { prepareCgroup } = await import("${import.meta.dirname}/../../src/cgroups/cgroup.ts");
      try { prepareCgroup(${JSON.stringify(spec([DENY_ALL]))}, ${JSON.stringify(place)}, { rootless: false }); }
      catch ({ code, message, hint }) { console.log(JSON.stringify({ code, message, hint })); }
    `;
    const drop = ["setpriv", "--bounding-set", "-sys_admin,-bpf"];
    const { stdout } = Bun.spawnSync([...drop, ...bunCommand, "-e", script]);
    expect(JSON.parse(stdout.toString())).toEqual({
      code: "EPERM",
      message:
        "linux.resources.devices: device program of the cgroup: bpf(BPF_PROG_LOAD): operation not permitted",
      hint: expect.stringContaining("CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN"),
    });
    expect(Bun.spawnSync(["test", "-e", place.mount + place.path]).exitCode).toBe(1);
  });

  test("is shown by explain, without making anything", () => {
    const steps = cgroupSteps(spec([DENY_ALL]), place, { rootless: false });
    const calls = steps.map((step) => (step.kind === "call" ? step.call : step.kind));
    expect(calls).toEqual(["openat", "mkdirat", "openat2", "action", "bpf", "bpf"]);
    expect(Bun.spawnSync(["test", "-e", place.mount + place.path]).exitCode).toBe(1);
  });
});
