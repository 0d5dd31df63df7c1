import { describe, expect, test } from "vitest";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../../src/linux/constants.ts";
import { EACCES, ENOENT, EPERM, ERANGE } from "../../src/linux/errno.ts";
import { idMapSteps, mappedId } from "../../src/namespaces/id-maps.ts";
import { kernelSteps } from "../../src/namespaces/kernel.ts";
import {
  closeNamespaces,
  NAMESPACE_FLAGS,
  openNamespaces,
  planNamespaces,
} from "../../src/namespaces/namespaces.ts";
import { namespaceSteps, timeOffsetSteps } from "../../src/namespaces/steps.ts";
import { slot } from "../../src/plan/build.ts";
import { createRequests, descriptors } from "../../src/plan/protocol.ts";
import type { Spec } from "../../src/spec/config.ts";
import { defaultSpec } from "../../src/spec/default.ts";
import type { Linux, NamespaceType } from "../../src/spec/linux.ts";
import { sysctlPath } from "../../src/spec/sysctl.ts";
import { callNames, calls, fieldsOf, only, straight, tolerated } from "./steps.ts";

const fds = descriptors(0);
const TYPES = Object.keys(NAMESPACE_FLAGS) as NamespaceType[];
const join = (type: NamespaceType) => ({ type, path: `/proc/1/ns/${type}` });
const make = (type: NamespaceType) => ({ type });

function specWith(change: Partial<Spec>): Spec {
  return { ...defaultSpec({ rootless: false, uid: 0, gid: 0, cgroup2: true }), ...change };
}

describe("planNamespaces", () => {
  test.each([
    ["mount", CLONE_NEWNS],
    ["network", CLONE_NEWNET],
    ["ipc", CLONE_NEWIPC],
    ["uts", CLONE_NEWUTS],
    ["pid", CLONE_NEWPID],
    ["user", CLONE_NEWUSER],
    // The cgroup of a new cgroup namespace is that of its maker, which has not moved yet.
    ["cgroup", 0],
    // setns and unshare of a time namespace want an address space of one's own.
    ["time", 0],
  ] as const)("a new %s namespace", (type, flag) => {
    const plan = planNamespaces([make(type)]);
    expect(plan.cloneFlags).toBe(flag);
    expect([...plan.created]).toEqual([type]);
    expect([...plan.has]).toEqual([type]);
    expect(plan.joined).toEqual([]);
  });

  test.each(TYPES)("a joined %s namespace", (type) => {
    const plan = planNamespaces([make("mount"), join(type)].slice(type === "mount" ? 1 : 0));
    const configPath = `linux.namespaces[${type === "mount" ? 0 : 1}]`;
    expect(plan.joined).toEqual([{ ...join(type), configPath }]);
    expect(plan.created.has(type)).toBe(false);
    expect(plan.has.has(type)).toBe(true);
    expect(plan.cloneFlags & NAMESPACE_FLAGS[type]).toBe(0);
  });

  test("an empty path is that of a new namespace", () => {
    const plan = planNamespaces([{ type: "network", path: "" }]);
    expect(plan.cloneFlags).toBe(CLONE_NEWNET);
    expect(plan.joined).toEqual([]);
  });

  test("none at all", () => {
    expect(planNamespaces([])).toMatchObject({ cloneFlags: 0, joined: [] });
  });

  test("all eight new: six for clone3, which are the kernel's flags", () => {
    const plan = planNamespaces(TYPES.map(make));
    expect(plan.cloneFlags).toBe(
      CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWUSER,
    );
    expect(plan.cloneFlags).toBeGreaterThan(0);
  });

  test("all eight joined: the user namespace last, since it takes the rights over the others", () => {
    const plan = planNamespaces(
      ["user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"].map((type) =>
        join(type as NamespaceType),
      ),
    );
    expect(plan.cloneFlags).toBe(0);
    const order = plan.joined.map(({ type }) => type);
    expect(order.at(-1)).toBe("user");
    expect(plan.joined.at(-1)?.configPath).toBe("linux.namespaces[0]");
  });

  test.each(
    TYPES.flatMap((one) => TYPES.filter((other) => other !== one).map((other) => [one, other] as const)),
  )("new %s with joined %s: each in one place only", (one, other) => {
    const plan = planNamespaces([make(one), join(other)]);
    expect([...plan.created]).toEqual([one]);
    expect(plan.joined.map(({ type }) => type)).toEqual([other]);
    expect(plan.has).toEqual(new Set([one, other]));
    expect(plan.cloneFlags).toBe(one === "cgroup" || one === "time" ? 0 : NAMESPACE_FLAGS[one]);
  });
});

