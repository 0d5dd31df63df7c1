import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import { v1Hierarchies } from "../../src/cgroups/v1/hierarchies.ts";
import type { Resources } from "../../src/spec/resources.ts";
import { berth, type Config, makeBundle, newId, runScript } from "../bundle.ts";
import { createContainer, forever, refuse, succeed } from "../container.ts";

// What the limits come to on this host: by the kernel, where cgroup v2 has the controller; else a message. What they do to a
// container is tested in test/vm, with every controller.

const mount = cgroup2Mount();
const limits = (resources: Resources) => (config: Config) => {
  config.linux.resources = { ...config.linux.resources, ...resources };
};
const inV2 = readFileSync(`${mount}/cgroup.controllers`, "utf8").trim().split(" ");

describe("a limit", () => {
  test.each<
    [
      controller: string,
      resources: Resources,
      path: string,
      v2: readonly [file: string, value: string],
      v1: readonly [file: string, value: string] | undefined,
    ]
  >([
    [
      "memory",
      { memory: { limit: 2 ** 26 } },
      "memory.limit",
      ["memory.max", "67108864"],
      ["memory.limit_in_bytes", "67108864"],
    ],
    [
      "memory",
      { memory: { reservation: 2 ** 26 } },
      "memory.reservation",
      ["memory.low", "67108864"],
      ["memory.soft_limit_in_bytes", "67108864"],
    ],
    [
      "cpu",
      { cpu: { quota: 50_000 } },
      "cpu.quota",
      ["cpu.max", "50000 100000"],
      ["cpu.cfs_quota_us", "50000"],
    ],
    ["cpu", { cpu: { shares: 512 } }, "cpu.shares", ["cpu.weight", "59"], ["cpu.shares", "512"]],
    ["cpuset", { cpu: { cpus: "0" } }, "cpu.cpus", ["cpuset.cpus", "0"], ["cpuset.cpus", "0"]],
    ["pids", { pids: { limit: 100 } }, "pids.limit", ["pids.max", "100"], ["pids.max", "100"]],
    [
      "hugetlb",
      { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] },
      "hugepageLimits[0]",
      ["hugetlb.2MB.max", "0"],
      ["hugetlb.2MB.limit_in_bytes", "0"],
    ],
    ["pids", { unified: { "pids.max": "9" } }, 'unified["pids.max"]', ["pids.max", "9"], undefined],
  ])("of %s is set, or refused by the name of its controller: %j", (controller, resources, path, v2, v1) => {
    const onV1 = v1Hierarchies().find(({ controllers }) => controllers.includes(controller));
    const there = inV2.includes(controller) ? [mount, ...v2] : onV1 && v1 ? [onV1.mount, ...v1] : undefined;
    if (there !== undefined) {
      const [point, file, value] = there;
      const { id, bundle } = createContainer(forever, limits(resources));
      expect(readFileSync(`${point}${bundle.config.linux.cgroupsPath}/${file}`, "utf8").trim()).toBe(value);
      succeed(["delete", "--force", id]);
      return;
    }
    const bundle = makeBundle(limits(resources));
    const message = refuse(["create", "--bundle", bundle.path, newId()]);
    expect(message).toContain(
      onV1 === undefined
        ? `linux.resources.${path}: the controller "${controller}" is not available`
        : `linux.resources.${path}: the host has the controller "${controller}" on cgroup v1, at "${onV1.mount}"`,
    );
    // Nothing was made, not even the directory above.
    expect(existsSync(mount + bundle.config.linux.cgroupsPath)).toBe(false);
  });

  test("of a controller that no host has is refused, with those there are", () => {
    const { path } = makeBundle(limits({ unified: { "nonsense.max": "1" } }));
    const message = refuse(["create", "--bundle", path, newId()]);
    expect(message).toContain(
      'linux.resources.unified["nonsense.max"]: the controller "nonsense" is not available',
    );
    expect(message).toContain(
      inV2[0] === ""
        ? "the cgroup v2 hierarchy of this host has no controllers"
        : `the host has ${inV2.join(", ")}`,
    );
  });

  test("that no controller is needed for is set", () => {
    const { stdout } = runScript(
      "cat /sys/fs/cgroup/cgroup.max.descendants",
      limits({ unified: { "cgroup.max.descendants": "5" } }),
    );
    expect(stdout).toBe("5\n");
  });

  test("that the kernel does not take is refused, with file, value and errno", () => {
    const bundle = makeBundle(limits({ unified: { "cgroup.max.depth": "deep" } }));
    const cgroup = `${mount}${bundle.config.linux.cgroupsPath}`;
    expect(refuse(["create", "--bundle", bundle.path, newId()])).toContain(
      `linux.resources.unified["cgroup.max.depth"]: write "deep" to "${cgroup}/cgroup.max.depth": invalid argument`,
    );
    expect(existsSync(cgroup)).toBe(false);
  });

  test("that is none needs no controller", () => {
    const none: Resources = {
      memory: { limit: -1, swap: -1 },
      cpu: { quota: -1, shares: 0, idle: 0, burst: 0 },
      pids: { limit: -1 },
      blockIO: { weight: 0 },
    };
    expect(runScript("echo ran", limits(none))).toMatchObject({ status: 0, stdout: "ran\n", stderr: "" });
  });

  test("is warned about when there is no cgroup", () => {
    const { path } = makeBundle(limits({ pids: { limit: 5 } }));
    const { status, stderr } = berth(["--cgroup-manager=disabled", "run", "--bundle", path, newId()]);
    expect(status).toBe(0);
    expect(stderr).toContain("linux.resources: no limit is set");
  });
});

test("explain prints the writes", () => {
  const { path } = makeBundle(limits({ memory: { limit: 2 ** 26 }, blockIO: { weight: 500 } }));
  const text = succeed(["explain", path]);
  expect(text).toContain('write "67108864"');
  const v1 = v1Hierarchies().some(({ controllers }) => controllers.includes("blkio"));
  expect(text).toContain(
    v1
      ? 'write "500", or "500" to blkio.weight where that is missing'
      : 'write "500", or "4950" to io.weight where that is missing',
  );
});
