import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import { isAppArmorEnabled, isSelinuxEnabled } from "../../src/linux/security.ts";
import { berth, type Config, makeBundle, namespaceOf, newId, runScript, waitUntil } from "../bundle.ts";
import { createContainer, forever, refuse, script, startContainer, stateOf, succeed } from "../container.ts";

/* linux.memoryPolicy, linux.netDevices, and what this host lacks: labels of security modules, resctrl. */

function refusal(patch: (config: Config) => void): string {
  return refuse(["create", "--bundle", makeBundle(patch).path, newId()]);
}

describe("what a host lacks is said before anything is made", () => {
  // Where the host has it, the effect is tested instead, see test/vm.
  test.runIf(!isAppArmorEnabled())("process.apparmorProfile without AppArmor", () => {
    const error = refusal((config) => {
      config.process.apparmorProfile = "box";
    });
    expect(error).toContain('process.apparmorProfile "box": AppArmor is not enabled on this host\nhint: ');
  });

  test.runIf(!isSelinuxEnabled())("labels without SELinux", () => {
    expect(
      refusal((config) => {
        config.process.selinuxLabel = "a:b:c";
      }),
    ).toContain('process.selinuxLabel "a:b:c": SELinux is not enabled on this host\nhint: ');
    expect(
      refusal((config) => {
        config.linux.mountLabel = "a:b:c";
      }),
    ).toContain('linux.mountLabel "a:b:c": SELinux is not enabled on this host\nhint: ');
  });

  test.runIf(!readFileSync("/proc/self/mountinfo", "utf8").includes(" - resctrl "))(
    "linux.intelRdt without resctrl",
    () => {
      const error = refusal((config) => {
        config.linux.intelRdt = { schemata: ["L3:0=f"] };
      });
      expect(error).toContain("linux.intelRdt: no resctrl file system is mounted\nhint: ");
    },
  );

  test("labels that engines leave empty are none", () => {
    const { status } = runScript("true", (config) => {
      Object.assign(config.process, { apparmorProfile: "", selinuxLabel: "", execCPUAffinity: {} });
      config.linux.mountLabel = "";
    });
    expect(status).toBe(0);
  });

  test("explain shows it all the same", () => {
    const bundle = makeBundle((config) => {
      config.process.apparmorProfile = "box";
      config.process.selinuxLabel = "a:b:c";
      config.linux.mountLabel = "d:e:f";
      config.linux.intelRdt = { schemata: ["L3:0=f"] };
      config.linux.memoryPolicy = { mode: "MPOL_INTERLEAVE", nodes: "0-1" };
      config.linux.netDevices = { nope0: { name: "eth0" } };
    });
    const shown = succeed(["explain", bundle.path]);
    for (const text of [
      "self/attr/apparmor/exec",
      "self/attr/keycreate",
      "self/attr/exec",
      'key: "context", value: "d:e:f"',
      "/schemata",
      "set_mempolicy(mode: 0x3, nodes: {0-1}, bits: 65)",
      "ask the runtime: network",
      "NETLINK_ROUTE",
    ]) {
      expect(shown).toContain(text);
    }
  });
});

describe("linux.memoryPolicy", () => {
  test.each<[NonNullable<Config["linux"]["memoryPolicy"]>, string]>([
    [{ mode: "MPOL_BIND", nodes: "0" }, "bind:0"],
    [{ mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] }, "bind=static:0"],
    [{ mode: "MPOL_INTERLEAVE", nodes: "0", flags: ["MPOL_F_RELATIVE_NODES"] }, "interleave=relative:0"],
    [{ mode: "MPOL_PREFERRED", nodes: "0" }, "prefer:0"],
    [{ mode: "MPOL_LOCAL" }, "local"],
    [{ mode: "MPOL_DEFAULT" }, "default"],
  ])("%j is that of every mapping", (memoryPolicy, shown) => {
    const { stdout, stderr } = runScript("cat /proc/self/numa_maps", (config) => {
      config.linux.memoryPolicy = memoryPolicy;
    });
    expect(stderr).toBe("");
    const policies = stdout
      .trim()
      .split("\n")
      // The pages that the kernel shares with all processes have the policy of none.
      .filter((line) => !line.includes("vvar") && !line.includes("vdso"))
      .map((line) => line.split(" ")[1]);
    expect(new Set(policies)).toEqual(new Set([shown]));
  });

  test("nodes that the machine lacks are refused", () => {
    const error = refusal((config) => {
      config.linux.memoryPolicy = { mode: "MPOL_BIND", nodes: "900" };
    });
    expect(error).toContain('linux.memoryPolicy.nodes "900": none of these nodes has memory\nhint: ');
  });
});

