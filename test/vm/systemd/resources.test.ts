/** linux.resources and annotations as properties of a unit, and what is in the files of its cgroup. */
import { afterEach, expect, test } from "vitest";
import type { Resources } from "../../../src/spec/resources.ts";
import type { Config } from "../../bundle.ts";
import { refuse, succeed } from "../../container.ts";
import {
  createUnit,
  deleteUnit,
  endUnits,
  read,
  refusal,
  show,
  systemctl,
  type UnitContainer,
  units,
} from "./unit.ts";

afterEach(endUnits);

const limits = (resources: Resources) => (config: Config) => {
  config.linux.resources = { ...config.linux.resources, ...resources };
};

const annotations = (annotations: Record<string, string>) => (config: Config) => {
  config.annotations = Object.fromEntries(
    Object.entries(annotations).map(([name, value]) => [`org.systemd.property.${name}`, value]),
  );
};

/** Files of a cgroup, with their contents. */
function files(container: UnitContainer, expected: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.keys(expected).map((file) => [file, read(container, file)]));
}

const MiB = 1 << 20;

const resources: Resources = {
  memory: { limit: 64 * MiB, reservation: 32 * MiB, swap: 96 * MiB },
  cpu: { shares: 2048, quota: 25_500, period: 50_000, burst: 1000, cpus: "0-1", mems: "0" },
  pids: { limit: 42 },
};
const properties = {
  MemoryMax: String(64 * MiB),
  MemoryLow: String(32 * MiB),
  MemorySwapMax: String(32 * MiB),
  CPUWeight: "174",
  CPUQuotaPerSecUSec: "510ms",
  CPUQuotaPeriodUSec: "50ms",
  AllowedCPUs: "0-1",
  AllowedMemoryNodes: "0",
  TasksMax: "42",
};
const contents = {
  "memory.max": String(64 * MiB),
  "memory.low": String(32 * MiB),
  "memory.swap.max": String(32 * MiB),
  "cpu.weight": "174",
  "cpu.max": "25500 50000",
  "cpu.max.burst": "1000",
  "cpuset.cpus": "0-1",
  "cpuset.mems": "0",
  "pids.max": "42",
};

test("limits are properties, so that they outlast systemd's own writing of the files", () => {
  const container = createUnit(limits(resources));
  expect(show(container.unit, ...Object.keys(properties))).toEqual(properties);
  expect(files(container, contents)).toEqual(contents);
  systemctl("daemon-reload");
  expect(files(container, contents)).toEqual(contents);
  deleteUnit(container);
});

test("what has no property is in the files, and stays there", () => {
  const own = { "cgroup.max.descendants": "5", "cgroup.max.depth": "3" };
  const container = createUnit(
    limits({ unified: own, hugepageLimits: [{ pageSize: "2MB", limit: 4 * MiB }] }),
  );
  const expected = { ...own, "hugetlb.2MB.max": String(4 * MiB) };
  expect(files(container, expected)).toEqual(expected);
  systemctl("daemon-reload");
  expect(files(container, expected)).toEqual(expected);
  deleteUnit(container);
});

test("a quota that systemd can only round is exact in the file", () => {
  const container = createUnit(limits({ cpu: { quota: 33_333, period: 100_000 } }));
  expect(show(container.unit, "CPUQuotaPerSecUSec").CPUQuotaPerSecUSec).toBe("340ms");
  expect(read(container, "cpu.max")).toBe("33333 100000");
  deleteUnit(container);
});

test("files of unified have their properties", () => {
  const unified = {
    "memory.high": "40M",
    "memory.max": "max",
    "cpu.max": "20000 100000",
    "pids.max": "17",
    "cpuset.cpus": "1",
  };
  const container = createUnit(limits({ memory: { limit: 64 * MiB }, unified }));
  const expected = {
    MemoryHigh: String(40 * MiB),
    MemoryMax: "infinity",
    CPUQuotaPerSecUSec: "200ms",
    TasksMax: "17",
    AllowedCPUs: "1",
  };
  expect(show(container.unit, ...Object.keys(expected))).toEqual(expected);
  expect(files(container, unified)).toEqual({ ...unified, "memory.high": String(40 * MiB) });
  deleteUnit(container);
});

test("limits of block devices", () => {
  const loop = Bun.spawnSync([
    "sh",
    "-c",
    "modprobe loop; truncate -s 1M /tmp/disk; losetup --find --show /tmp/disk",
  ]);
  const device = loop.stdout.toString().trim();
  expect(device).toMatch(/^\/dev\/loop\d+$/);
  const minor = Number(device.slice("/dev/loop".length));
  const at = { major: 7, minor };
  const container = createUnit(
    limits({
      blockIO: {
        throttleReadBpsDevice: [{ ...at, rate: 1000 }],
        throttleWriteIOPSDevice: [{ ...at, rate: 50 }],
      },
    }),
  );
  const shown = `/dev/block/7:${minor}`;
  expect(show(container.unit, "IOReadBandwidthMax", "IOWriteIOPSMax")).toEqual({
    IOReadBandwidthMax: `${shown} 1000`,
    IOWriteIOPSMax: `${shown} 50`,
  });
  expect(read(container, "io.max")).toBe(`7:${minor} rbps=1000 wbps=max riops=max wiops=50`);
  const update = { blockIO: { throttleReadBpsDevice: [{ ...at, rate: 0 }] } };
  succeed(["update", "--resources", "-", container.id], { stdin: JSON.stringify(update) });
  // Of an empty list, systemctl says nothing.
  expect(show(container.unit, "IOReadBandwidthMax")).toEqual({});
  expect(read(container, "io.max")).toBe(`7:${minor} rbps=max wbps=max riops=max wiops=50`);
  // One change that cannot be, and all is as before, in systemd's list too.
  const impossible = { ...update, unified: { "cpuset.cpus": "100" }, pids: { limit: 9 } };
  impossible.blockIO = { throttleReadBpsDevice: [{ ...at, rate: 77 }] };
  refuse(["update", "--resources", "-", container.id], { stdin: JSON.stringify(impossible) });
  expect(show(container.unit, "IOReadBandwidthMax", "IOWriteIOPSMax")).toEqual({
    IOWriteIOPSMax: `${shown} 50`,
  });
  expect(read(container, "io.max")).toBe(`7:${minor} rbps=max wbps=max riops=max wiops=50`);
  deleteUnit(container);
  Bun.spawnSync(["losetup", "--detach", device]);
});

