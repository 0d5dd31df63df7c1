import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import { v1Hierarchies } from "../../src/cgroups/v1/hierarchies.ts";
import type { Resources } from "../../src/spec/resources.ts";
import { berth, type Config, waitUntil } from "../bundle.ts";
import {
  createContainer,
  forever,
  refuse,
  script,
  spawnBerth,
  startContainer,
  succeed,
} from "../container.ts";

/** A limit's file on v1 and on v2; which of both a host has depends on where it keeps the controller. */
const FILES = {
  memory: ["memory.limit_in_bytes", "memory.max"],
  pids: ["pids.max", "pids.max"],
  quota: ["cpu.cfs_quota_us", "cpu.max"],
  cpus: ["cpuset.cpus", "cpuset.cpus"],
} as const;

function read(path: string, limit: keyof typeof FILES): string {
  const [v1, v2] = FILES[limit];
  const controller = v1.slice(0, v1.indexOf("."));
  const hierarchy = v1Hierarchies().find(({ controllers }) => controllers.includes(controller));
  const file = hierarchy === undefined ? `${cgroup2Mount()}${path}/${v2}` : `${hierarchy.mount}${path}/${v1}`;
  return existsSync(file) ? (readFileSync(file, "utf8").trim().split(" ")[0] ?? "") : "missing";
}

const BEFORE: Resources = {
  memory: { limit: 64 << 20 },
  pids: { limit: 20 },
  cpu: { quota: 50_000, period: 100_000, cpus: "0" },
};

/** Calls `use` with a running container that has the limits of BEFORE, and its cgroup's path. */
function withContainer(use: (id: string, path: string) => void): void {
  let path = "";
  const { id } = startContainer(forever, (config: Config) => {
    config.linux.resources = { ...config.linux.resources, ...BEFORE };
    path = config.linux.cgroupsPath ?? "";
  });
  try {
    use(id, path);
  } finally {
    succeed(["delete", "--force", id]);
  }
}

const all = (path: string) => ({
  memory: read(path, "memory"),
  pids: read(path, "pids"),
  quota: read(path, "quota"),
  cpus: read(path, "cpus"),
});
const before = { memory: String(64 << 20), pids: "20", quota: "50000", cpus: "0" };

