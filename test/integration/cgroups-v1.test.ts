import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { type Hierarchy, v1Hierarchies } from "../../src/cgroups/v1/hierarchies.ts";
import type { Resources } from "../../src/spec/resources.ts";
import { berth, type Config, directory, makeBundle, newId, runScript, waitUntil } from "../bundle.ts";
import { createContainer, forever, isAlive, refuse, script, succeed } from "../container.ts";

/*
 * A host either has controllers on cgroup v1 or it has not: on the other kind, what is tested is that nothing of v1 is looked at.
 */
const hierarchies = v1Hierarchies();
const top = `/${basename(directory)}`;

const mountOf = (controller: string): string | undefined =>
  hierarchies.find(({ controllers }) => controllers.includes(controller))?.mount;

/** Reads a file of a container's cgroup on v1. */
const read = (file: string, path: string) =>
  readFileSync(`${mountOf(file.slice(0, file.indexOf(".")))}${path}/${file}`, "utf8").trim();

const limits = (resources: Resources) => (config: Config) => {
  config.linux.resources = { ...config.linux.resources, ...resources };
};

/** Calls `use` with the cgroup's path of a container that has these limits and waits. */
function withLimits(resources: Resources, use: (path: string, pid: number) => void): void {
  let path = "";
  const { id, pid } = createContainer(forever, (config) => {
    limits(resources)(config);
    path = config.linux.cgroupsPath ?? "";
  });
  try {
    use(path, pid);
  } finally {
    succeed(["delete", "--force", id]);
  }
}

