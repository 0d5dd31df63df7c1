import { describe, expect, test } from "vitest";
import { CAPABILITIES } from "../../src/spec/capabilities.ts";
import type { Spec } from "../../src/spec/config.ts";
import { defaultSpec } from "../../src/spec/default.ts";
import { hasNewNamespace, namespaceOf } from "../../src/spec/namespaces.ts";
import { nearest } from "../../src/spec/nearest.ts";
import { resourcesInNewTerms } from "../../src/spec/older.ts";
import { parseConfig } from "../../src/spec/parse.ts";
import { sysctlPath } from "../../src/spec/sysctl.ts";

const rootful = { rootless: false, uid: 0, gid: 0, cgroup2: true };

function parse(config: object) {
  return parseConfig(JSON.stringify(config), "config.json");
}

/** The default spec with some top-level properties, and some of `process` and `linux`, replaced. */
function specWith(top: object, process: object = {}, linux: object = {}): object {
  const spec = defaultSpec(rootful);
  return { ...spec, ...top, process: { ...spec.process, ...process }, linux: { ...spec.linux, ...linux } };
}

async function warningsFor(config: object): Promise<string[]> {
  return (await parse(config)).warnings;
}

describe("parseConfig accepts", () => {
  test("the smallest config.json", async () => {
    const smallest = {
      ociVersion: "1.0.0",
      root: { path: "/r" },
      linux: { namespaces: [{ type: "mount" }] },
    };
    expect(await parse(smallest)).toEqual({ spec: smallest, warnings: [] });
  });

  test.each(["1.0.0", "1.0.0-rc5", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0", "1.3.0+dev", "1.3.9"])(
    "ociVersion %s",
    async (ociVersion) => {
      expect(await warningsFor(specWith({ ociVersion }))).toEqual([]);
    },
  );

  test.each([
    ["1.0.2-dev", undefined],
    ["1.2.1", undefined],
    ["1.3.0", { limit: 0 }],
    ["1.10.0", { limit: 0 }],
  ])("a pids.limit of 0, which before version 1.3 is none: %s", async (ociVersion, pids) => {
    const { spec } = await parse(specWith({ ociVersion }, {}, { resources: { pids: { limit: 0 } } }));
    expect(spec.linux.resources).toEqual(pids === undefined ? {} : { pids });
    expect(resourcesInNewTerms({ pids: { limit: 0 } }, ociVersion)).toEqual(spec.linux.resources);
    expect(resourcesInNewTerms({ pids: { limit: 1 } }, ociVersion)).toEqual({ pids: { limit: 1 } });
  });

  test("null for what is empty, as absent", async () => {
    const config = specWith(
      { hooks: null, mounts: null, annotations: { a: null, b: "x" } },
      { capabilities: { bounding: null }, rlimits: null },
      { resources: null, seccomp: null },
    );
    const { spec } = await parse(config);
    expect(spec).not.toHaveProperty("hooks");
    expect(spec).not.toHaveProperty("mounts");
    expect(spec.linux).not.toHaveProperty("resources");
    expect(spec.process?.capabilities).toEqual({});
    expect(spec.annotations).toEqual({ b: "x" });
  });

  test("64-bit numbers beyond 2^53", async () => {
    const text = JSON.stringify(specWith({}, { rlimits: "R" }, { resources: "M" }))
      .replace('"R"', '[{"type":"RLIMIT_CORE","soft":18446744073709551615,"hard":18446744073709551615}]')
      .replace('"M"', '{"memory":{"limit":9223372036854771712,"swap":9223372036854775807}}');
    const { spec } = await parseConfig(text, "config.json");
    expect(spec.process?.rlimits?.[0]?.soft).toBe(2 ** 64);
    expect(spec.linux.resources?.memory).toEqual({ limit: 2 ** 63 - 4096, swap: 2 ** 63 });
  });

  test("a user namespace with mappings that touch and do not overlap", async () => {
    const mappings = [
      { containerID: 0, hostID: 1000, size: 1 },
      { containerID: 1, hostID: 100000, size: 65536 },
    ];
    const namespaces = [{ type: "mount" }, { type: "uts" }, { type: "user" }];
    const config = specWith({}, {}, { namespaces, uidMappings: mappings, gidMappings: mappings });
    expect(await warningsFor(config)).toEqual([]);
  });

  test("sysctls of namespaces that the container has, new or joined, in both spellings", async () => {
    const namespaces = [
      { type: "mount" },
      { type: "uts" },
      { type: "ipc" },
      { type: "network", path: "/run/netns/a" },
    ];
    const sysctl = {
      "net.ipv4.ip_forward": "1",
      "net/ipv4/conf/eth0.1/forwarding": "1",
      "kernel.shmmax": "1",
      "fs.mqueue.msg_max": "10",
      "kernel.domainname": "x",
    };
    expect(await warningsFor(specWith({}, {}, { namespaces, sysctl }))).toEqual([]);
  });

  test("schedulers that the kernel accepts", async () => {
    const schedulers = [
      { policy: "SCHED_OTHER", nice: -20, priority: 0 },
      { policy: "SCHED_FIFO", priority: 99 },
      { policy: "SCHED_DEADLINE", runtime: 1024, deadline: 1024 },
      { policy: "SCHED_DEADLINE", runtime: 1024, deadline: 2048, period: 4096 },
    ];
    for (const scheduler of schedulers) expect(await warningsFor(specWith({}, { scheduler }))).toEqual([]);
  });

  test("mounts without a type that need none", async () => {
    const mounts = [
      { destination: "/a", source: "/b", options: ["rbind", "ro"] },
      { destination: "/a", options: ["remount"] },
      { destination: "/a", source: "/b", options: ["bind", "idmap=uids=0-1-2#2-9-1;gids=0-1-2"] },
    ];
    expect(await warningsFor(specWith({ mounts }))).toEqual([]);
  });

  test("the same device twice, and a fifo without numbers", async () => {
    const device = { type: "c", path: "/dev/x", major: 1, minor: 3 };
    const devices = [device, device, { type: "p", path: "/dev/fifo" }];
    expect(await warningsFor(specWith({}, {}, { devices }))).toEqual([]);
  });
});

describe("parseConfig warns of", () => {
  const mounts = [
    { destination: "a", type: "tmpfs", optoins: [] },
    { destination: "/b", type: "tmpfs", optoins: [] },
  ];
  const joined = [{ type: "mount" }, { type: "uts" }, { type: "user", path: "/proc/7/ns/user" }];
  const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
  test.each<[string, object, string[]]>([
    [
      "a newer minor version",
      specWith({ ociVersion: "1.4.0" }),
      ['ociVersion is "1.4.0": berth knows runtime-spec up to 1.3, what is newer is ignored'],
    ],
    [
      "unknown capabilities, each once",
      specWith(
        {},
        { capabilities: { bounding: ["CAP_FLY", "CAP_KILL"], permitted: ["CAP_FLY", "toString"] } },
      ),
      ["process.capabilities has names that berth does not know, which are not given: CAP_FLY, toString"],
    ],
    [
      "ambient capabilities that cannot be",
      specWith(
        {},
        {
          capabilities: {
            ambient: ["CAP_KILL", "CAP_CHOWN"],
            permitted: ["CAP_KILL"],
            inheritable: ["CAP_KILL"],
          },
        },
      ),
      [
        "process.capabilities.ambient has what is not both inheritable and permitted, and is not given: CAP_CHOWN",
      ],
    ],
    [
      "not of one list in all sets but the inheritable, as buildah writes it",
      specWith(
        {},
        {
          capabilities: {
            bounding: ["CAP_KILL"],
            permitted: ["CAP_KILL"],
            effective: ["CAP_KILL"],
            ambient: ["CAP_KILL"],
          },
        },
      ),
      [],
    ],
    [
      "a user name",
      specWith({}, { user: { uid: 0, gid: 0, username: "me" } }),
      ["process.user.username is not for Linux: ignored, uid and gid count"],
    ],
    [
      "unknown properties of array items once, with the nearest name; relative destinations",
      specWith({ mounts }),
      [
        'mounts.optoins is not a property of runtime-spec 1.3; did you mean "options"?',
        'mounts[0].destination is relative: taken as "/a"',
      ],
    ],
    [
      "an unknown property that is like no other",
      specWith({ flavour: 1 }, { x: 1 }),
      ["process.x is not a property of runtime-spec 1.3", "flavour is not a property of runtime-spec 1.3"],
    ],
    [
      "a property in the wrong case, and one two letters off",
      specWith({ Hostname: "x" }, {}, { readonlyPath: [], rootPropagation: "" }),
      [
        'linux.readonlyPath is not a property of runtime-spec 1.3; did you mean "readonlyPaths"?',
        'linux.rootPropagation is not a property of runtime-spec 1.3; did you mean "rootfsPropagation"?',
        'Hostname is not a property of runtime-spec 1.3; did you mean "hostname"?',
      ],
    ],
    [
      "an unknown property below a free key, but not the free key",
      specWith({ annotations: { any: "x" } }, {}, { netDevices: { eth0: { nam: "x" } } }),
      ['linux.netDevices.eth0.nam is not a property of runtime-spec 1.3; did you mean "name"?'],
    ],
    [
      "sections of other platforms",
      specWith({ windows: {}, vm: {} }),
      ["windows is not for Linux: ignored", "vm is not for Linux: ignored"],
    ],
    [
      "mappings for a user namespace that is joined",
      specWith({}, {}, { namespaces: joined, uidMappings: mapping, gidMappings: mapping }),
      ["linux.uidMappings and linux.gidMappings must be those of the user namespace that is joined"],
    ],
    ["nothing, where all is well", specWith({}), []],
  ])("%s", async (_, config, warnings) => {
    expect(await warningsFor(config)).toEqual(warnings);
  });
});

describe("defaultSpec", () => {
  const namespaces = (spec: Spec) => spec.linux.namespaces.map(({ type }) => type);

  test.each([
    [rootful, ["pid", "network", "ipc", "uts", "mount", "cgroup"]],
    [{ ...rootful, cgroup2: false }, ["pid", "network", "ipc", "uts", "mount"]],
    [{ ...rootful, rootless: true }, ["pid", "ipc", "uts", "mount", "user", "cgroup"]],
  ])("is valid, supported and without warnings: %j", async (options, types) => {
    const { spec, warnings } = await parse(defaultSpec(options));
    expect(warnings).toEqual([]);
    expect(namespaces(spec)).toEqual(types);
  });

  test("gives no inheritable and no ambient capabilities (CVE-2022-29162)", () => {
    const sets = defaultSpec(rootful).process?.capabilities ?? {};
    expect(Object.keys(sets)).toEqual(["bounding", "effective", "permitted"]);
  });

  test("rootless: one mapping, no limits, a bound /sys, no group that is not mapped", () => {
    const { linux, mounts } = defaultSpec({ rootless: true, uid: 1000, gid: 100, cgroup2: false });
    expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 1000, size: 1 }]);
    expect(linux.gidMappings).toEqual([{ containerID: 0, hostID: 100, size: 1 }]);
    expect(linux).not.toHaveProperty("resources");
    expect(mounts?.find(({ destination }) => destination === "/sys")).toEqual({
      destination: "/sys",
      type: "none",
      source: "/sys",
      options: ["rbind", "nosuid", "noexec", "nodev", "ro"],
    });
    expect(
      mounts?.flatMap(({ options = [] }) => options).filter((option) => option.includes("gid=")),
    ).toEqual([]);
  });

  test("is made anew for each caller", () => {
    defaultSpec(rootful).mounts?.[1]?.options?.push("x");
    defaultSpec(rootful).process?.capabilities?.bounding?.push("x");
    expect(defaultSpec(rootful).mounts?.[1]?.options).not.toContain("x");
    expect(defaultSpec(rootful).process?.capabilities?.bounding).not.toContain("x");
  });
});

