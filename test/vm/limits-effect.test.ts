import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Resources } from "../../src/spec/resources.ts";
import { berth, type Config, waitUntil } from "../bundle.ts";
import { forever, script, startContainer, succeed } from "../container.ts";
import { fileOf, limits, MB, mount, read, refusal, run, runLimited, top, write } from "./limits.ts";

// Each limit by what it does to the processes of the container. Those of block devices are in limits-io.test.ts.

describe("memory", () => {
  const TAKE = "dd if=/dev/zero of=/dev/null bs=64M count=1 2> /dev/null; echo $?";

  test("who takes more than limit is killed", () => {
    const script = `${TAKE}; grep -w oom_kill /sys/fs/cgroup/memory.events`;
    const { stdout, status } = runLimited({ memory: { limit: 32 * MB, swap: 32 * MB } }, script);
    expect(stdout).toBe("137\noom_kill 1\n");
    expect(status).toBe(0);
  });

  test("within it, nobody is", () => {
    const { stdout } = runLimited({ memory: { limit: 128 * MB, swap: 128 * MB } }, TAKE);
    expect(stdout).toBe("0\n");
  });

  test("what is over limit is swapped out, up to swap", () => {
    // A disk in memory: it is the guest's, and goes with it.
    run("busybox", "modprobe", "brd", "rd_nr=1", "rd_size=131072");
    run("mkswap", "/dev/ram0");
    run("swapon", "/dev/ram0");
    try {
      const script = `${TAKE}; grep -w oom_kill /sys/fs/cgroup/memory.events; cat /sys/fs/cgroup/memory.swap.max`;
      // 64 MB are taken. `swap` counts both together, as in Docker and cgroup v1.
      const enough = runLimited({ memory: { limit: 32 * MB, swap: 96 * MB } }, script);
      expect(enough.stdout).toBe(`0\noom_kill 0\n${64 * MB}\n`);
      const scarce = runLimited({ memory: { limit: 32 * MB, swap: 48 * MB } }, script);
      expect(scarce.stdout).toBe(`137\noom_kill 1\n${16 * MB}\n`);
      const none = runLimited({ memory: { limit: 32 * MB, swap: 32 * MB } }, script);
      expect(none.stdout).toBe("137\noom_kill 1\n0\n");
    } finally {
      run("swapoff", "/dev/ram0");
      run("busybox", "modprobe", "-r", "brd");
    }
  });

  test("unified: who goes over memory.high is held back, counted, and not killed", () => {
    const script = `${TAKE}; grep -E "^(high|oom_kill) " /sys/fs/cgroup/memory.events`;
    const { stdout } = runLimited({ unified: { "memory.high": "60M" } }, script);
    expect(stdout).toMatch(/^0\nhigh [1-9]\d*\noom_kill 0\n$/);
  });

  test("a limit in which not even init can live is an error that says so, and leaves nothing", () => {
    expect(refusal({ memory: { limit: 4096 } })).toMatch(/memory limit (of its cgroup may be )?too low/);
    // Enough to begin with, and then init runs out of it, sooner or later.
    for (const kib of [32, 64, 96]) {
      expect(refusal({ memory: { limit: kib * 1024, swap: kib * 1024 } })).toBe(
        "berth: the container's init was OOM-killed (memory limit too low?)\n",
      );
    }
  });

  test("checkBeforeUpdate refuses a limit that is in use already", () => {
    const path = `${top}/used`;
    mkdirSync(mount + top, { recursive: true });
    write("", "cgroup.subtree_control", "+memory");
    write(top, "cgroup.subtree_control", "+memory");
    mkdirSync(mount + path);
    // What is in a tmpfs is charged to who wrote it, and stays so after its end.
    const file = join("/dev/shm", "berth-test-used");
    try {
      run("sh", "-c", `echo $$ > ${fileOf(path, "cgroup.procs")}; head -c 8M /dev/zero > ${file}`);
      const at = (config: Config) => {
        config.linux.cgroupsPath = path;
      };
      const limited = (memory: Resources["memory"]) =>
        refusal({ memory: { ...memory, checkBeforeUpdate: true } }, at);
      expect(limited({ limit: MB })).toMatch(
        /linux\.resources\.memory\.limit: 1048576 is not above the \d+ bytes/,
      );
      expect(limited({ limit: MB, swap: 2 * MB })).toMatch(
        /memory\.swap: 2097152 is not above the \d+ bytes/,
      );
      expect(read(path, "memory.max")).toBe("max");
    } finally {
      rmSync(file, { force: true });
      rmdirSync(mount + path);
    }
  });
});

