import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { cgroup2Mount, ownCgroup } from "../../src/cgroups/hierarchy.ts";
import { v1Hierarchies } from "../../src/cgroups/v1/hierarchies.ts";
import type { DeviceRule } from "../../src/spec/resources.ts";
import { type Config, directory, makeBundle, newId, runScript, waitUntil } from "../bundle.ts";
import { runThrough } from "../caller.ts";
import {
  createContainer,
  forever,
  script,
  startContainer,
  stateOf,
  statusOf,
  succeed,
} from "../container.ts";

const mount = cgroup2Mount();
/** The parent of all cgroups of this file. */
const top = `/${basename(directory)}`;

/** Of a process, in the v2 hierarchy. */
const cgroupOf = (pid: number | "self") =>
  /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1];
const members = (path: string) =>
  readFileSync(`${mount}${path}/cgroup.procs`, "utf8").trim().split("\n").map(Number);
const read = (path: string, file: string) => readFileSync(`${mount}${path}/${file}`, "utf8").trim();
const at = (path: string) => (config: Config) => {
  config.linux.cgroupsPath = path;
};

/** Removes a cgroup that a test made outside of its parent directory. */
function withCgroup(path: string, use: () => void): void {
  mkdirSync(`${mount}${path}`, { recursive: true });
  try {
    use();
  } finally {
    rmdirSync(`${mount}${path}`);
  }
}

describe("membership", () => {
  test("init is in the cgroup of cgroupsPath from the start, alone", () => {
    const { id, pid } = createContainer(forever, at(`${top}/a/b`));
    try {
      expect(cgroupOf(pid)).toBe(`${top}/a/b`);
      expect(members(`${top}/a/b`)).toEqual([pid]);
    } finally {
      succeed(["delete", "--force", id]);
    }
    expect(existsSync(`${mount}${top}/a/b`)).toBe(false);
    for (const point of [mount, ...v1Hierarchies().map(({ mount }) => mount)]) rmdirSync(`${point}${top}/a`);
  });

  test("its children are in there too, and see it as their root", () => {
    const { stdout } = runScript("grep ^0:: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | wc -l");
    // The shell, cat and wc.
    expect(stdout).toBe("0::/\n3\n");
  });

  test("without a cgroup namespace it is seen as the host sees it, and mounted as such", () => {
    const { stdout } = runScript(`grep ^0:: /proc/self/cgroup; ls -d /sys/fs/cgroup${top}`, (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
      config.linux.cgroupsPath = `${top}/seen`;
    });
    expect(stdout).toBe(`0::${top}/seen\n/sys/fs/cgroup${top}\n`);
  });

  test("a relative cgroupsPath lies beside berth's own cgroup, none is the container's id", () => {
    const own = ownCgroup();
    const parent = own.slice(0, own.lastIndexOf("/"));
    const name = `${basename(directory)}-relative`;
    for (const [path, expected] of [
      [`${name}/x`, `${parent}/${name}/x`],
      ["", undefined],
    ] as const) {
      const { id, pid } = createContainer(forever, at(path));
      try {
        expect(cgroupOf(pid)).toBe(expected ?? `/${id}`);
      } finally {
        succeed(["delete", "--force", id]);
      }
      expect(existsSync(`${mount}${expected ?? `/${id}`}`)).toBe(false);
    }
    rmdirSync(`${mount}${parent}/${name}`);
    for (const { mount, own } of v1Hierarchies()) rmdirSync(`${mount}${own}/${name}`);
  });

  test.for([
    ["/../escape", 'a path without ".."'],
    ["/", "names no cgroup of its own"],
    ["system.slice:berth:x", "systemd cgroup driver"],
  ] as const)("cgroupsPath %s is refused", ([path, reason]) => {
    const { status, stderr } = runScript("true", at(path));
    expect(status).toBe(1);
    expect(stderr).toContain(`linux.cgroupsPath`);
    expect(stderr).toContain(reason);
  });

  test("--cgroup-manager=disabled leaves the container in the caller's", () => {
    withCgroup(`${top}-caller`, () => {
      const bundle = makeBundle((config) => {
        config.process.args = ["/bin/cat", "/proc/self/cgroup"];
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
      });
      const { stdout, stderr } = runThrough(
        `echo 0 > ${mount}${top}-caller/cgroup.procs; exec "$@"`,
        bundle,
        { globals: ["--cgroup-manager=disabled"] },
      );
      expect(stderr).toBe("");
      expect(/^0::(.*)$/m.exec(stdout)?.[1]).toBe(`${top}-caller`);
      expect(existsSync(mount + bundle.config.linux.cgroupsPath)).toBe(false);
    });
  });

  test("with a user namespace it is the same", () => {
    const bundle = makeBundle((config) => {
      forever(config);
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
    });
    const id = newId();
    succeed(["create", "--bundle", bundle.path, id]);
    try {
      expect(cgroupOf(stateOf(id).pid)).toBe(bundle.config.linux.cgroupsPath);
    } finally {
      succeed(["delete", "--force", id]);
    }
  });
});