if (hierarchies.length === 0) {
  test("a host without cgroup v1 has no cgroups of it", () => {
    const { id, pid } = createContainer(forever);
    try {
      expect(readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n")).toHaveLength(1);
    } finally {
      succeed(["delete", "--force", id]);
    }
  });
} else {
  describe("cgroup v1", () => {
    test("init is in a cgroup of its own in every hierarchy, and they go with the container", () => {
      let paths: string[] = [];
      withLimits({}, (path, pid) => {
        paths = hierarchies.map(({ mount }) => `${mount}${path}`);
        for (const directory of paths)
          expect(readFileSync(`${directory}/cgroup.procs`, "utf8").trim()).toBe(String(pid));
      });
      expect(paths.filter((directory) => existsSync(directory))).toEqual([]);
    });

    test("a process that joins the container is in all of them too", () => {
      withLimits({}, (_path, pid) => {
        const id = JSON.parse(succeed(["list", "--format", "json"])).find(
          (one: { pid: number }) => one.pid === pid,
        ).id;
        succeed(["start", id]);
        const own = readFileSync(`/proc/${pid}/cgroup`, "utf8");
        expect(succeed(["exec", id, "cat", "/proc/self/cgroup"]).match(/:\/$/gm)).toHaveLength(
          own.trim().split("\n").length,
        );
      });
    });

    test("the container sees its cgroups as the root of each hierarchy", () => {
      const { stdout } = runScript("cut -d: -f3 /proc/self/cgroup | sort -u");
      expect(stdout).toBe("/\n");
    });

    describe("a mount of type cgroup", () => {
      const shown = (option: "ro" | "rw") => (config: Config) => {
        for (const mount of config.mounts) {
          if (mount.type === "cgroup2") Object.assign(mount, { type: "cgroup", options: ["nosuid", option] });
        }
      };

      test("has the container's cgroup of every hierarchy by its name on the host, and nothing of v2", () => {
        const { stdout } = runScript("cd /sys/fs/cgroup; ls; cat memory/memory.limit_in_bytes", (config) => {
          shown("ro")(config);
          limits({ memory: { limit: 64 << 20 } })(config);
        });
        const names = hierarchies.map(({ mount }) => basename(mount));
        expect(stdout.trim().split("\n")).toEqual([...names.sort(), String(64 << 20)]);
      });

      test("ro: no cgroup can be made there", () => {
        const { stderr } = runScript("mkdir /sys/fs/cgroup/memory/x", shown("ro"));
        expect(stderr).toContain("Read-only file system");
      });

      test("rw: one can, below the container's own", () => {
        let path = "";
        const { status } = runScript(
          "mkdir /sys/fs/cgroup/memory/x; test -d /sys/fs/cgroup/memory/x",
          (config) => {
            shown("rw")(config);
            path = config.linux.cgroupsPath ?? "";
          },
        );
        expect(status).toBe(0);
        expect(existsSync(`${mountOf("memory")}${path}`)).toBe(false);
      });

      test("without a cgroup namespace too", () => {
        const { stdout } = runScript("cat /sys/fs/cgroup/pids/cgroup.procs | head -n1", (config) => {
          shown("ro")(config);
          config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
        });
        expect(stdout).toBe("1\n");
      });
    });

    test("cgroups that the container makes below its own go with it", () => {
      const { mount } = hierarchies.find(({ controllers }) => controllers.includes("pids")) as Hierarchy;
      withLimits({}, (path) => mkdirSync(`${mount}${path}/below/more`, { recursive: true }));
    });

    test("a creation that fails leaves none", () => {
      const bundle = makeBundle((config) => {
        config.process.args = ["/no/such/program"];
      });
      expect(berth(["create", "--bundle", bundle.path, newId()]).status).not.toBe(0);
      for (const { mount } of hierarchies)
        expect(existsSync(`${mount}${bundle.config.linux.cgroupsPath}`)).toBe(false);
    });

    test("a limit that the kernel refuses is named, and nothing is left", () => {
      const bundle = makeBundle(limits({ cpu: { cpus: "0-4095" } }));
      const { status, stderr } = berth(["create", "--bundle", bundle.path, newId()]);
      expect(status).toBe(1);
      expect(stderr).toContain(
        `linux.resources.cpu.cpus: write "0-4095" to "${mountOf("cpuset")}${bundle.config.linux.cgroupsPath}/cpuset.cpus"`,
      );
      for (const { mount } of hierarchies)
        expect(existsSync(`${mount}${bundle.config.linux.cgroupsPath}`)).toBe(false);
    });

    test("files of v2 cannot be named for a controller that is on v1", () => {
      const { status, stderr } = runScript("true", limits({ unified: { "memory.high": "1000000" } }));
      expect(status).toBe(1);
      expect(stderr).toContain(
        'linux.resources.unified["memory.high"]: the host has the controller "memory" on cgroup v1',
      );
    });

    test("limits can be read back", () => {
      const resources: Resources = {
        memory: { limit: 64 << 20, reservation: 32 << 20, swappiness: 7 },
        cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: "0", mems: "0" },
        pids: { limit: 9 },
      };
      withLimits(resources, (path) => {
        expect({
          limit: read("memory.limit_in_bytes", path),
          reservation: read("memory.soft_limit_in_bytes", path),
          swappiness: read("memory.swappiness", path),
          shares: read("cpu.shares", path),
          quota: read("cpu.cfs_quota_us", path),
          period: read("cpu.cfs_period_us", path),
          cpus: read("cpuset.cpus", path),
          mems: read("cpuset.mems", path),
          pids: read("pids.max", path),
        }).toEqual({
          limit: String(64 << 20),
          reservation: String(32 << 20),
          swappiness: "7",
          shares: "512",
          quota: "50000",
          period: "100000",
          cpus: "0",
          mems: "0",
          pids: "9",
        });
      });
    });

    test("memory: one that takes more is killed", () => {
      const script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo survived";
      const { status, stdout } = runScript(script, limits({ memory: { limit: 20 << 20, swap: 20 << 20 } }));
      expect({ status, stdout }).toEqual({ status: 137, stdout: "" });
    });

    test("pids: a fork beyond the limit is refused", () => {
      const { stderr } = runScript("sleep 0 | sleep 0 | sleep 0 | sleep 0", limits({ pids: { limit: 2 } }));
      expect(stderr).toContain("can't fork");
    });

    test("cpuset: the container's processes run where they may", () => {
      const { stdout } = runScript(
        "grep Cpus_allowed_list /proc/self/status",
        limits({ cpu: { cpus: "0" } }),
      );
      expect(stdout).toBe("Cpus_allowed_list:\t0\n");
    });

    test("cpu: one that computes on is throttled", () => {
      let path = "";
      const { id } = createContainer(script("while :; do :; done"), (config) => {
        limits({ cpu: { quota: 1000, period: 100_000 } })(config);
        path = config.linux.cgroupsPath ?? "";
      });
      try {
        succeed(["start", id]);
        waitUntil(() => /^nr_throttled [1-9]/m.test(read("cpu.stat", path)), "the container is throttled");
      } finally {
        succeed(["delete", "--force", id]);
      }
    });

    test("a cgroup that is there keeps its values when a later limit fails", () => {
      const mount = mountOf("pids");
      const path = `${top}/kept`;
      mkdirSync(`${mount}${path}`, { recursive: true });
      try {
        writeFileSync(`${mount}${path}/pids.max`, "77");
        const bundle = makeBundle((config) => {
          config.linux.cgroupsPath = path;
          limits({ pids: { limit: 5 }, cpu: { cpus: "0-4095" } })(config);
        });
        expect(berth(["create", "--bundle", bundle.path, newId()]).status).toBe(1);
        expect(readFileSync(`${mount}${path}/pids.max`, "utf8").trim()).toBe("77");
      } finally {
        rmdirSync(`${mount}${path}`);
      }
    });

    /** Why a container is refused whose cgroup is there in one hierarchy already. @param use prepares it, and says how to undo that */
    function refusedIn(controller: string, use: (directory: string) => () => void): string {
      let undo = () => {};
      const path = `${top}/before`;
      const cgroup = `${mountOf(controller)}${path}`;
      mkdirSync(cgroup, { recursive: true });
      try {
        undo = use(cgroup);
        const bundle = makeBundle((config) => {
          config.linux.cgroupsPath = path;
        });
        const message = refuse(["create", "--bundle", bundle.path, newId()]);
        for (const { mount } of hierarchies)
          expect(existsSync(`${mount}${path}`)).toBe(mount === mountOf(controller));
        return message;
      } finally {
        undo();
        rmdirSync(cgroup);
      }
    }

    test("a cgroup with somebody else's process is refused", () => {
      const other = Bun.spawn(["sleep", "1000"]);
      try {
        const message = refusedIn("pids", (cgroup) => {
          writeFileSync(`${cgroup}/cgroup.procs`, String(other.pid));
          return () => writeFileSync(`${mountOf("pids")}/cgroup.procs`, String(other.pid));
        });
        expect(message).toContain("container's cgroup is not empty: 1 process(es) found");
        expect(isAlive(other.pid)).toBe(true);
      } finally {
        other.kill("SIGKILL");
      }
    });

    test("a cgroup that is frozen is refused: init would hang in it", () => {
      const message = refusedIn("freezer", (cgroup) => {
        writeFileSync(`${cgroup}/freezer.state`, "FROZEN");
        return () => writeFileSync(`${cgroup}/freezer.state`, "THAWED");
      });
      expect(message).toContain("container's cgroup unexpectedly frozen");
    });

    test("a creation that fails leaves none of those above its own either", () => {
      for (const patch of [
        limits({ cpu: { cpus: "0-4095" } }),
        (config: Config) => {
          config.process.args = ["/no/such/program"];
        },
      ]) {
        const bundle = makeBundle((config) => {
          config.linux.cgroupsPath = `${top}/deep/deeper/deepest`;
          patch(config);
        });
        refuse(["create", "--bundle", bundle.path, newId()]);
        for (const { mount } of hierarchies) expect(existsSync(`${mount}${top}/deep`)).toBe(false);
      }
    });

    test("delete --force ends what is in them alone, and what is frozen there", () => {
      const other = Bun.spawn(["sleep", "1000"]);
      withLimits({}, (path, pid) => {
        for (const mount of [mountOf("pids"), mountOf("freezer")]) mkdirSync(`${mount}${path}/below`);
        writeFileSync(`${mountOf("pids")}${path}/below/cgroup.procs`, String(other.pid));
        writeFileSync(`${mountOf("freezer")}${path}/below/cgroup.procs`, String(pid));
        writeFileSync(`${mountOf("freezer")}${path}/below/freezer.state`, "FROZEN");
      });
      waitUntil(() => !isAlive(other.pid), "it has ended");
    });
  });
}
