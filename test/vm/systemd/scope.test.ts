/** Containers as scopes: how they are made, what later commands do with them, and what is left. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { berth, type Config, makeBundle, newId, stateRoot, waitUntil } from "../../bundle.ts";
import { isAlive, refuse, script, statusOf, succeed } from "../../container.ts";
import {
  activeState,
  createUnit,
  deleteUnit,
  endUnits,
  inSlice,
  mark,
  read,
  refusal,
  show,
  startUnit,
  systemctl,
  units,
} from "./unit.ts";

afterEach(endUnits);

const withoutPath = ({ linux }: Config) => {
  linux.cgroupsPath = "";
};

test("without a cgroupsPath, a container is the scope berth-ID.scope in system.slice", () => {
  const container = createUnit(withoutPath);
  const { id, unit, cgroup } = container;
  expect(unit).toBe(`berth-${id}.scope`);
  expect(cgroup).toBe(`/sys/fs/cgroup/system.slice/${unit}`);
  expect(read(container, "cgroup.procs")).toBe(String(container.pid));
  expect(
    show(
      unit,
      "ActiveState",
      "Slice",
      "Delegate",
      "Transient",
      "DefaultDependencies",
      "Description",
      "CollectMode",
    ),
  ).toEqual({
    ActiveState: "active",
    Slice: "system.slice",
    Delegate: "yes",
    Transient: "yes",
    DefaultDependencies: "no",
    Description: `berth container ${id}`,
    CollectMode: "inactive-or-failed",
  });
  expect(show(unit, "CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting")).toEqual({
    CPUAccounting: "yes",
    MemoryAccounting: "yes",
    IOAccounting: "yes",
    TasksAccounting: "yes",
  });
  // What the commands after it go by: none is told which cgroup manager it was.
  expect(JSON.parse(readFileSync(join(stateRoot, id, "state.json"), "utf8")).cgroup).toEqual({
    mount: "/sys/fs/cgroup",
    path: `/system.slice/${unit}`,
    unit: { name: unit, manager: "system" },
  });
  deleteUnit(container);
});

test("slices are nested by the dashes of their names, and made as they are needed", () => {
  const container = createUnit((config) => {
    config.linux.cgroupsPath = `berthtest-a-b.slice:libpod:${mark}`;
  });
  expect(container.cgroup).toBe(
    `/sys/fs/cgroup/berthtest.slice/berthtest-a.slice/berthtest-a-b.slice/libpod-${mark}.scope`,
  );
  expect(show(container.unit, "Slice").Slice).toBe("berthtest-a-b.slice");
  deleteUnit(container);
  systemctl("stop", "berthtest.slice", "berthtest-a.slice", "berthtest-a-b.slice");
});

test.each([
  ["-.slice:x:NAME", "/x-NAME.scope"],
  ["::NAME", "/system.slice/NAME.scope"],
  [":a/b:NAME", undefined],
  ["system.slice:a b:NAME", "/system.slice/a\\x20b-NAME.scope"],
  ["::cpu", "/system.slice/_cpu.scope"],
  ["system.slice:_x:NAME", "/system.slice/__x-NAME.scope"],
])("cgroupsPath %s is systemd's %s", (cgroupsPath, path) => {
  const patch = (config: Config) => {
    config.linux.cgroupsPath = cgroupsPath.replace("NAME", mark);
  };
  if (path === undefined) {
    expect(refusal(patch)).toContain('are names, without "/"');
    return;
  }
  const container = createUnit(patch);
  expect(container.cgroup).toBe(`/sys/fs/cgroup${path.replace("NAME", mark)}`);
  deleteUnit(container);
});

test("a name that ends in .slice is a slice itself", () => {
  const slice = `${mark.replaceAll("-", "_")}.slice`;
  const container = createUnit((config) => {
    config.linux.cgroupsPath = `::${slice}`;
    config.linux.resources = { ...config.linux.resources, pids: { limit: 20 } };
  });
  expect(container.unit).toBe(slice);
  expect(container.cgroup).toBe(`/sys/fs/cgroup/${slice}`);
  expect(read(container, "cgroup.procs")).toBe(String(container.pid));
  expect(show(slice, "ActiveState", "TasksMax")).toEqual({ ActiveState: "active", TasksMax: "20" });
  succeed(["update", "--pids-limit", "30", container.id]);
  expect(show(slice, "TasksMax").TasksMax).toBe("30");
  deleteUnit(container);
});

test("inside, the scope is the root of the cgroup namespace", () => {
  const container = startUnit(
    script("cat /proc/self/cgroup; cat /proc/mounts | grep -c cgroup2; sleep 1000"),
  );
  waitUntil(() => container.output().split("\n").length > 2, "the container has spoken");
  expect(container.output()).toBe("0::/\n1\n");
  deleteUnit(container);
});

test("a container has the whole life of one that berth made a cgroup for", () => {
  const container = startUnit();
  const { id, pid, unit } = container;
  expect(statusOf(id)).toBe("running");
  succeed(["exec", "--detach", "--pid-file", join(stateRoot, "../exec.pid"), id, "/bin/sleep", "1000"]);
  const joined = Number(readFileSync(join(stateRoot, "../exec.pid"), "utf8"));
  const members = read(container, "cgroup.procs").split("\n").map(Number);
  expect(members.sort((a, b) => a - b)).toEqual([pid, joined].sort((a, b) => a - b));
  expect(JSON.parse(succeed(["ps", "--format", "json", id]))).toEqual([pid, joined].sort((a, b) => a - b));
  expect(JSON.parse(succeed(["events", "--stats", id])).data.pids.current).toBe(2);
  succeed(["pause", id]);
  expect(statusOf(id)).toBe("paused");
  expect(read(container, "cgroup.events")).toContain("frozen 1");
  expect(activeState(unit)).toBe("active");
  succeed(["resume", id]);
  expect(statusOf(id)).toBe("running");
  succeed(["kill", "--all", id, "KILL"]);
  waitUntil(() => !isAlive(pid) && !isAlive(joined), "its processes have ended");
  expect(statusOf(id)).toBe("stopped");
  deleteUnit(container);
});

test("a container with a user namespace of its own is moved before it executes, and others join it", () => {
  const maps = [{ containerID: 0, hostID: 100_000, size: 1000 }];
  const container = startUnit(({ linux, root }) => {
    linux.namespaces.push({ type: "user" });
    linux.uidMappings = maps;
    linux.gidMappings = maps;
    root.readonly = false;
  });
  expect(read(container, "cgroup.procs")).toBe(String(container.pid));
  expect(berth(["exec", container.id, "/bin/cat", "/proc/self/cgroup"])).toMatchObject({
    status: 0,
    stdout: "0::/\n",
    stderr: "",
  });
  deleteUnit(container);
});

test("without a bus, root reaches systemd over its own socket", () => {
  const { path } = makeBundle((config) => {
    config.linux.cgroupsPath = "";
  });
  const env = { PATH: process.env.PATH ?? "", DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/no/such/socket" };
  expect(berth(["--systemd-cgroup", "run", "--bundle", path, newId()], { env })).toMatchObject({
    status: 0,
    stderr: "",
  });
});

test("a paused container is deleted by force", () => {
  const container = startUnit();
  succeed(["pause", container.id]);
  deleteUnit(container);
  expect(isAlive(container.pid)).toBe(false);
});

test.each([["--systemd-cgroup"], ["--cgroup-manager=systemd"]])(
  "run %s: its status, and no unit after it",
  (flag) => {
    const id = newId();
    const bundle = makeBundle((config) => {
      config.linux.cgroupsPath = "";
      config.process.args = ["/bin/sh", "-c", "cat /proc/self/cgroup; exit 3"];
    });
    expect(berth([flag, "run", "--bundle", bundle.path, id])).toMatchObject({
      status: 3,
      stdout: "0::/\n",
      stderr: "",
    });
    expect(show(`berth-${id}.scope`, "LoadState").LoadState).toBe("not-found");
  },
);

test("systemctl stop ends the container, and delete takes it away", () => {
  const container = startUnit(script("trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"));
  waitUntil(() => container.output() === "ready\n", "it waits for its signal");
  systemctl("stop", container.unit);
  expect(statusOf(container.id)).toBe("stopped");
  succeed(["delete", container.id]);
});

test("a unit that failed leaves its name to the next container", () => {
  const limited = (config: Config) => {
    config.linux.cgroupsPath = inSlice("", mark);
    config.linux.resources = { ...config.linux.resources, memory: { limit: 16 << 20, swap: 16 << 20 } };
    config.process.args = ["/bin/sh", "-c", "x=a; while :; do x=$x$x; done"];
  };
  const container = startUnit(limited);
  waitUntil(() => statusOf(container.id) === "stopped", "it was killed for its memory");
  succeed(["delete", container.id]);
  const next = startUnit((config) => {
    config.linux.cgroupsPath = inSlice("", mark);
  });
  expect(next.unit).toBe(container.unit);
  deleteUnit(next);
});

test("a unit that is there is refused, and stays as it was", () => {
  const container = startUnit();
  const error = refusal((config) => {
    config.linux.cgroupsPath = inSlice("", container.id);
  });
  expect(error).toMatch(/systemd unit "berthtest-.+\.scope" is there already, and active\nhint: /);
  expect(isAlive(container.pid)).toBe(true);
  expect(statusOf(container.id)).toBe("running");
  deleteUnit(container);
});

test("an id that is taken is refused as ever", () => {
  const container = startUnit(withoutPath);
  const error = refuse(["--systemd-cgroup", "create", "--bundle", container.bundle.path, container.id]);
  expect(error).toContain("container with given ID already exists");
  expect(activeState(container.unit)).toBe("active");
  deleteUnit(container);
});

test("a creation that fails after the unit was made takes it back", () => {
  const error = refusal((config) => {
    config.mounts.push({ destination: "/x", type: "none", source: "/no/such/source", options: ["bind"] });
  });
  expect(error).toContain("/no/such/source");
  expect(units()).toEqual([]);
});

test("a limit that the kernel refuses takes the unit back", () => {
  const error = refusal((config) => {
    config.linux.resources = { ...config.linux.resources, cpu: { cpus: "100-101" } };
  });
  expect(error).toContain("linux.resources.cpu.cpus");
  expect(units()).toEqual([]);
});

test("a start that fails takes the unit back", () => {
  const { path } = makeBundle((config) => {
    config.linux.cgroupsPath = "";
    config.process.args = ["/no/such/program"];
  });
  refuse(["--systemd-cgroup", "run", "--bundle", path, newId()]);
  expect(units()).toEqual([]);
});

test("init that ends during its creation leaves no unit", () => {
  const error = refusal((config) => {
    const killInit = "kill -9 $(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/')";
    config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", killInit] }] };
  });
  // Who sees its end first, says so.
  expect(error).toMatch(/killed by signal 9|hooks\.createRuntime\[0\]/);
  expect(units()).toEqual([]);
});

test("the path of a cgroup is refused, with the form that is wanted", () => {
  const error = refusal((config) => {
    config.linux.cgroupsPath = "/berth/x";
  });
  expect(error).toContain('of format "slice:prefix:name" for systemd cgroups');
});

test("a container that may make cgroups does so below its scope", () => {
  const container = startUnit(script("id -u; mkdir /sys/fs/cgroup/a && echo made; sleep 1000"), (config) => {
    config.process.user = { uid: 1000, gid: 1000 };
    for (const { destination, options } of config.mounts) {
      if (destination === "/sys/fs/cgroup") options?.splice(options.indexOf("ro"), 1);
    }
  });
  waitUntil(() => container.output().includes("made"), "it has made one");
  expect(existsSync(`${container.cgroup}/a`)).toBe(true);
  systemctl("daemon-reload");
  expect(existsSync(`${container.cgroup}/a`)).toBe(true);
  deleteUnit(container);
});

test("devices: systemd allows what config.json does, and berth decides exactly", () => {
  const container = startUnit(
    script(
      "head -c 1 /dev/zero | wc -c; cat /dev/mem 2>&1 | head -1; mknod /dev/k c 1 11 && cat /dev/k; sleep 1000",
    ),
    (config) => {
      config.linux.resources = {
        devices: [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 1, minor: 1, access: "m" },
        ],
      };
      const capabilities = ["CAP_MKNOD"];
      config.process.capabilities = {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
      };
      config.linux.devices = [{ path: "/dev/mem", type: "c", major: 1, minor: 1 }];
    },
  );
  waitUntil(() => container.output().split("\n").length > 2, "it has tried");
  expect(container.output()).toBe("1\ncat: can't open '/dev/mem': Operation not permitted\n");
  expect(show(container.unit, "DevicePolicy").DevicePolicy).toBe("strict");
  expect(systemctl("show", "--property=DeviceAllow", container.unit)).toContain("/dev/char/1:3 rwm");
  // Also after systemd has put its own program there anew.
  systemctl("daemon-reload");
  expect(
    berth(["exec", container.id, "/bin/sh", "-c", "head -c 1 /dev/zero | wc -c; cat /dev/mem"]),
  ).toMatchObject({
    stdout: "1\n",
    status: 1,
  });
  deleteUnit(container);
});

test("the tests' own unit is none the worse for it", () => {
  writeFileSync("/dev/null", "x");
  expect(readFileSync("/proc/self/cgroup", "utf8")).toBe("0::/system.slice/berth-vm.service\n");
});