describe("a cgroup that is there already", () => {
  const path = `${top}/there`;

  test("is taken when nobody is in it, and removed with the container", () => {
    mkdirSync(`${mount}${path}`, { recursive: true });
    const { id, pid } = createContainer(forever, at(path));
    expect(members(path)).toEqual([pid]);
    succeed(["delete", "--force", id]);
    expect(existsSync(`${mount}${path}`)).toBe(false);
  });

  test("is refused when somebody is in it, and left as it is", async () => {
    mkdirSync(`${mount}${path}`, { recursive: true });
    const child = Bun.spawn(["sleep", "1000"], { cwd: directory });
    try {
      writeFileSync(`${mount}${path}/cgroup.procs`, String(child.pid));
      const { status, stderr } = runScript("true", at(path));
      expect(status).toBe(1);
      expect(stderr).toContain("container's cgroup is not empty: 1 process(es) found");
      expect(members(path)).toEqual([child.pid]);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
      rmdirSync(`${mount}${path}`);
    }
  });

  test.for([path, `${path}/below`])(
    "is refused when %s is asked for and the upper one is frozen",
    (wanted) => {
      mkdirSync(`${mount}${wanted}`, { recursive: true });
      try {
        writeFileSync(`${mount}${path}/cgroup.freeze`, "1");
        const { status, stderr } = runScript("true", at(wanted));
        expect(status).toBe(1);
        expect(stderr).toContain("container's cgroup unexpectedly frozen");
      } finally {
        if (wanted !== path) rmdirSync(`${mount}${wanted}`);
        rmdirSync(`${mount}${path}`);
      }
    },
  );

  test("of another container is refused", () => {
    const { id } = startContainer(forever, at(path));
    try {
      expect(runScript("true", at(path)).stderr).toContain("container's cgroup is not empty");
      expect(statusOf(id)).toBe("running");
    } finally {
      succeed(["delete", "--force", id]);
    }
  });
});

describe("removal", () => {
  const writable = (config: Config) => {
    for (const each of config.mounts)
      if (each.type === "cgroup2") each.options = ["nosuid", "noexec", "nodev", "rw"];
  };

  test("takes cgroups along that the container made, with the processes in them", () => {
    const { id, output } = startContainer(
      writable,
      at(`${top}/nested`),
      script(
        "cd /sys/fs/cgroup && mkdir -p x/y z && sleep 1000 & cd /sys/fs/cgroup; " +
          "while [ ! -d z ]; do sleep 0.01; done; echo $! > x/y/cgroup.procs && echo done; exec sleep 1000",
      ),
    );
    waitUntil(() => output() === "done\n", "the container has made its cgroups");
    expect(read(`${top}/nested/x/y`, "cgroup.procs")).not.toBe("");
    succeed(["delete", "--force", id]);
    expect(existsSync(`${mount}${top}/nested`)).toBe(false);
  });

  test("happens after the container has ended by itself, and after run", () => {
    expect(
      runScript("mkdir /sys/fs/cgroup/a /sys/fs/cgroup/a/b", (config) => {
        writable(config);
        config.linux.cgroupsPath = `${top}/ended`;
      }),
    ).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(`${mount}${top}/ended`)).toBe(false);
  });

  test("a read-only mount lets the container make none", () => {
    const { status, stderr } = runScript("mkdir /sys/fs/cgroup/a");
    expect(status).toBe(1);
    expect(stderr).toContain("Read-only file system");
  });
});

