/** What a container's cgroup does on a host that has cgroup v2 alone, with every controller. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { namespaceOf, runScript, waitUntil } from "../bundle.ts";
import { type Container, forever, isAlive, script, startContainer, statusOf, succeed } from "../container.ts";

const mount = "/sys/fs/cgroup";
const cgroupOf = ({ bundle }: Container) => mount + bundle.config.linux.cgroupsPath;
const read = (container: Container, file: string) =>
  readFileSync(`${cgroupOf(container)}/${file}`, "utf8").trim();
const members = (container: Container) => read(container, "cgroup.procs").split("\n").map(Number);
/** The microseconds that a container's processes have run: Documentation/admin-guide/cgroup-v2.rst, cpu.stat. */
const usage = (container: Container) => Number(/^usage_usec (\d+)$/m.exec(read(container, "cpu.stat"))?.[1]);

test("init is in its cgroup before it runs: no process, no memory of it is anyone else's", () => {
  const container = startContainer(forever);
  expect(members(container)).toEqual([container.pid]);
  expect(readFileSync(`/proc/${container.pid}/cgroup`, "utf8")).toBe(
    `0::${container.bundle.config.linux.cgroupsPath}\n`,
  );
  expect(read(container, "pids.current")).toBe("1");
  // What it took since its birth: a process that moves in later leaves its memory where it was.
  expect(Number(read(container, "memory.current"))).toBeGreaterThan(0);
  succeed(["delete", "--force", container.id]);
});

test("a cgroup namespace has the container's cgroup as its root", () => {
  const container = startContainer(
    script("cat /proc/self/cgroup; grep ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f4,5; sleep 1000"),
  );
  waitUntil(() => container.output().split("\n").length > 2, "the container has spoken");
  expect(container.output()).toBe("0::/\n/ /sys/fs/cgroup\n");
  expect(namespaceOf(container.pid, "cgroup")).not.toBe(namespaceOf("self", "cgroup"));
  succeed(["delete", "--force", container.id]);
});

test("the container has every controller of the host, and no control of the host's root", () => {
  const controllers = readFileSync(`${mount}/cgroup.controllers`, "utf8").trim().split(" ");
  const { stdout, stderr } = runScript("cat /sys/fs/cgroup/cgroup.controllers; ls /sys/fs/cgroup");
  expect(stderr).toBe("");
  const [seen = "", ...files] = stdout.trim().split("\n");
  expect(controllers).toContain("memory");
  expect(seen.split(" ")).toEqual(controllers);
  expect(files).toEqual(expect.arrayContaining(["cgroup.kill", "cpuset.cpus", "memory.max", "pids.max"]));
});

test("pause stops its clock, and resume lets it go on", () => {
  const container = startContainer(script("while :; do :; done & while :; do :; done"));
  waitUntil(() => usage(container) > 10_000, "the loops run");
  succeed(["pause", container.id]);
  expect(statusOf(container.id)).toBe("paused");
  expect(read(container, "cgroup.events")).toContain("frozen 1");
  const before = usage(container);
  Bun.sleepSync(500);
  expect(usage(container)).toBe(before);
  succeed(["resume", container.id]);
  waitUntil(() => usage(container) > before, "the loops go on");
  succeed(["delete", "--force", container.id]);
});

test.each([false, true])(
  "delete --force ends every process and removes all cgroups; paused: %s",
  (isPaused) => {
    const container = startContainer(
      script(
        "mkdir -p /sys/fs/cgroup/a/b; sleep 1000 & echo $! > /sys/fs/cgroup/a/b/cgroup.procs; sleep 1000 & echo ready; wait",
      ),
      (config) => {
        for (const { destination, options } of config.mounts) {
          if (destination === "/sys/fs/cgroup") options?.splice(options.indexOf("ro"), 1);
        }
      },
    );
    waitUntil(() => container.output() === "ready\n", "its processes run");
    const inner = Number(readFileSync(`${cgroupOf(container)}/a/b/cgroup.procs`, "utf8"));
    const pids = [...members(container), inner];
    expect(pids).toHaveLength(3);
    if (isPaused) succeed(["pause", container.id]);
    succeed(["delete", "--force", container.id]);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(existsSync(cgroupOf(container))).toBe(false);
  },
);

test("the device program denies what the rules do, to the container alone", () => {
  const { stdout } = runScript(
    "mknod /dev/mem c 1 1; mknod /dev/zero2 c 1 5; cat /dev/mem 2>&1 | head -1; head -c 3 /dev/zero2 | wc -c",
    (config) => {
      config.linux.resources = {
        devices: [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 1, minor: 1, access: "m" },
          { allow: true, type: "c", major: 1, minor: 5, access: "rm" },
        ],
      };
      const capabilities = ["CAP_MKNOD"];
      config.process.capabilities = {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
      };
    },
  );
  expect(stdout).toBe("cat: can't open '/dev/mem': Operation not permitted\n3\n");
  writeFileSync("/dev/null", "the test's own cgroup has no program");
});

test("a container that ended has no cgroup, nor has the parent more than before", () => {
  const before = readdirSync(mount, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(runScript("exit 3").status).toBe(3);
  const after = readdirSync(mount, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  // The parent that all containers of this file share stays to the end of the file.
  expect(
    after.map(({ name }) => name).filter((name) => !before.some((entry) => entry.name === name)),
  ).toEqual([]);
});