describe("linux.netDevices", () => {
  // A name holds 15 bytes.
  const near = `bt${process.pid % 100000}a`;
  const far = `bt${process.pid % 100000}b`;
  const ip = (...args: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(["ip", ...args]);
    if (exitCode !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
    return stdout.toString();
  };
  const exists = (name: string) => readdirSync("/sys/class/net").includes(name);
  const remove = () => {
    if (exists(far)) Bun.spawnSync(["ip", "link", "del", far]);
    waitUntil(() => !exists(near) && !exists(far), "the devices are gone");
  };

  beforeEach(() => {
    ip("link", "add", near, "type", "veth", "peer", "name", far);
    ip("addr", "add", "192.0.2.7/24", "broadcast", "192.0.2.255", "dev", near);
    ip("addr", "add", "2001:db8::7/64", "dev", near, "nodad");
    ip("addr", "add", "192.0.2.9/24", "valid_lft", "1000", "preferred_lft", "1000", "dev", near);
    ip("link", "set", near, "up");
    ip("link", "set", far, "up");
  });
  afterEach(remove);

  const moving = (netDevices: NonNullable<Config["linux"]["netDevices"]>) => (config: Config) => {
    config.linux.netDevices = netDevices;
  };

  test("are moved, with their permanent addresses, and set up", () => {
    const { stdout, stderr } = runScript("ip -o addr; ip -o link", moving({ [near]: {} }));
    expect(stderr).toBe("");
    expect(stdout).toMatch(new RegExp(`${near} +inet 192.0.2.7/24 brd 192.0.2.255 scope global`));
    expect(stdout).toMatch(new RegExp(`${near} +inet6 2001:db8::7/64 scope global`));
    // A lease is for whoever renews it.
    expect(stdout).not.toContain("192.0.2.9");
    expect(stdout).toMatch(new RegExp(`${near}@if\\d+: <[A-Z_,]*\\bUP\\b`));
    waitUntil(() => !exists(far), "the kernel has removed what the container had");
  });

  test("get another name, which the kernel may choose", () => {
    expect(runScript("ls /sys/class/net", moving({ [near]: { name: "lan0" } })).stdout).toBe("lan0\nlo\n");
    remove();
    ip("link", "add", near, "type", "veth", "peer", "name", far);
    const both = moving({ [near]: { name: "lan%d" }, [far]: { name: "lan%d" } });
    expect(runScript("ls /sys/class/net", both).stdout).toBe("lan0\nlan1\nlo\n");
  });

  test("are there for createRuntime hooks, and not on the host any more", () => {
    const { id, pid } = createContainer(forever, moving({ [near]: { name: "lan0" } }));
    expect(exists(near)).toBe(false);
    const inside = Bun.spawnSync(["nsenter", `--net=/proc/${pid}/ns/net`, "ip", "-o", "link"]);
    expect(inside.stdout.toString()).toContain("lan0@");
    expect(namespaceOf(pid, "net")).not.toBe(namespaceOf("self", "net"));
    succeed(["delete", "--force", id]);
  });

  test("go into a network namespace that a new user namespace owns", () => {
    const { stdout, stderr } = runScript("ip -o addr", (config) => {
      moving({ [near]: { name: "lan0" } })(config);
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
    });
    expect(stderr).toBe("");
    expect(stdout).toMatch(/lan0 +inet 192.0.2.7\/24 brd 192.0.2.255 scope global/);
  });

  test("go into a network namespace that is joined", () => {
    const owner = createContainer(forever);
    const into = (config: Config) => {
      moving({ [near]: { name: "lan0" } })(config);
      config.linux.namespaces = config.linux.namespaces.map((namespace) =>
        namespace.type === "network" ? { type: "network", path: `/proc/${owner.pid}/ns/net` } : namespace,
      );
    };
    expect(runScript("ip -o link", into).stdout).toContain("lan0@");
    // It stays where it was brought.
    const inside = Bun.spawnSync(["nsenter", `--net=/proc/${owner.pid}/ns/net`, "ip", "-o", "link"]);
    expect(inside.stdout.toString()).toContain("lan0@");
    succeed(["delete", "--force", owner.id]);
  });

  test("that are not there are refused before anything is made", () => {
    expect(refusal(moving({ nope0: {} }))).toContain(
      'linux.netDevices["nope0"]: there is no network device "nope0"\nhint: ',
    );
  });

  test("that stay in their namespace, or whose name is taken, are an error", () => {
    expect(refusal(moving({ lo: { name: "lan0" } }))).toContain('linux.netDevices["lo"]: move the device');
    expect(refusal(moving({ [near]: { name: "lo" } }))).toContain(
      `linux.netDevices["${near}"]: the container has a network device "lo" already`,
    );
    expect(exists(near)).toBe(true);
  });

  test("come back, as they were, when the container does not come to be", () => {
    const before = ip("-o", "addr", "show", "dev", near);
    const error = refusal((config) => {
      moving({ [near]: { name: "lan0" } })(config);
      config.process.args = ["/no/such/program"];
    });
    expect(error).toContain("/no/such/program");
    expect(exists(near)).toBe(true);
    const after = ip("-o", "addr", "show", "dev", near);
    for (const address of ["192.0.2.7/24 brd 192.0.2.255", "2001:db8::7/64"]) {
      expect(before).toContain(address);
      expect(after).toContain(address);
    }
    expect(ip("-o", "link", "show", "dev", near)).toMatch(/<[A-Z_,]*\bUP\b/);
  });

  test("come back from the first that can be moved when the second cannot", () => {
    const error = refusal(moving({ [near]: {}, lo: { name: "lan0" } }));
    expect(error).toContain('linux.netDevices["lo"]');
    expect(exists(near)).toBe(true);
  });
});

test("process.execCPUAffinity does not concern the container's first process", () => {
  const { stdout } = runScript("grep Cpus_allowed: /proc/self/status", (config) => {
    config.process.execCPUAffinity = { initial: "0", final: "0" };
  });
  expect(stdout).toBe(/^Cpus_allowed:.*\n/m.exec(readFileSync("/proc/self/status", "utf8"))?.[0]);
});

describe("process.execCPUAffinity of a process that joins a container", () => {
  const cpus = (affinity: object) => {
    const { id } = startContainer(forever, (config) => {
      config.process.execCPUAffinity = affinity;
    });
    const { stdout, stderr } = berth(["exec", id, "grep", "Cpus_allowed_list", "/proc/self/status"]);
    succeed(["delete", "--force", id]);
    expect(stderr).toBe("");
    return stdout;
  };

  /** Whether a process that comes into a cgroup loses what CPUs it had: where cgroup v2 has cpuset, before Linux 6.2. */
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const isLost =
    existsSync(join(cgroup2Mount(), "cpuset.cpus.effective")) && (major < 6 || (major === 6 && minor < 2));

  test("is its own", () => {
    expect(cpus({ final: "0" })).toBe("Cpus_allowed_list:\t0\n");
    // What becomes of `initial` without `final` is the kernel's to decide, says config.md.
    const all = readFileSync("/sys/devices/system/cpu/online", "utf8").trim();
    expect(cpus({ initial: "0" })).toBe(`Cpus_allowed_list:\t${isLost ? all : "0"}\n`);
    expect(cpus({ initial: "0", final: "1" })).toBe("Cpus_allowed_list:\t1\n");
  });

  test("that no CPU of this machine has is an error", () => {
    const { id } = startContainer(forever, (config) => {
      config.process.execCPUAffinity = { final: "900" };
    });
    const { status, stderr } = berth(["exec", id, "true"]);
    succeed(["delete", "--force", id]);
    expect(status).toBe(255);
    expect(stderr).toContain("process.execCPUAffinity.final: run on CPUs 900: invalid argument\nhint: ");
  });
});

test.runIf(!isAppArmorEnabled())(
  "a label that exec asks for, and that this host cannot give, is an error",
  () => {
    const { id } = startContainer(forever);
    const { status, stderr } = berth(["exec", "--apparmor", "box", id, "true"]);
    succeed(["delete", "--force", id]);
    expect(status).toBe(255);
    expect(stderr).toContain('process.apparmorProfile "box": AppArmor is not enabled on this host');
  },
);

test("state and delete know such a container as any other", () => {
  const { id } = createContainer(script("sleep 1000"), (config) => {
    config.linux.memoryPolicy = { mode: "MPOL_BIND", nodes: "0" };
  });
  expect(stateOf(id).status).toBe("created");
  succeed(["start", id]);
  succeed(["delete", "--force", id]);
  expect(berth(["state", id]).status).toBe(1);
});