describe("openNamespaces", () => {
  const entry = (type: NamespaceType, path: string) => ({ type, path, configPath: "linux.namespaces[2]" });

  test("opens what is of the right kind", () => {
    const opened = openNamespaces([
      entry("network", "/proc/self/ns/net"),
      entry("mount", "/proc/self/ns/mnt"),
    ]);
    expect(opened.map(({ type }) => type)).toEqual([CLONE_NEWNET, CLONE_NEWNS]);
    closeNamespaces(opened);
  });

  test.each([
    ["is missing", "/proc/self/ns/nothing", "no such file or directory"],
    ["is another kind", "/proc/self/ns/ipc", 'is of type "ipc"'],
    ["is none", "/proc/self/stat", "is not a namespace"],
  ])("refuses what %s, and says which entry it is", (_, path, why) => {
    expect(() => openNamespaces([entry("network", path)])).toThrow(
      `linux.namespaces[2] network namespace "${path}": ${why}`,
    );
  });
});

describe("namespaceSteps", () => {
  const stepsFor = (namespaces: Linux["namespaces"], timeOffsets?: Linux["timeOffsets"]) =>
    namespaceSteps(
      { namespaces, ...(timeOffsets ? { timeOffsets } : {}) },
      planNamespaces(namespaces),
      fds,
      createRequests(fds.sync),
    );

  test("none for what clone3 and setns have done", () => {
    expect(stepsFor((["mount", "network", "ipc", "uts", "pid", "user"] as const).map(make))).toEqual([]);
    expect(stepsFor((["cgroup", "pid", "user", "mount"] as const).map(join))).toEqual([]);
  });

  test("a new cgroup namespace is a step", () => {
    const steps = calls(stepsFor([make("cgroup")]));
    expect(steps.map(({ call, args }) => [call, ...args])).toEqual([["unshare", CLONE_NEWCGROUP]]);
  });

  test("a new time namespace is entered after its offsets are written", () => {
    const steps = stepsFor([make("time")], {
      monotonic: { secs: -5, nanosecs: 7 },
      boottime: { secs: 9_000_000_000 },
    });
    // What follows a jump over it is the other way, for an init that may not open the file.
    const all = straight(steps).filter((step) => step.kind === "call");
    expect(all.map(({ call }) => call)).toEqual([
      "unshare",
      ...["openat2", "write", "close"],
      ...["openat2", "write", "close"],
      ...["openat", "setns"],
    ]);
    expect(all[0]?.args).toEqual([CLONE_NEWTIME]);
    const lines = all.filter(({ call }) => call === "write").map(({ args }) => args.slice(1));
    expect(lines).toEqual([
      ["monotonic -5 7\n", 15],
      ["boottime 9000000000 0\n", 22],
    ]);
    for (const step of all.filter(({ call }) => call === "openat2")) {
      expect(step.args[0]).toBe(fds.proc);
      expect(step.args[1]).toBe("self/timens_offsets");
      expect((fieldsOf(step.args[2]).resolve ?? 0) & RESOLVE_BENEATH).toBe(RESOLVE_BENEATH);
      expect(tolerated(step)).toEqual({ [EACCES]: "may not write its offsets" });
    }
    expect(all[2]).toMatchObject({ path: "linux.timeOffsets.monotonic" });
    expect(all[2]?.hints?.[ERANGE]).toBeDefined();
    expect(all[7]?.args.slice(0, 2)).toEqual([fds.proc, "self/ns/time_for_children"]);
    expect(all[8]?.args).toEqual([all[7]?.store, CLONE_NEWTIME]);
  });

  test("the runtime writes the same lines when it is asked to", () => {
    const directory = slot("/proc/PID");
    const steps = calls(timeOffsetSteps({ boottime: { secs: 3 } }, directory));
    expect(steps.map(({ call }) => call)).toEqual(["openat2", "write", "close"]);
    expect(steps[0]?.args.slice(0, 2)).toEqual([directory, "timens_offsets"]);
    expect(steps[1]?.args[1]).toBe("boottime 3 0\n");
  });

  test("a joined time namespace is entered by its descriptor", () => {
    const steps = calls(stepsFor([join("time")]));
    expect(steps.map(({ call, args }) => [call, ...args])).toEqual([["setns", fds.time, CLONE_NEWTIME]]);
  });
});

