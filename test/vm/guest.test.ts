import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runScript } from "../bundle.ts";

test("the guest has cgroup v2 alone, with all controllers", () => {
  const controllers = readFileSync("/sys/fs/cgroup/cgroup.subtree_control", "utf8").trim().split(" ");
  expect(controllers.sort()).toEqual(["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"]);
  expect(readFileSync("/proc/self/cgroup", "utf8")).toMatch(/^0::.*\n$/);
});

test("a container runs", () => {
  expect(runScript("echo hello; cat /proc/self/cgroup")).toMatchObject({
    status: 0,
    stdout: "hello\n0::/\n",
    stderr: "",
  });
});