describe("update", () => {
  test("changes what is named and leaves the rest", () => {
    withContainer((id, path) => {
      expect(all(path)).toEqual(before);
      succeed(["update", "--memory", "32m", "--pids-limit", "7", id]);
      expect(all(path)).toEqual({ ...before, memory: String(32 << 20), pids: "7" });
      succeed(["update", "--cpu-quota", "20000", id]);
      expect(all(path)).toEqual({ ...before, memory: String(32 << 20), pids: "7", quota: "20000" });
    });
  });

  test("schemas of resctrl are for a container that has linux.intelRdt, and nothing else is changed then", () => {
    withContainer((id, path) => {
      const { status, stderr } = berth(["update", "--l3-cache-schema", "L3:0=f", "--pids-limit", "9", id]);
      expect([status, stderr]).toEqual([1, expect.stringContaining("has no linux.intelRdt")]);
      expect(all(path)).toEqual(before);
    });
  });

  test("takes linux.resources from standard input", () => {
    withContainer((id, path) => {
      const resources: Resources = { pids: { limit: 9 } };
      const { status, stderr } = berth(["update", "--resources", "-", id], {
        stdin: JSON.stringify(resources),
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(all(path)).toEqual({ ...before, pids: "9" });
    });
  });

  test("takes what docker sends: 0 and empty texts for what was not asked", () => {
    withContainer((id, path) => {
      succeed(["update", "--memory", "64m", "--memory-swap", "128m", id]);
      const stdin =
        '{"memory":{"limit":0,"reservation":0,"kernel":0},"cpu":{"quota":20000,"cpus":"","mems":""},"blockIO":{"weight":0},"devices":null,"later":{}}';
      const { status, stderr } = berth(["update", "--resources", "-", id], { stdin });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(all(path)).toEqual({ ...before, quota: "20000" });
      // And a limit above that on memory and swap of before.
      succeed(["update", "--memory", "192m", "--cpuset-cpus", "", id]);
      expect(all(path)).toEqual({ ...before, quota: "20000", memory: String(192 << 20) });
    });
  });

  test("sets everything back when the kernel refuses a limit", () => {
    withContainer((id, path) => {
      const stderr = refuse(["update", "--pids-limit", "5", "--memory", "16m", "--cpuset-cpus", "4095", id]);
      expect(stderr).toContain('linux.resources.cpu.cpus: write "4095" to "');
      expect(all(path)).toEqual(before);
      // On a host with both, v2 has taken its own before v1 refuses.
      const stdin = '{"unified":{"cgroup.max.depth":"5"},"cpu":{"cpus":"4095"}}';
      expect(berth(["update", "--resources", "-", id], { stdin }).status).toBe(1);
      expect(readFileSync(`${cgroup2Mount()}${path}/cgroup.max.depth`, "utf8").trim()).toBe("max");
      // And what failed is not remembered.
      succeed(["update", "--cpu-quota", "30000", id]);
      expect(all(path)).toEqual({ ...before, quota: "30000" });
    });
  });

  test("takes effect: a fork beyond the new limit is refused", () => {
    const { id, output } = startContainer(
      script(
        "while [ ! -e /dev/shm/go ]; do sleep 0.05; done; sleep 0 | sleep 0 | sleep 0 | sleep 0; echo end",
      ),
      (config) => {
        config.linux.resources = { ...config.linux.resources, pids: { limit: 20 } };
      },
    );
    try {
      succeed(["update", "--pids-limit", "2", id]);
      const pid = JSON.parse(succeed(["state", id])).pid;
      Bun.spawnSync(["touch", `/proc/${pid}/root/dev/shm/go`]);
      waitUntil(() => JSON.parse(succeed(["state", id])).status === "stopped", "the container has ended");
      expect(output()).not.toContain("end");
    } finally {
      succeed(["delete", "--force", id]);
    }
  });

  test.each([
    [["--memory", "1x"], 'invalid value "1x" for --memory'],
    [["--pids-limit", "many"], 'invalid value "many" for --pids-limit'],
    [["--memory-swap", "1m"], "linux.resources.memory.swap"],
    [["--cpu-period", "5"], "linux.resources.cpu.period"],
    [["--resources", "/no/such/file"], "/no/such/file"],
  ])("refuses %j", (options, message) => {
    withContainer((id, path) => {
      expect(refuse(["update", ...options, id])).toContain(message);
      expect(all(path)).toEqual(before);
    });
  });

  test("refuses resources of the wrong form, by their path", () => {
    withContainer((id) => {
      const { status, stderr } = berth(["update", "-r", "-", id], { stdin: '{"pids":{"limit":"x"}}' });
      expect(status).toBe(1);
      expect(stderr).toContain('linux.resources.pids.limit: found "x"');
    });
  });

  test("refuses a container that is not there, or has ended", () => {
    expect(refuse(["update", "--pids-limit", "5", "nobody"])).toContain("container does not exist");
    const { id } = createContainer(forever);
    succeed(["kill", id, "KILL"]);
    waitUntil(() => JSON.parse(succeed(["state", id])).status === "stopped", "the container has ended");
    expect(refuse(["update", "--pids-limit", "5", id])).toContain("container not running");
    succeed(["delete", id]);
  });

  test("does not keep delete from its work", async () => {
    for (let i = 0; i < 25; i++) {
      const { id } = startContainer(forever);
      const updates = [101, 102, 103].map((share) => spawnBerth(["update", "--cpu-share", `${share}`, id]));
      succeed(["delete", "--force", id]);
      for (const { ended } of updates) await ended;
      expect(refuse(["state", id])).toContain("container does not exist");
    }
  });
});