test("namespaceOf and hasNewNamespace", () => {
  const spec = defaultSpec(rootful);
  spec.linux.namespaces = [{ type: "mount" }, { type: "pid", path: "/proc/1/ns/pid" }];
  expect(namespaceOf(spec, "pid")?.path).toBe("/proc/1/ns/pid");
  expect(namespaceOf(spec, "user")).toBeUndefined();
  expect(hasNewNamespace(spec, "mount")).toBe(true);
  expect(hasNewNamespace(spec, "pid")).toBe(false);
  expect(hasNewNamespace(spec, "user")).toBe(false);
});

test.each([
  ["net.ipv4.ip_forward", "net/ipv4/ip_forward"],
  ["net/ipv4/ip_forward", "net/ipv4/ip_forward"],
  ["net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"],
  ["net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"],
])("sysctlPath of %s", (key, path) => {
  expect(sysctlPath(key)).toBe(path);
});

test("the capability table is complete and in the kernel's order", () => {
  expect(Object.values(CAPABILITIES)).toEqual([...Array(41).keys()]);
  // linux/capability.h, at the start, in the middle and at the end.
  expect(CAPABILITIES).toMatchObject({ CAP_CHOWN: 0, CAP_SYS_ADMIN: 21, CAP_CHECKPOINT_RESTORE: 40 });
});

test.each([
  ["readonlyPath", "readonlyPaths"],
  ["READONLYPATHS", "readonlyPaths"],
  ["readonlyXXXs", undefined],
  ["gdi", undefined],
  ["terminla", "terminal"],
])("nearest to %s is %s", (word, expected) => {
  expect(nearest(word, ["gid", "terminal", "readonlyPaths"])).toBe(expected);
});
