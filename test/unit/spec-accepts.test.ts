import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { safeParse } from "zod/mini";
import { compile, format } from "../../scripts/compile-schema.ts";
import { acceptsSpec } from "../../src/spec/accepts.gen.ts";
import { config } from "../../src/spec/config.ts";

const COMPILED = new URL("../../src/spec/accepts.gen.ts", import.meta.url);

// Every property of the schema at least once, so that a mutation can reach every check.
const idMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
const hook = { path: "/bin/hook", args: ["hook"], env: ["A=1"], timeout: 5 };
const throttle = [{ major: 8, minor: 0, rate: 1048576 }];
const FULL = {
  ociVersion: "1.3.0",
  root: { path: "rootfs", readonly: true },
  process: {
    terminal: true,
    consoleSize: { height: 24, width: 80 },
    user: { uid: 0, gid: 0, umask: 18, additionalGids: [5], username: "x" },
    args: ["sh"],
    commandLine: "x",
    env: ["A=1"],
    cwd: "/",
    capabilities: { bounding: ["A"], effective: ["A"], inheritable: ["A"], permitted: ["A"], ambient: ["A"] },
    rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 2 ** 64 }],
    noNewPrivileges: true,
    apparmorProfile: "x",
    selinuxLabel: "x",
    oomScoreAdj: -1000,
    scheduler: {
      policy: "SCHED_DEADLINE",
      nice: -20,
      priority: 99,
      flags: ["SCHED_FLAG_RECLAIM"],
      runtime: 1024,
      deadline: 2048,
      period: 4096,
    },
    ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 7 },
    execCPUAffinity: { initial: "0", final: "1" },
  },
  hostname: "x",
  domainname: "x",
  mounts: [
    {
      destination: "/x",
      type: "none",
      source: "/x",
      options: ["bind"],
      uidMappings: idMappings,
      gidMappings: idMappings,
    },
  ],
  hooks: {
    prestart: [hook],
    createRuntime: [hook],
    createContainer: [hook],
    startContainer: [hook],
    poststart: [hook],
    poststop: [hook],
  },
  annotations: { a: "b" },
  linux: {
    namespaces: [{ type: "mount", path: "/proc/1/ns/mnt" }],
    uidMappings: idMappings,
    gidMappings: idMappings,
    timeOffsets: { monotonic: { secs: -1, nanosecs: 1 } },
    devices: [{ type: "c", path: "/dev/x", major: 1, minor: 1, fileMode: 438, uid: 0, gid: 0 }],
    netDevices: { eth0: { name: "x" } },
    cgroupsPath: "/x",
    resources: {
      devices: [{ allow: true, type: "c", major: 1, minor: -1, access: "r" }],
      memory: {
        limit: 2 ** 63 - 4096,
        reservation: 1,
        swap: -1,
        kernel: 1,
        kernelTCP: 1,
        swappiness: 60,
        disableOOMKiller: true,
        useHierarchy: true,
        checkBeforeUpdate: true,
      },
      cpu: {
        shares: 1024,
        quota: -1,
        burst: 1,
        period: 100000,
        realtimeRuntime: 1,
        realtimePeriod: 1,
        cpus: "0",
        mems: "0",
        idle: 1,
      },
      pids: { limit: -1 },
      blockIO: {
        weight: 10,
        leafWeight: 10,
        weightDevice: [{ major: 8, minor: 0, weight: 10, leafWeight: 10 }],
        throttleReadBpsDevice: throttle,
        throttleWriteBpsDevice: throttle,
        throttleReadIOPSDevice: throttle,
        throttleWriteIOPSDevice: throttle,
      },
      hugepageLimits: [{ pageSize: "2MB", limit: 1 }],
      network: { classID: 1, priorities: [{ name: "eth0", priority: 1 }] },
      rdma: { mlx5: { hcaHandles: 1, hcaObjects: 1 } },
      unified: { "memory.high": "1" },
    },
    intelRdt: {
      closID: "x",
      schemata: ["L3:0=f"],
      l3CacheSchema: "x",
      memBwSchema: "x",
      enableMonitoring: true,
      enableCMT: true,
      enableMBM: true,
    },
    sysctl: { "net.core.somaxconn": "1" },
    seccomp: {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 1,
      architectures: ["SCMP_ARCH_X86_64"],
      flags: ["SECCOMP_FILTER_FLAG_LOG"],
      listenerPath: "/x",
      listenerMetadata: "x",
      syscalls: [
        {
          names: ["read"],
          action: "SCMP_ACT_ALLOW",
          errnoRet: 1,
          args: [{ index: 0, value: 2 ** 64, valueTwo: 1, op: "SCMP_CMP_MASKED_EQ" }],
        },
      ],
    },
    rootfsPropagation: "rslave",
    maskedPaths: ["/x"],
    readonlyPaths: ["/x"],
    mountLabel: "x",
    personality: { domain: "LINUX32", flags: ["x"] },
    memoryPolicy: { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] },
  },
};

type Container = Record<string, unknown>;

/** Every place in `value`, as the object or array that holds it and the key. */
function places(value: unknown): { holder: Container; key: string }[] {
  if (typeof value !== "object" || value === null) return [];
  const holder = value as Container;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...places(holder[key])]);
}

const SUBSTITUTES: unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 32,
  2 ** 64,
  2 ** 65,
  -(2 ** 64),
  Number.POSITIVE_INFINITY,
  "",
  "x",
  [],
  [1],
  {},
  { x: 1 },
];

describe("acceptsSpec", () => {
  test("is what compile-schema.ts writes today", () => {
    expect(readFileSync(COMPILED, "utf8")).toBe(format(compile(config)));
  });

  test("accepts a config with every property", () => {
    expect(acceptsSpec(FULL)).toBe(true);
    const known = JSON.stringify(safeParse(config, FULL).data);
    expect(known, "a property of FULL is not in the schema").toHaveLength(JSON.stringify(FULL).length);
  });

  test("agrees with zod, whichever value is replaced by whichever other", () => {
    const verdicts = { accepted: 0, refused: 0 };
    const mutant = structuredClone(FULL);
    for (const { holder, key } of places(mutant)) {
      const original = holder[key];
      for (const substitute of SUBSTITUTES) {
        // Absent, not undefined: that is how JSON says it.
        if (substitute === undefined && !Array.isArray(holder)) delete holder[key];
        else holder[key] = substitute;
        const isAccepted = acceptsSpec(mutant);
        verdicts[isAccepted ? "accepted" : "refused"]++;
        if (isAccepted !== safeParse(config, mutant).success) {
          expect.unreachable(`acceptsSpec says ${isAccepted} to ${key} = ${JSON.stringify(substitute)}`);
        }
      }
      holder[key] = original;
    }
    expect(verdicts.accepted).toBeGreaterThan(500);
    expect(verdicts.refused).toBeGreaterThan(2000);
  });
});
