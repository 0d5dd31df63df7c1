import type { Spec } from "../config.ts";
import type { Device } from "../linux.ts";
import { each, type Report } from "../problem.ts";

// linux.devices and the cgroup. Runtime-spec 1.3, config-linux.md "Devices" and "Control groups".

export function checkDevices({ linux: { devices } }: Spec, report: Report): void {
  const byPath = new Map<string, Device>();
  each(devices, (device, i) => {
    const at = `linux.devices[${i}]`;
    if (!device.path.startsWith("/")) report(`${at}.path`, device.path, "an absolute path");
    if (device.type !== "p") checkNumbers(at, device, report);
    const earlier = byPath.get(device.path);
    if (earlier !== undefined && !isSameDevice(earlier, device)) {
      report(`${at}.path`, device.path, "one device for each path");
    }
    byPath.set(device.path, device);
  });
}

/** Linux has 12 bits for the major number and 20 for the minor. */
function checkNumbers(at: string, device: Device, report: Report): void {
  for (const key of ["major", "minor"] as const) {
    const highest = key === "major" ? 2 ** 12 - 1 : 2 ** 20 - 1;
    const number = device[key];
    if (number !== undefined && number >= 0 && number <= highest) continue;
    report(
      `${at}.${key}`,
      number,
      `a whole number from 0 to ${highest} for a device of type "${device.type}"`,
    );
  }
}

function isSameDevice(one: Device, other: Device): boolean {
  return (["type", "major", "minor", "fileMode", "uid", "gid"] as const).every(
    (key) => one[key] === other[key],
  );
}

export function checkDeviceRules({ linux: { resources } }: Spec, report: Report): void {
  each(resources?.devices, (rule, i) => {
    const at = `linux.resources.devices[${i}]`;
    if (rule.access !== undefined && !isAccess(rule.access)) {
      report(`${at}.access`, rule.access, '"r", "w" and "m", one or more of them');
    }
    for (const key of ["major", "minor"] as const) {
      const number = rule[key] ?? -1;
      if (number >= -1 && number <= 2 ** 32 - 1) continue;
      report(`${at}.${key}`, number, `a whole number from 0 to ${2 ** 32 - 1}, or -1 for all`);
    }
  });
}

function isAccess(access: string): boolean {
  for (let i = 0; i < access.length; i++) if (!"rwm".includes(access.charAt(i))) return false;
  return access !== "";
}

export function checkCgroupsPath({ linux: { cgroupsPath } }: Spec, report: Report): void {
  if (cgroupsPath?.split("/").includes("..")) report("linux.cgroupsPath", cgroupsPath, 'a path without ".."');
}
