import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { creationOptions } from "../../src/cli/creation.ts";
import { PLAIN_LOG } from "../../src/cli/log.ts";
import { parseMountOptions } from "../../src/rootfs/mount-options.ts";
import { features } from "../../src/runtime/features.ts";
import { config } from "../../src/spec/config.ts";
import { parseConfig } from "../../src/spec/parse.ts";
import { refuseUnsupported } from "../../src/spec/refused.ts";
import { choicesAt } from "../../src/spec/schema.ts";
import { configWith, type Json } from "../invalid-values.ts";

/* features.md: every claim of the document, against what the code does with such a config.json. */

const { linux, ...document } = features();

/** Whether berth takes a config.json with these changes. */
async function takes(changes: Record<string, Json>): Promise<boolean> {
  const { spec } = await parseConfig(configWith(changes), "config.json");
  try {
    refuseUnsupported(spec);
    return true;
  } catch {
    return false;
  }
}

/** Whether a value is refused as one that the property may not have. */
async function isKnown(changes: Record<string, Json>): Promise<boolean> {
  return await parseConfig(configWith(changes), "config.json").then(
    () => true,
    (error: Error) => !/found .*; allowed: (one of )?"/.test(error.message),
  );
}

describe("the document", () => {
  test("has every property of features.md 1.3", () => {
    expect(Object.keys(document).sort()).toEqual([
      "annotations",
      "hooks",
      "mountOptions",
      "ociVersionMax",
      "ociVersionMin",
      "potentiallyUnsafeConfigAnnotations",
    ]);
    expect(Object.keys(linux).sort()).toEqual([
      "apparmor",
      "capabilities",
      "cgroup",
      "intelRdt",
      "memoryPolicy",
      "mountExtensions",
      "namespaces",
      "netDevices",
      "seccomp",
      "selinux",
    ]);
    expect(Object.keys(linux.seccomp)).toEqual([
      "enabled",
      "actions",
      "operators",
      "archs",
      "knownFlags",
      "supportedFlags",
    ]);
    expect(Object.keys(linux.cgroup)).toEqual(["v1", "v2", "systemd", "systemdUser", "rdma"]);
    expect(Object.values(document.annotations).every((value) => typeof value === "string")).toBe(true);
  });

  test("is the same each time", () => {
    expect(features()).toEqual({ ...document, linux });
  });

  test.each([document.ociVersionMin, document.ociVersionMax])(
    "config.json may be of version %s",
    async (ociVersion) => {
      const { warnings } = await parseConfig(configWith({ ociVersion }), "config.json");
      expect(warnings).toEqual([]);
    },
  );
});

const HOOKS = ["createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer"];

describe("what it lists is what config.json may have", () => {
  test("hooks", async () => {
    expect([...document.hooks].sort()).toEqual(HOOKS);
    for (const name of document.hooks) {
      const { warnings } = await parseConfig(
        configWith({ hooks: { [name]: [{ path: "/x" }] } }),
        "config.json",
      );
      expect([name, warnings]).toEqual([name, []]);
    }
  });

  test("mount options: each is understood, and none is left to the file system", () => {
    for (const option of document.mountOptions) expect(parseMountOptions([option]).data).toEqual([]);
    expect(document.mountOptions).toEqual([...document.mountOptions].sort());
    // Those of features.md's own example, but acl, which is no flag of a mount.
    for (const option of ["async", "bind", "iversion", "rro", "rsymfollow", "tmpcopyup", "unbindable"]) {
      expect(document.mountOptions).toContain(option);
    }
  });

  test("namespaces", () => {
    expect(linux.namespaces).toEqual(choicesAt(config, "linux", "namespaces", "type").sort());
  });

  test("capabilities: those of the kernel's header", () => {
    const header = readFileSync("/usr/include/linux/capability.h", "utf8");
    const defined = [...header.matchAll(/^#define (CAP_\w+)\s+\d+$/gm)].map(([, name]) => name);
    expect(linux.capabilities).toEqual(expect.arrayContaining(defined));
    expect(linux.capabilities).toHaveLength(41);
  });

  test.each([
    ["actions", linux.seccomp.actions, (value: string) => ({ "linux.seccomp": { defaultAction: value } })],
    [
      "operators",
      linux.seccomp.operators,
      (op: string) => ({
        "linux.seccomp": {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["read"], action: "SCMP_ACT_LOG", args: [{ index: 0, value: 1, op }] }],
        },
      }),
    ],
    [
      "archs",
      linux.seccomp.archs,
      (arch: string) => ({ "linux.seccomp": { defaultAction: "SCMP_ACT_ALLOW", architectures: [arch] } }),
    ],
    [
      "knownFlags",
      linux.seccomp.knownFlags,
      (flag: string) => ({ "linux.seccomp": { defaultAction: "SCMP_ACT_ALLOW", flags: [flag] } }),
    ],
    [
      "modes",
      linux.memoryPolicy.modes,
      (mode: string) => ({
        "linux.memoryPolicy": { mode, ...(/DEFAULT|LOCAL/.test(mode) ? {} : { nodes: "0" }) },
      }),
    ],
    [
      "flags",
      linux.memoryPolicy.flags,
      (flag: string) => ({ "linux.memoryPolicy": { mode: "MPOL_BIND", nodes: "0", flags: [flag] } }),
    ],
  ] as const)("%s", async (_, values, changes) => {
    expect(values.length).toBeGreaterThan(2);
    for (const value of values) expect([value, await isKnown(changes(value))]).toEqual([value, true]);
    expect(await isKnown(changes("SOMETHING_ELSE"))).toBe(false);
  });
});

