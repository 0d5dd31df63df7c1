import { describe, expect, test } from "vitest";
import { count, keyed, pressure, type ReadStat } from "../../src/cgroups/stats/stats.ts";
import { v2Stats } from "../../src/cgroups/stats/v2.ts";
import { v1Stats } from "../../src/cgroups/v1/stats.ts";
import { statsRow } from "../../src/cli/stats-table.ts";

const files =
  (contents: Record<string, string>): ReadStat =>
  (file) =>
    contents[file];
/** As engines get it. */
const json = (value: unknown) => JSON.stringify(value);

describe("numbers of the kernel", () => {
  test.each([
    [undefined, "0"],
    ["7\n", "7"],
    ["-1\n", "-1"],
    ["max\n", "18446744073709551615"],
    ["9223372036854771712\n", "9223372036854771712"],
  ])("%j is printed as %s", (text, printed) => {
    expect(json(count(text))).toBe(printed);
  });

  test("by name, a line each", () => {
    expect(keyed("anon 1\nfile 2\n")).toEqual({ anon: 1, file: 2 });
  });
});

test("pressure is read, and left out where there is none", () => {
  const text =
    "some avg10=0.50 avg60=1.00 avg300=2.25 total=33\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
  expect(pressure(text)).toEqual({
    psi: {
      some: { avg10: 0.5, avg60: 1, avg300: 2.25, total: 33 },
      full: { avg10: 0, avg60: 0, avg300: 0, total: 0 },
    },
  });
  expect(pressure(undefined)).toBeUndefined();
});

describe("statistics of v2", () => {
  const read = files({
    "cpu.stat":
      "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 4\nnr_throttled 3\nthrottled_usec 2\n",
    "memory.current": "1000\n",
    "memory.max": "max\n",
    "memory.peak": "1500\n",
    "memory.events": "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n",
    "memory.stat": "anon 1\nfile 2\nkernel 3\nsock 4\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "max\n",
    "pids.current": "2\n",
    "pids.max": "9\n",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.events": "max 7\n",
  });

  test("are in runc's form: times in nanoseconds, swap with memory", () => {
    expect(json(v2Stats(read, ["2MB", "1GB"]))).toBe(
      json({
        cpu: {
          usage: { total: 30_000, kernel: 20_000, user: 10_000 },
          throttling: { periods: 4, throttledPeriods: 3, throttledTime: 2000 },
        },
        cpuset: {},
        memory: {
          cache: 2,
          usage: { limit: count("max"), usage: 1000, max: 1500, failcnt: 5 },
          swap: { limit: count("max"), usage: 1010, failcnt: 0 },
          kernel: { limit: 0, failcnt: 0, usage: 3 },
          kernelTCP: { limit: 0, failcnt: 0, usage: 4 },
          raw: { anon: 1, file: 2, kernel: 3, sock: 4 },
        },
        pids: { current: 2, limit: 9 },
        blkio: {
          ioServiceBytesRecursive: [
            { major: 8, minor: 0, op: "Read", value: 1 },
            { major: 8, minor: 0, op: "Write", value: 2 },
            { major: 8, minor: 0, op: "Discard", value: 5 },
          ],
          ioServicedRecursive: [
            { major: 8, minor: 0, op: "Read", value: 3 },
            { major: 8, minor: 0, op: "Write", value: 4 },
            { major: 8, minor: 0, op: "Discard", value: 6 },
          ],
        },
        hugetlb: { "2MB": { usage: 2_097_152, failcnt: 7 } },
        intel_rdt: {},
        network_interfaces: null,
      }),
    );
  });

  test("are complete where the cgroup has no files", () => {
    const { cpu, memory, pids } = v2Stats(files({}), []);
    expect(cpu.usage).toEqual({ total: 0, kernel: 0, user: 0 });
    expect(memory.usage).toEqual({ limit: 0, usage: 0, failcnt: 0 });
    expect(pids).toEqual({ current: 0 });
  });

  test("are a row for people", () => {
    expect(
      statsRow(v2Stats(read, []))
        .trim()
        .split(/\s{2,}/),
    ).toEqual(["0.00 s", "1000 B", "none", "2", "1 B", "2 B", "0.00 s"]);
  });
});

test("statistics of v1 are those of the controllers that are there", () => {
  const read = files({
    "cpuacct.usage": "500\n",
    "cpuacct.usage_percpu": "200 300 \n",
    "cpuacct.usage_all": "cpu user system\n0 1 2\n1 3 4\n",
    "cpuacct.stat": "user 1\nsystem 2\n",
    "cpu.stat": "nr_periods 3\nnr_throttled 0\nthrottled_time 0\n",
    "cpuset.cpus": "0-1,3\n",
    "cpuset.mems": "0\n",
    "pids.current": "1\n",
    "pids.max": "max\n",
    "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n",
  });
  const stats = v1Stats(read, [], (controller) => controller !== "memory");
  expect(stats.memory).toBeUndefined();
  expect(stats.cpu).toEqual({
    usage: {
      total: 500,
      percpu: [200, 300],
      percpu_kernel: [2, 4],
      percpu_user: [1, 3],
      kernel: 20_000_000,
      user: 10_000_000,
    },
    throttling: { periods: 3 },
  });
  expect(stats.cpuset).toMatchObject({ cpus: [0, 1, 3], mems: [0] });
  expect(stats.pids).toEqual({ current: 1 });
  expect(stats.blkio?.ioServiceBytesRecursive).toEqual([
    { major: 8, minor: 0, op: "Read", value: 4096 },
    { major: 8, minor: 0, op: "Total", value: 4096 },
  ]);
});