describe("pids", () => {
  test("a fork beyond limit is refused", () => {
    const script = "sleep 1000 & sleep 1000 & sleep 1000 & echo three; sleep 1000 & echo four";
    const { stdout, stderr } = runLimited({ pids: { limit: 4 } }, script);
    expect(stdout).toBe("three\n");
    expect(stderr).toContain("can't fork");
  });

  test("a refusal is counted, and a process that joins counts as well", () => {
    const { id, bundle } = startContainer(forever, limits({ pids: { limit: 2 } }));
    const path = bundle.config.linux.cgroupsPath ?? "";
    const { stdout, stderr } = berth(["exec", id, "sh", "-c", "echo in; sleep 1000; echo never"]);
    expect(stdout).toBe("in\n");
    expect(stderr).toContain("can't fork");
    expect(read(path, "pids.events")).toMatch(/^max [1-9]\d*$/);
    expect(read(path, "pids.max")).toBe("2");
    succeed(["delete", "--force", id]);
  });

  test("0 refuses the first one", () => {
    const { stdout, stderr } = runLimited({ pids: { limit: 0 } }, "echo one; sleep 1000 & echo two");
    expect(stdout).toBe("one\n");
    expect(stderr).toContain("can't fork");
  });
});

describe("cpu", () => {
  test("who uses more than quota is throttled, and counted", () => {
    const script = "until grep -q 'nr_throttled [1-9]' /sys/fs/cgroup/cpu.stat; do :; done; echo throttled";
    expect(runLimited({ cpu: { quota: 10_000, period: 100_000 } }, script).stdout).toBe("throttled\n");
  });

  test.each(["0", "1"])("cpus %s is what sched_getaffinity sees", (cpus) => {
    const { stdout } = runLimited({ cpu: { cpus } }, "grep Cpus_allowed_list /proc/self/status; nproc");
    expect(stdout).toBe(`Cpus_allowed_list:\t${cpus}\n1\n`);
  });

  test("burst lends what earlier periods have not used, and the loans are counted", () => {
    const script =
      "until grep -q 'nr_bursts [1-9]' /sys/fs/cgroup/cpu.stat; do usleep 200000; i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; done; echo lent";
    const cpu = { quota: 4000, period: 100_000, burst: 4000 };
    expect(runLimited({ cpu }, script).stdout).toBe("lent\n");
  });

  test("cpus hold for a process that joins, and an update moves those that run", () => {
    const see = "grep Cpus_allowed_list /proc/self/status; nproc";
    const { id, pid } = startContainer(forever, limits({ cpu: { cpus: "1" } }));
    expect(succeed(["exec", id, "sh", "-c", see])).toBe("Cpus_allowed_list:\t1\n1\n");
    succeed(["update", "--cpuset-cpus", "0", id]);
    expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain("Cpus_allowed_list:\t0\n");
    expect(succeed(["exec", id, "sh", "-c", see])).toBe("Cpus_allowed_list:\t0\n1\n");
    succeed(["delete", "--force", id]);
  });

  test("shares divide a CPU that two want", () => {
    const spin = "while :; do :; done";
    const [many, few] = [8192, 512].map((shares) =>
      startContainer(script(spin), limits({ cpu: { shares, cpus: "0" } })),
    );
    if (many === undefined || few === undefined) throw new Error("two were started");
    waitUntil(() => ticks(few.pid) >= 2 && ticks(many.pid) >= 2, "both run");
    const before = [ticks(many.pid), ticks(few.pid)] as const;
    waitUntil(() => ticks(many.pid) >= before[0] + 200, "the one has run for two seconds");
    // By their weights, 465 and 59, the other gets an eighth of it.
    expect(ticks(few.pid) - before[1]).toBeLessThan(100);
    for (const { id } of [many, few]) succeed(["delete", "--force", id]);
  });

  test("idle gives way to others", () => {
    const spin = "while :; do :; done";
    const { id, bundle, pid } = startContainer(script(spin), limits({ cpu: { idle: 1, cpus: "0" } }));
    // Beside it and on the same CPU: who is idle gets what the other leaves, which is next to nothing.
    const beside = `${mount}${top}/beside`;
    mkdirSync(beside);
    const move = `echo $$ > ${beside}/cgroup.procs; exec taskset -c 0 sh -c "${spin}"`;
    const other = Bun.spawn(["sh", "-c", move]);
    try {
      waitUntil(() => ticks(other.pid) >= 20, "the other process runs");
      const before = ticks(pid);
      waitUntil(() => ticks(other.pid) >= 120, "the other process has run for another second");
      // As equals they would have had the same.
      expect(ticks(pid) - before).toBeLessThan(50);
      expect(read(bundle.config.linux.cgroupsPath ?? "", "cpu.idle")).toBe("1");
    } finally {
      other.kill();
      succeed(["delete", "--force", id]);
      waitUntil(() => read(`${top}/beside`, "cgroup.procs") === "", "the other process is gone");
      rmdirSync(beside);
    }
  });
});