describe("what it calls enabled is carried out, and what it does not, is not", () => {
  test.each<[string, boolean, Record<string, Json>]>([
    ["seccomp", linux.seccomp.enabled, { "linux.seccomp": { defaultAction: "SCMP_ACT_ALLOW" } }],
    ["apparmor", linux.apparmor.enabled, { "process.apparmorProfile": "x" }],
    ["selinux", linux.selinux.enabled, { "process.selinuxLabel": "x", "linux.mountLabel": "x" }],
    ["intelRdt", linux.intelRdt.enabled, { "linux.intelRdt": { closID: "x" } }],
    ["intelRdt.schemata", linux.intelRdt.schemata, { "linux.intelRdt": { schemata: ["L3:0=f"] } }],
    ["intelRdt.monitoring", linux.intelRdt.monitoring, { "linux.intelRdt": { enableMonitoring: true } }],
    ["netDevices", linux.netDevices.enabled, { "linux.netDevices": { eth0: {} } }],
    ["memoryPolicy", true, { "linux.memoryPolicy": { mode: "MPOL_LOCAL" } }],
    ["rdma", linux.cgroup.rdma, { "linux.resources.rdma": { mlx5: { hcaHandles: 1 } } }],
    [
      "idmap",
      linux.mountExtensions.idmap.enabled,
      {
        "mounts[0]": {
          destination: "/x",
          source: "/x",
          options: ["bind", "idmap"],
          uidMappings: [{ containerID: 0, hostID: 1, size: 1 }],
          gidMappings: [{ containerID: 0, hostID: 1, size: 1 }],
        },
      },
    ],
  ])("%s", async (_, enabled, changes) => {
    expect(await takes(changes)).toBe(enabled);
  });

  test("flags of seccomp are supported if seccomp is", () => {
    expect(linux.seccomp.supportedFlags).toEqual(linux.seccomp.enabled ? linux.seccomp.knownFlags : []);
  });

  test("systemd makes cgroups if the command line allows it", () => {
    const values = {
      bundle: "/b",
      config: undefined,
      "console-socket": undefined,
      "pidfd-socket": undefined,
      "pid-file": undefined,
      "no-pivot": false,
      "no-new-keyring": false,
      "preserve-fds": 0,
    };
    const globals = {
      root: "/r",
      rootGiven: true,
      cgroupManager: "systemd",
      rootless: "auto",
      log: PLAIN_LOG,
    } as const;
    let allowed = true;
    try {
      creationOptions({ values, positionals: ["x"], globals });
    } catch {
      allowed = false;
    }
    expect(linux.cgroup.systemd).toBe(allowed);
    expect(linux.cgroup).toMatchObject({ v2: true });
  });

  test("annotations that change what berth does are named", () => {
    const source = join(import.meta.dirname, "../../src");
    const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".ts"),
    );
    const texts = files
      .filter((name) => !name.endsWith("features.ts"))
      .map((name) => readFileSync(join(source, name), "utf8"))
      .join("\n");
    const known = ["org.systemd.property.", "org.criu.config", "run.oci."];
    expect(document.potentiallyUnsafeConfigAnnotations).toEqual(
      known.filter((name) => texts.includes(`"${name}`)),
    );
  });
});
