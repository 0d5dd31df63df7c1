import { describe, expect, test } from "vitest";
import { cgroup2InMountinfo } from "../../src/cgroups/hierarchy.ts";
import { cgroupPath, directoryOf } from "../../src/cgroups/path.ts";

const never = () => {
  throw new Error("the runtime's own cgroup does not matter here");
};

describe("linux.cgroupsPath", () => {
  test.each([
    [undefined, "/box"],
    ["", "/box"],
    ["/docker/abc", "/docker/abc"],
    ["/a//b/./c/", "/a/b/c"],
    ["/kubepods/pod:1/a:b:c", "/kubepods/pod:1/a:b:c"],
  ])("%j is %s", (given, path) => {
    expect(cgroupPath(given, "box", never)).toBe(path);
  });

  test.each([
    ["/user.slice/session-1.scope", "/user.slice/mine/box"],
    ["/init.scope", "/mine/box"],
    ["/", "/mine/box"],
  ])("relative, from a runtime in %s", (own, path) => {
    expect(cgroupPath("mine/box", "id", () => own)).toBe(path);
  });

  test.each([
    ["/a/../b", 'must not have ".." in it'],
    ["../b", 'must not have ".." in it'],
    ["/a\0b", "has a control character"],
    ["/a\nb", "has a control character"],
    ["/", "names no cgroup of its own"],
    ["/./", "names no cgroup of its own"],
    ["system.slice:runc:box", "systemd cgroup driver"],
    [":runc:box", "systemd cgroup driver"],
  ])("%j is refused", (given, message) => {
    expect(() => cgroupPath(given, "id", () => "/")).toThrow(message);
  });
});

test.each(["", "/", "//", "a/b", "/a/../..", "/..", "//a"])(
  "a state with path %j touches no cgroup",
  (path) => {
    expect(() => directoryOf({ mount: "/sys/fs/cgroup", path })).toThrow(
      "is not the path of a container's cgroup",
    );
  },
);

describe("mountinfo", () => {
  const V1 = "36 31 0:33 / /sys/fs/cgroup/devices rw,relatime shared:3 - cgroup cgroup rw,devices";

  test("cgroup2 is found beside v1", () => {
    const line = "41 31 0:38 / /cg\\040two/unified rw,relatime shared:4 master:1 - cgroup2 cgroup2 rw";
    expect(cgroup2InMountinfo(`${V1}\n${line}\n`)).toBe("/cg two/unified");
  });

  test("none", () => {
    expect(cgroup2InMountinfo(`${V1}\n`)).toBeUndefined();
  });
});