/** The clock ticks that a process has run. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

test("hugepageLimits: a huge page beyond the limit is refused", () => {
  writeFileSync("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4");
  const script =
    "fallocate -l 4M /mnt/a && echo two; fallocate -l 6M /mnt/b && echo five; cat /sys/fs/cgroup/hugetlb.2MB.max";
  const { stdout } = runLimited(
    { hugepageLimits: [{ pageSize: "2MB", limit: 4 * MB }] },
    script,
    ({ mounts }) => {
      mounts.push({ destination: "/mnt", type: "hugetlbfs", source: "hugetlbfs", options: ["pagesize=2M"] });
    },
  );
  expect(stdout).toBe(`two\n${4 * MB}\n`);
  writeFileSync("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0");
});

test("devices: who opens one that no rule allows is refused", () => {
  const script = "mknod /mnt/kmsg c 1 11 && cat /mnt/kmsg; echo > /dev/null && echo null";
  const { stdout, stderr } = runLimited({}, script, (config) => {
    const names = ["CAP_MKNOD", "CAP_SYSLOG"];
    config.process.capabilities = { bounding: names, effective: names, permitted: names };
    config.mounts.push({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["dev"] });
  });
  expect(stdout).toBe("null\n");
  expect(stderr).toContain("/mnt/kmsg': Operation not permitted");
});

test("devices: an access that the rule does not name is refused, the one that it names is not", () => {
  const script = "cat < /mnt/loop && echo read; (echo > /mnt/loop) 2>&1";
  const { stdout } = runLimited({}, script, (config) => {
    config.mounts.push({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["dev"] });
    config.linux.devices = [{ type: "b", path: "/mnt/loop", major: 7, minor: 0 }];
    const none = { allow: false, access: "rwm" };
    const devices = [none, { allow: true, type: "b", major: 7, minor: 0, access: "r" } as const];
    config.linux.resources = { ...config.linux.resources, devices };
  });
  expect(stdout.split("\n")).toEqual([
    "read",
    expect.stringContaining("/mnt/loop: Operation not permitted"),
    "",
  ]);
});
