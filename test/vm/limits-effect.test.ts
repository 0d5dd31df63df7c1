import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Resources } from "../../src/spec/resources.ts";
import { type Config, directory, waitUntil } from "../bundle.ts";
import { script, startContainer, succeed } from "../container.ts";
import { fileOf, limits, mount, read, refusal, runLimited, top, write } from "./limits.ts";

// Each limit by what it does to the processes of the container.

const MB = 2 ** 20;

/** Runs a command that must succeed, and returns what it says. */
function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  expect({ command, exitCode, stderr: stderr.toString() }).toMatchObject({ exitCode: 0 });
  return stdout.toString().trim();
}

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

describe("blockIO", () => {
  /** Runs `use` with a loop device. */
  function withLoop<T>(use: (device: { major: number; minor: number }, name: string) => T): T {
    if (!existsSync("/dev/loop-control")) run("busybox", "modprobe", "loop");
    const file = join(directory, "disk");
    run("truncate", "-s", "16M", file);
    const name = run("losetup", "--find", "--show", file);
    const [major, minor] = run("stat", "-c", "%Hr %Lr", name).split(" ").map(Number);
    try {
      return use({ major: major ?? -1, minor: minor ?? -1 }, name);
    } finally {
      run("losetup", "--detach", name);
      rmSync(file);
    }
  }

  /** How long it takes in a container to read 2 MiB from a device, in milliseconds. */
  function timeToRead(blockIO: Resources["blockIO"], device: { major: number; minor: number }): number {
    const script =
      "read a _ < /proc/uptime; dd if=/dev/disk of=/dev/null bs=64k count=32 2> /dev/null || exit 1; read b _ < /proc/uptime; echo $a $b";
    // What was read before is not read again.
    writeFileSync("/proc/sys/vm/drop_caches", "3");
    const { stdout, status } = runLimited(blockIO === undefined ? {} : { blockIO }, script, ({ linux }) => {
      linux.devices = [{ type: "b", path: "/dev/disk", ...device }];
      linux.resources = { ...linux.resources, devices: [{ allow: true, type: "b", ...device, access: "r" }] };
    });
    expect(status).toBe(0);
    const [begin = 0, end = 0] = stdout.trim().split(" ").map(Number);
    return (end - begin) * 1000;
  }

  test("throttleReadBpsDevice and throttleReadIOPSDevice hold", () => {
    withLoop((device) => {
      const free = timeToRead(undefined, device);
      const bytes = timeToRead({ throttleReadBpsDevice: [{ ...device, rate: MB / 2 }] }, device);
      // 2 MiB at half a MiB per second: 4 s, of which the kernel lets a slice pass at once.
      expect(bytes).toBeGreaterThan(3000);
      expect(free).toBeLessThan(bytes / 2);
    });
  });

  test("all throttles stand in one line of io.max", () => {
    withLoop((device) => {
      const of = (rate: number) => [{ ...device, rate }];
      const { stdout } = runLimited(
        {
          blockIO: {
            throttleReadBpsDevice: of(1000),
            throttleWriteBpsDevice: of(2000),
            throttleReadIOPSDevice: of(30),
            throttleWriteIOPSDevice: of(40),
          },
        },
        "cat /sys/fs/cgroup/io.max",
      );
      expect(stdout).toBe(`${device.major}:${device.minor} rbps=1000 wbps=2000 riops=30 wiops=40\n`);
    });
  });

  test("0 takes a throttle away", () => {
    withLoop((device) => {
      const throttle = (rate: number) => ({ throttleReadBpsDevice: [{ ...device, rate }] });
      expect(runLimited({ blockIO: throttle(0) }, "cat /sys/fs/cgroup/io.max").stdout).toBe("");
    });
  });

  test("weightDevice needs a scheduler that knows weights, and says so", () => {
    withLoop((device, name) => {
      const weightDevice = [{ ...device, weight: 500 }];
      const scheduler = `/sys/block/${name.slice("/dev/".length)}/queue/scheduler`;
      if (existsSync(fileOf("", "io.bfq.weight")) || readFileSync(scheduler, "utf8").includes("bfq")) {
        writeFileSync(scheduler, "bfq");
        const { stdout } = runLimited({ blockIO: { weightDevice } }, "cat /sys/fs/cgroup/io.bfq.weight");
        expect(stdout).toBe(`default 100\n${device.major}:${device.minor} 500\n`);
        writeFileSync(scheduler, "none");
      }
      expect(refusal({ blockIO: { weightDevice } })).toMatch(
        /weightDevice\[0\]\.weight: .*\n.*neither the bfq scheduler/,
      );
    });
  });
});

test("hugepageLimits: a huge page beyond the limit is refused", () => {
  writeFileSync("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4");
  const script = "fallocate -l 4M /mnt/a && echo two; fallocate -l 6M /mnt/b && echo five";
  const { stdout } = runLimited(
    { hugepageLimits: [{ pageSize: "2MB", limit: 4 * MB }] },
    script,
    ({ mounts }) => {
      mounts.push({ destination: "/mnt", type: "hugetlbfs", source: "hugetlbfs", options: ["pagesize=2M"] });
    },
  );
  expect(stdout).toBe("two\n");
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