describe("id maps", () => {
  const mappings = [
    { containerID: 0, hostID: 100_000, size: 65_536 },
    { containerID: 70_000, hostID: 4_294_967_000, size: 1 },
  ];

  test("all lines of a map are one write", () => {
    const process = slot("/proc/PID");
    const steps = idMapSteps({ uidMappings: mappings, gidMappings: mappings.slice(0, 1) }, process);
    expect(callNames(steps)).toEqual(["openat", "write", "close", "openat", "write", "close"]);
    const all = calls(steps);
    expect([all[0]?.args[0], all[0]?.args[1], all[3]?.args[1]]).toEqual([process, "uid_map", "gid_map"]);
    const lines = "0 100000 65536\n70000 4294967000 1\n";
    expect(all[1]?.args).toEqual([all[0]?.store, lines, lines.length]);
    expect(all[4]?.args).toEqual([all[3]?.store, "0 100000 65536\n", 15]);
    expect(all[1]).toMatchObject({ path: "linux.uidMappings" });
    expect(all[4]).toMatchObject({ path: "linux.gidMappings" });
    expect(all[4]?.hints?.[EPERM]).toContain("CAP_SETGID");
  });

  test("no mappings, no steps", () => {
    expect(idMapSteps({}, slot("p"))).toEqual([]);
    expect(idMapSteps({ uidMappings: [] }, slot("p"))).toEqual([]);
  });

  test.each([
    [0, 100_000],
    [65_535, 165_535],
    [65_536, undefined],
    [69_999, undefined],
    [70_000, 4_294_967_000],
    [70_001, undefined],
  ])("id %d stands for %s", (id, outside) => {
    expect(mappedId(id, mappings)).toBe(outside);
  });

  test("without mappings no id stands for anything", () => {
    expect(mappedId(0, undefined)).toBeUndefined();
    expect(mappedId(0, [])).toBeUndefined();
  });
});

describe("kernelSteps", () => {
  test("host name and domain name, with their length in bytes", () => {
    const steps = calls(kernelSteps(specWith({ hostname: "h\u00f6st", domainname: "example.org" }), fds));
    expect(steps.map(({ call, args, path }) => [path, call, ...args])).toEqual([
      ["hostname", "sethostname", "h\u00f6st", 5],
      ["domainname", "setdomainname", "example.org", 11],
    ]);
  });

  test("empty names are none", () => {
    expect(kernelSteps(specWith({ hostname: "", domainname: "" }), fds)).toEqual([]);
  });

  test.each([
    ["net.ipv4.ip_forward", "net/ipv4/ip_forward"],
    ["net/ipv4/ip_forward", "net/ipv4/ip_forward"],
    ["net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"],
    ["net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"],
    ["kernel.shm_rmid_forced", "kernel/shm_rmid_forced"],
    ["plain", "plain"],
  ])("sysctl %s is the file %s", (key, file) => {
    expect(sysctlPath(key)).toBe(file);
  });

  test("a sysctl is written in the checked /proc, and nothing leads out of it", () => {
    const spec = specWith({ hostname: "" });
    const steps = kernelSteps(
      {
        ...spec,
        linux: { ...spec.linux, sysctl: { "net.ipv4.ip_forward": "1", "kernel.msgmax": "\u00e4" } },
      },
      fds,
    );
    expect(callNames(steps)).toEqual(["openat2", "write", "close", "openat2", "write", "close"]);
    const [open, write, , , second] = calls(steps);
    expect(open?.args.slice(0, 2)).toEqual([fds.proc, "sys/net/ipv4/ip_forward"]);
    // CVE-2025-52881
    const wanted = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    expect(fieldsOf(open?.args[2]).resolve).toBe(wanted);
    expect(open).toMatchObject({ path: 'linux.sysctl["net.ipv4.ip_forward"]' });
    expect(open?.hints?.[ENOENT]).toContain("module");
    expect(write?.args).toEqual([open?.store, "1", 1]);
    expect(second?.args.slice(1)).toEqual(["\u00e4", 2]);
  });

  test("sysctls come after the names, so that both are there when hooks or init look", () => {
    const spec = specWith({ hostname: "h" });
    const steps = kernelSteps({ ...spec, linux: { ...spec.linux, sysctl: { "net.a": "1" } } }, fds);
    expect(callNames(steps)).toEqual(["sethostname", "openat2", "write", "close"]);
    expect(only(steps, "sethostname").args).toEqual(["h", 1]);
  });
});
