import { describe, expect, test } from "vitest";
import type { Stats } from "../../src/cgroups/stats/stats.ts";
import { waitUntil } from "../bundle.ts";
import {
  createContainer,
  forever,
  isAlive,
  refuse,
  script,
  spawnBerth,
  startContainer,
  succeed,
} from "../container.ts";

type Told = { readonly type: string; readonly id: string; readonly data?: Stats };

const lines = (text: string): Told[] =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Told);

describe("events", () => {
  test("--stats shows once what the container uses", () => {
    const { id } = startContainer(
      script("dd if=/dev/zero of=/dev/shm/file bs=1k count=900 2>/dev/null; while :; do :; done"),
      (config) => {
        config.linux.resources = {
          ...config.linux.resources,
          memory: { limit: 64 << 20 },
          pids: { limit: 30 },
        };
      },
    );
    try {
      const stats = () => lines(succeed(["events", "--stats", id]))[0] as Told;
      waitUntil(() => Number(stats().data?.cpu.usage.total) > 50_000_000, "it has computed for 50 ms");
      const { type, id: of, data } = stats();
      expect({ type, of }).toEqual({ type: "stats", of: id });
      expect(data?.memory.usage.limit).toBe(64 << 20);
      expect(Number(data?.memory.usage.usage)).toBeGreaterThan(900 << 10);
      expect(data?.pids).toEqual({ current: 1, limit: 30 });
    } finally {
      succeed(["delete", "--force", id]);
    }
  });

  test("tells at each interval, and ends with the container", async () => {
    const { id } = startContainer(forever);
    const told = spawnBerth(["events", "--interval", "20ms", id]);
    waitUntil(() => lines(told.output()).length >= 3, "three statistics were told");
    succeed(["delete", "--force", id]);
    expect(await told.ended).toMatchObject({ status: 0, stderr: "" });
    expect(new Set(lines(told.output()).map(({ type }) => type))).toEqual(new Set(["stats"]));
  });

  test("ends with the container also when telling takes longer than the interval", async () => {
    const { id } = startContainer(forever);
    // More of them than there are CPUs: none can keep to its interval.
    const tellers = Array.from({ length: 4 * navigator.hardwareConcurrency }, () =>
      spawnBerth(["events", "--interval", "1ms", id]),
    );
    try {
      for (const { output } of tellers)
        waitUntil(() => lines(output()).length >= 3, "three statistics were told");
      // Not deleted: of a cgroup that is gone there is little to tell.
      succeed(["kill", id, "KILL"]);
      waitUntil(() => !tellers.some(({ pid }) => isAlive(pid)), "all have ended");
    } finally {
      for (const teller of tellers) if (isAlive(teller.pid)) teller.kill("SIGKILL");
      succeed(["delete", "--force", id]);
    }
    for (const { ended } of tellers) expect(await ended).toMatchObject({ status: 0, stderr: "" });
  });

  test("tells of a process that is killed for memory", async () => {
    const { id } = createContainer(
      script("sh -c 'head -c 100000000 /dev/zero | tail -c 90000000 >/dev/null'; while :; do sleep 1; done"),
      (config) => {
        config.linux.resources = {
          ...config.linux.resources,
          memory: { limit: 20 << 20, swap: 20 << 20 },
        };
      },
    );
    const told = spawnBerth(["events", "--interval", "1h", id]);
    try {
      waitUntil(() => lines(told.output()).length === 1, "it watches");
      succeed(["start", id]);
      waitUntil(() => lines(told.output()).some(({ type }) => type === "oom"), "it has told of the kill");
      expect(lines(told.output()).find(({ type }) => type === "oom")).toEqual({ type: "oom", id });
    } finally {
      succeed(["delete", "--force", id]);
    }
    expect((await told.ended).status).toBe(0);
  });

  test("shows a table for people", () => {
    const { id } = startContainer(forever);
    try {
      const [header = "", row = "", ...rest] = succeed(["events", "--stats", "--format", "table", id]).split(
        "\n",
      );
      expect(header).toMatch(/^ *CPU TIME +MEMORY +LIMIT +PIDS/);
      expect(row).toMatch(/^ *\d+\.\d\d s +\S+ \S+ +none +1 /);
      expect(rest).toEqual([""]);
    } finally {
      succeed(["delete", "--force", id]);
    }
  });

  test("refuses a container that does not run, and an interval that is none", () => {
    expect(refuse(["events", "--stats", "nobody"])).toContain("container does not exist");
    const { id } = startContainer(forever);
    expect(refuse(["events", "--interval", "5", id])).toContain('invalid value "5" for --interval');
    succeed(["kill", id, "KILL"]);
    waitUntil(() => JSON.parse(succeed(["state", id])).status === "stopped", "the container has ended");
    expect(refuse(["events", "--stats", id])).toContain(`container with id ${id} is not running`);
    succeed(["delete", id]);
  });
});
