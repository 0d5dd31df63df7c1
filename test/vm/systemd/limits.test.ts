/** linux.resources by their effect, with systemd as the one who writes most of them. */
import { afterEach, expect, test } from "vitest";
import type { Resources } from "../../../src/spec/resources.ts";
import { berth, type Config, waitUntil } from "../../bundle.ts";
import { script, succeed } from "../../container.ts";
import { deleteUnit, endUnits, read, startUnit } from "./unit.ts";

afterEach(endUnits);

const MiB = 1 << 20;

/** Starts a unit with these limits that runs a script, and returns it once the script has said `last`. */
function speaking(resources: Resources, text: string, last: string) {
  const limits = ({ linux }: Config) => {
    linux.resources = { ...linux.resources, ...resources };
  };
  const container = startUnit(script(`${text}; exec sleep 1000`), limits);
  waitUntil(() => container.output().includes(last), `the container says "${last}"`);
  return container;
}

test("memory: who takes more is killed", () => {
  const take = "dd if=/dev/zero of=/dev/null bs=64M count=1 2> /dev/null; echo status $?";
  const container = speaking({ memory: { limit: 32 * MiB, swap: 32 * MiB } }, take, "status");
  expect(container.output()).toBe("status 137\n");
  expect(read(container, "memory.events")).toMatch(/^oom_kill 1$/m);
  expect(read(container, "memory.max")).toBe(String(32 * MiB));
  deleteUnit(container);
});

test("pids: a fork beyond the limit is refused, and counted", () => {
  const container = speaking({ pids: { limit: 2 } }, "sleep 1000 & echo two", "two");
  const { status, stderr } = berth(["exec", container.id, "sh", "-c", "sleep 1000; echo never"]);
  expect({ status, stderr }).not.toMatchObject({ status: 0 });
  expect(read(container, "pids.events")).toMatch(/^max [1-9]/);
  expect(read(container, "pids.max")).toBe("2");
  deleteUnit(container);
});

test("cpu: a quota throttles, and cpus are what a process may run on", () => {
  const text =
    "nproc; until grep -q 'nr_throttled [1-9]' /sys/fs/cgroup/cpu.stat; do :; done; echo throttled";
  const container = speaking({ cpu: { quota: 10_000, period: 100_000, cpus: "1" } }, text, "throttled");
  expect(container.output()).toBe("1\nthrottled\n");
  expect(read(container, "cpu.max")).toBe("10000 100000");
  expect(succeed(["exec", container.id, "grep", "Cpus_allowed_list", "/proc/self/status"])).toBe(
    "Cpus_allowed_list:\t1\n",
  );
  deleteUnit(container);
});