test("update changes properties and files", () => {
  const container = createUnit(limits(resources));
  const change: Resources = {
    memory: { limit: 80 * MiB },
    cpu: { quota: 33_333, period: 100_000, cpus: "1" },
    pids: { limit: -1 },
  };
  succeed(["update", "--resources", "-", container.id], { stdin: JSON.stringify(change) });
  const changed = {
    ...properties,
    MemoryMax: String(80 * MiB),
    MemorySwapMax: String(16 * MiB),
    CPUQuotaPerSecUSec: "340ms",
    CPUQuotaPeriodUSec: "100ms",
    AllowedCPUs: "1",
    TasksMax: "infinity",
  };
  const written = {
    ...contents,
    "memory.max": String(80 * MiB),
    "memory.swap.max": String(16 * MiB),
    "cpu.max": "33333 100000",
    "cpuset.cpus": "1",
    "pids.max": "max",
  };
  expect(show(container.unit, ...Object.keys(changed))).toEqual(changed);
  expect(files(container, written)).toEqual(written);
  systemctl("daemon-reload");
  expect({ ...files(container, written), "cpu.max": "" }).toEqual({ ...written, "cpu.max": "" });
  deleteUnit(container);
});

test("an update that the kernel refuses changes nothing, nor does systemd know of it", () => {
  const container = createUnit(limits(resources));
  const error = refuse(["update", "--resources", "-", container.id], {
    stdin: JSON.stringify({ memory: { limit: 90 * MiB }, cpu: { cpus: "100" }, pids: { limit: 7 } }),
  });
  expect(error).toContain("linux.resources.cpu.cpus");
  expect(show(container.unit, ...Object.keys(properties))).toEqual(properties);
  expect(files(container, contents)).toEqual(contents);
  deleteUnit(container);
});

test("an idle container is idle to systemd, and can be made busy again", () => {
  const container = createUnit(limits({ cpu: { idle: 1 } }));
  expect(show(container.unit, "CPUWeight").CPUWeight).toBe("idle");
  expect(read(container, "cpu.idle")).toBe("1");
  succeed(["update", "--cpu-idle", "0", container.id]);
  expect(show(container.unit, "CPUWeight").CPUWeight).toBe("[not set]");
  expect(files(container, { "cpu.idle": "0", "cpu.weight": "100" })).toEqual({
    "cpu.idle": "0",
    "cpu.weight": "100",
  });
  deleteUnit(container);
});

test("annotations are properties, and count more than what berth would set", () => {
  const container = createUnit(
    annotations({
      TimeoutStopSec: "5",
      RuntimeMaxUSec: "uint64 90000000",
      Description: "'my box'",
      CollectMode: '"inactive"',
      After: "['berthtest.target', \"berthtest-2.target\"]",
      CPUWeight: "uint64 300",
      SendSIGHUP: "true",
      Documentation: "@as []",
    }),
  );
  const { After = "", ...shown } = show(
    container.unit,
    "TimeoutStopUSec",
    "RuntimeMaxUSec",
    "Description",
    "CollectMode",
    "CPUWeight",
    "SendSIGHUP",
    "After",
  );
  expect(shown).toEqual({
    TimeoutStopUSec: "5s",
    RuntimeMaxUSec: "1min 30s",
    Description: "my box",
    CollectMode: "inactive",
    CPUWeight: "300",
    SendSIGHUP: "yes",
  });
  expect(After.split(" ")).toEqual(expect.arrayContaining(["berthtest.target", "berthtest-2.target"]));
  expect(read(container, "cpu.weight")).toBe("300");
  deleteUnit(container);
});

test.each([
  [
    { NoSuchThing: "true" },
    /^berth: annotations\["org\.systemd\.property\.NoSuchThing"\]: start systemd unit /,
  ],
  [
    { TasksMax: "'many'" },
    /^berth: .+\nhint: it may be about annotations\["org\.systemd\.property\.TasksMax"\]\n/,
  ],
  [
    { Description: "my box" },
    /^berth: annotations\["org\.systemd\.property\.Description"\]: "my box" is no value/,
  ],
  [{ PIDs: "[uint32 1]" }, /berth sets this property itself/],
  [{ TimeoutStopSec: "-1" }, /no number of seconds/],
])("annotations that cannot be: %o", (given, message) => {
  expect(refusal(annotations(given as Record<string, string>))).toMatch(message);
  expect(units()).toEqual([]);
});
