/** linux.resources.blockIO, held against a loop device. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Resources } from "../../src/spec/resources.ts";
import { directory } from "../bundle.ts";
import { fileOf, MB, refusal, run, runLimited } from "./limits.ts";

interface Device {
  readonly major: number;
  readonly minor: number;
}

/** Runs `use` with a loop device. */
function withLoop<T>(use: (device: Device, name: string) => T): T {
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

/** dd between the device and nothing, past the page cache. */
const READ = "if=/dev/disk of=/dev/null iflag=direct";
const WRITE = "if=/dev/zero of=/dev/disk oflag=direct";

/** How long dd takes with the device in a container, by the guest's clock, in milliseconds. */
function timeOf(how: string, blockIO: Resources["blockIO"], device: Device): number {
  const script = `read a _ < /proc/uptime; dd ${how} 2> /dev/null || exit 1; read b _ < /proc/uptime; echo $a $b`;
  const { stdout, status } = runLimited(blockIO === undefined ? {} : { blockIO }, script, ({ linux }) => {
    linux.devices = [{ type: "b", path: "/dev/disk", ...device }];
    const devices = [{ allow: true, type: "b", ...device, access: "rw" }] as const;
    linux.resources = { ...linux.resources, devices: [...devices] };
  });
  expect(status).toBe(0);
  const [begin = 0, end = 0] = stdout.trim().split(" ").map(Number);
  return (end - begin) * 1000;
}

// Each is 4 s of input or output by its limit, of which the kernel lets a slice pass at once. The machine can only make it longer.
test.each([
  ["throttleReadBpsDevice", `${READ} bs=64k count=32`, MB / 2],
  ["throttleWriteBpsDevice", `${WRITE} bs=64k count=32`, MB / 2],
  ["throttleReadIOPSDevice", `${READ} bs=4k count=80`, 20],
  ["throttleWriteIOPSDevice", `${WRITE} bs=4k count=80`, 20],
] as const)("%s holds", (field, how, rate) => {
  withLoop((device) => {
    expect(timeOf(how, { [field]: [{ ...device, rate }] }, device)).toBeGreaterThan(3000);
  });
});

test("a throttle is of its own direction: the other one, and a device without any, are as fast as they can be", () => {
  withLoop((device) => {
    // What would take 256 s if it were held.
    const throttle = { throttleWriteBpsDevice: [{ ...device, rate: 8192 }] };
    expect(timeOf(`${READ} bs=64k count=32`, throttle, device)).toBeLessThan(128_000);
    expect(timeOf(`${WRITE} bs=64k count=32`, undefined, device)).toBeLessThan(128_000);
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
