import { describe, expect, test } from "vitest";
import { RESOLVE_IN_ROOT, S_IFBLK, S_IFCHR, S_IFIFO, S_IFREG } from "../../src/linux/constants.ts";
import { EEXIST, EPERM } from "../../src/linux/errno.ts";
import { stepError } from "../../src/plan/perform.ts";
import type { Step } from "../../src/plan/step.ts";
import { deviceNumber, rdevValue } from "../../src/rootfs/device-number.ts";
import { mountSteps, type RootfsContext } from "../../src/rootfs/rootfs.ts";
import type { Mount } from "../../src/spec/config.ts";
import type { Device } from "../../src/spec/linux.ts";
import { fds, rootfsContext, rootfsSpec, short } from "./rootfs.ts";
import { callNames, calls, fieldsOf, only, straight, tolerated } from "./steps.ts";

const DEV: Mount = { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755"] };

function devices(
  given: readonly Device[] = [],
  change: Partial<RootfsContext> = {},
  mounts: readonly Mount[] = [DEV],
): Step[] {
  const spec = rootfsSpec({ mounts: [...mounts], linux: { devices: [...given] } });
  return mountSteps(spec, rootfsContext(change)).filter(
    (step) => step.kind === "mark" || step.phase === "devices",
  );
}

const about = (steps: readonly Step[], subject: string) =>
  steps.filter((step) => step.kind !== "mark" && step.subject === subject);

describe("device numbers", () => {
  test.each([
    [1, 3, 0x103],
    [5, 0, 0x500],
    [8, 300, 0x10082c],
    [4095, 0xfffff, 0xffffffff],
  ])("%d:%d for mknod", (major, minor, expected) => {
    expect(deviceNumber(major, minor)).toBe(expected);
  });

  test("as statx shows them", () => {
    expect(rdevValue(4095, 0xfffff)).toBe(0xfffff * 2 ** 32 + 4095);
  });
});

describe("the default devices", () => {
  test("are made in one call each in a new tmpfs", () => {
    const made = short(devices()).filter((line) => line.startsWith("mknodat"));
    expect(made).toEqual(
      [
        ["null", 1, 3],
        ["zero", 1, 5],
        ["full", 1, 7],
        ["random", 1, 8],
        ["urandom", 1, 9],
        ["tty", 5, 0],
      ].map(
        ([name, major, minor]) =>
          `mknodat <target> ${name} ${S_IFCHR | 0o666} ${256 * Number(major) + Number(minor)}`,
      ),
    );
  });

  test("lie in a /dev that was opened inside the rootfs: CVE-2026-41579", () => {
    const [open] = calls(devices([], {}, []));
    expect(open?.args.slice(0, 2)).toEqual([fds.rootfs, "/dev"]);
    expect(fieldsOf(open?.args[2]).resolve).toBe(RESOLVE_IN_ROOT);
  });

  test("have their links", () => {
    const links = short(straight(devices())).filter((line) => line.startsWith("symlinkat"));
    expect(links).toEqual([
      "symlinkat /proc/self/fd <target> fd",
      "symlinkat /proc/self/fd/0 <target> stdin",
      "symlinkat /proc/self/fd/1 <target> stdout",
      "symlinkat /proc/self/fd/2 <target> stderr",
      "symlinkat /proc/kcore <target> core",
      "symlinkat pts/ptmx <target> ptmx",
    ]);
  });

  test("are left alone when /dev is bound from the host", () => {
    expect(
      callNames(devices([], {}, [{ destination: "/dev/", source: "/dev", options: ["rbind"] }])),
    ).toEqual([]);
  });

  test("are verified where they may be there already", () => {
    const present = about(devices([], {}, []), "/dev/null");
    const [made] = calls(present);
    expect(tolerated(made as never)).toEqual({ [EEXIST]: "present" });
    const compared = present.filter((step) => step.kind === "branch" && step.value === rdevValue(1, 3));
    expect(compared).toHaveLength(1);
    expect(present.filter((step) => step.kind === "fail")).toHaveLength(2);
  });

  test("are verified where something has been mounted on them", () => {
    const mounts: Mount[] = [DEV, { destination: "/dev/null", source: "/dev/null", options: ["bind"] }];
    const steps = devices([], {}, mounts);
    expect(callNames(about(steps, "/dev/null"))).toContain("statx");
    expect(callNames(about(steps, "/dev/zero"))).not.toContain("statx");
  });
});

describe("linux.devices", () => {
  const fuse: Device = {
    type: "c",
    path: "/dev/fuse",
    major: 10,
    minor: 229,
    fileMode: 0o640,
    uid: 7,
    gid: 8,
  };

  test("have their mode and owner", () => {
    const steps = about(devices([fuse]), "/dev/fuse");
    expect(only(steps, "mknodat").args.slice(1)).toEqual(["fuse", S_IFCHR | 0o640, deviceNumber(10, 229)]);
    expect(only(steps, "fchownat").args.slice(1, 4)).toEqual(["fuse", 7, 8]);
    expect(stepError(only(steps, "mknodat"), EPERM).message).toBe(
      "linux.devices[0] /dev/fuse: make the device: operation not permitted",
    );
  });

  test.each<[Device["type"], number, number]>([
    ["b", S_IFBLK, deviceNumber(8, 1)],
    ["u", S_IFCHR, deviceNumber(8, 1)],
    ["p", S_IFIFO, 0],
  ])("type %s", (type, kind, number) => {
    const steps = about(devices([{ type, path: "/dev/x", major: 8, minor: 1 }]), "/dev/x");
    expect(only(steps, "mknodat").args.slice(2)).toEqual([kind | 0o666, number]);
  });

  test("take the place of a default one", () => {
    const steps = devices([{ type: "c", path: "/dev/./null", major: 1, minor: 3, fileMode: 0o600 }]);
    const nodes = calls(steps).filter(({ call, args }) => call === "mknodat" && args[1] === "null");
    expect(nodes.map(({ args, path }) => [path, args[2]])).toEqual([["linux.devices[0]", S_IFCHR | 0o600]]);
  });

  test("may lie in a directory that is missing", () => {
    const context = rootfsContext();
    devices([{ type: "c", path: "/dev/net/tun", major: 10, minor: 200 }], context);
    expect(context.requests.list).toContainEqual({
      kind: "make-path",
      path: "/dev/net",
      type: "directory",
      of: "linux.devices",
    });
  });
});

describe("in a user namespace, or without CAP_MKNOD", () => {
  test.each<Partial<RootfsContext>>([{ userNamespace: true }, { mayMakeDevices: false }])("%o", (change) => {
    const steps = about(devices([], change), "/dev/null");
    expect(short(straight(steps)).slice(0, 3)).toEqual([
      `mknodat <target> null ${S_IFREG | 0o644} 0`,
      "openat2 <target> null struct 24",
      expect.stringContaining("open_tree -100 /dev/null"),
    ]);
    // Verified before it is attached.
    const verified = steps.findIndex((step) => step.kind === "branch" && step.value === rdevValue(1, 3));
    const attached = steps.findIndex((step) => step.kind === "call" && step.call === "move_mount");
    expect(verified).toBeGreaterThan(0);
    expect(verified).toBeLessThan(attached);
  });

  test("a fifo is made all the same", () => {
    const steps = about(devices([{ type: "p", path: "/dev/x" }], { userNamespace: true }), "/dev/x");
    expect(only(steps, "mknodat").args[2]).toBe(S_IFIFO | 0o666);
  });
});