describe("linux.resources.devices", () => {
  // The last one to read /dev/kmsg.
  const names = ["CAP_MKNOD", "CAP_SYSLOG"];
  /** With these rules, in a /dev that can be written. */
  const rules = (devices: DeviceRule[] | undefined) => (config: Config) => {
    config.process.capabilities = { bounding: names, effective: names, permitted: names };
    config.mounts.push({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["dev"] });
    config.linux.resources = devices === undefined ? {} : { devices };
  };
  const DENY_ALL: DeviceRule = { allow: false, access: "rwm" };
  /** Says for reading, writing and making this device whether they work. */
  const tries = (type: string, major: number, minor: number) =>
    [
      `if mknod /mnt/d ${type} ${major} ${minor} 2> /dev/null; then echo made; else echo no node; fi`,
      "if (: < /mnt/d) 2> /dev/null; then echo r; fi",
      "if (: > /mnt/d) 2> /dev/null; then echo w; fi",
      "rm -f /mnt/d",
    ].join("; ");
  const attempt = (type: string, major: number, minor: number, devices: DeviceRule[] | undefined) =>
    runScript(tries(type, major, minor), rules(devices))
      .stdout.trim()
      .split("\n")
      .join(" ");

  test.for([
    ["null", 3],
    ["zero", 5],
    ["full", 7],
    ["random", 8],
    ["urandom", 9],
  ] as const)("deny all leaves /dev/%s", ([, minor]) => {
    expect(attempt("c", 1, minor, [DENY_ALL])).toMatch(minor === 7 ? /^made r( w)?$/ : /^made r w$/);
  });

  test("deny all: other nodes can be made, and not opened", () => {
    // 1:11 is /dev/kmsg.
    expect(attempt("c", 1, 11, [DENY_ALL])).toBe("made");
    const { stderr } = runScript("mknod /mnt/d c 1 11; cat /mnt/d", rules([DENY_ALL]));
    expect(stderr).toContain("Operation not permitted");
  });

  test("no rules at all deny as well", () => {
    expect(attempt("c", 1, 11, undefined)).toBe("made");
    expect(attempt("c", 1, 11, [])).toBe("made");
  });

  test("an allowed device can be opened", () => {
    expect(
      attempt("c", 1, 11, [DENY_ALL, { allow: true, type: "c", major: 1, minor: 11, access: "rw" }]),
    ).toBe("made r w");
    expect(attempt("c", 1, 11, [DENY_ALL, { allow: true, type: "c", major: 1, access: "rw" }])).toBe(
      "made r w",
    );
    expect(attempt("c", 1, 11, [DENY_ALL, { allow: true, access: "rwm" }])).toBe("made r w");
  });

  test("read alone, or write alone", () => {
    const only = (access: string) => [
      DENY_ALL,
      { allow: true, type: "c" as const, major: 1, minor: 11, access },
    ];
    expect(attempt("c", 1, 11, only("r"))).toBe("made r");
    expect(attempt("c", 1, 11, only("w"))).toBe("made w");
  });

  test("another kind or number is not meant", () => {
    expect(
      attempt("c", 1, 11, [DENY_ALL, { allow: true, type: "b", major: 1, minor: 11, access: "rwm" }]),
    ).toBe("made");
    expect(
      attempt("c", 1, 11, [DENY_ALL, { allow: true, type: "c", major: 1, minor: 12, access: "rwm" }]),
    ).toBe("made");
  });

  test("the last rule that matches wins", () => {
    const kmsg = { type: "c", major: 1, minor: 11 } as const;
    expect(
      attempt("c", 1, 11, [
        { allow: true, access: "rwm" },
        { allow: false, ...kmsg, access: "w" },
      ]),
    ).toBe("made r");
    expect(
      attempt("c", 1, 11, [
        DENY_ALL,
        { allow: true, ...kmsg, access: "rw" },
        { allow: false, ...kmsg, access: "rw" },
      ]),
    ).toBe("made");
  });

  test("the defaults cannot be denied", () => {
    expect(
      attempt("c", 1, 3, [DENY_ALL, { allow: false, type: "c", major: 1, minor: 3, access: "rwm" }]),
    ).toBe("made r w");
  });

  test("net/tun is allowed: it opens, or there is no such driver here", () => {
    const { stderr } = runScript("mknod /mnt/d c 10 200; cat < /mnt/d", rules([DENY_ALL]));
    expect(stderr).not.toContain("Operation not permitted");
    expect(runScript("mknod /mnt/d c 10 201; cat < /mnt/d", rules([DENY_ALL])).stderr).toContain(
      "Operation not permitted",
    );
  });

  test("hold for cgroups that the container makes in its own", () => {
    const { stdout } = runScript(
      "mkdir /sys/fs/cgroup/a && echo 1 > /sys/fs/cgroup/a/cgroup.procs && mknod /mnt/d c 1 11; (: < /mnt/d) 2> /dev/null || echo denied",
      (config) => {
        rules([DENY_ALL])(config);
        for (const each of config.mounts) if (each.type === "cgroup2") each.options = ["rw"];
      },
    );
    expect(stdout).toBe("denied\n");
  });
});

test("pause stops every process of the container, resume lets them go on", () => {
  const { id } = startContainer(script("while :; do :; done & while :; do :; done"), at(`${top}/paused`));
  /** The clock ticks that each of its processes has used. */
  const ticks = () =>
    members(`${top}/paused`).map((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
      return Number(fields[11]) + Number(fields[12]);
    });
  const haveAllRun = (since: readonly number[]) => ticks().every((count, i) => count > (since[i] ?? 0));
  try {
    waitUntil(() => members(`${top}/paused`).length === 2 && haveAllRun([0, 0]), "both processes run");
    succeed(["pause", id]);
    expect(statusOf(id)).toBe("paused");
    expect(read(`${top}/paused`, "cgroup.events")).toContain("frozen 1");
    const paused = ticks();
    // A process beside them gets time meanwhile, so they would as well.
    Bun.spawnSync(["sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"]);
    expect(ticks()).toEqual(paused);
    succeed(["resume", id]);
    expect(statusOf(id)).toBe("running");
    waitUntil(() => haveAllRun(paused), "both processes run again");
  } finally {
    succeed(["delete", "--force", id]);
  }
});

test("a paused container is killed by delete --force", () => {
  const { id } = startContainer(forever, at(`${top}/killed`));
  succeed(["pause", id]);
  succeed(["delete", "--force", id]);
  expect(existsSync(`${mount}${top}/killed`)).toBe(false);
});
