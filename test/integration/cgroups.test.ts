import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Cgroup, createCgroup, creationSteps, undoCgroup } from "../../src/cgroups/create.ts";
import { cgroupEvents, waitForEvents } from "../../src/cgroups/events.ts";
import { freeze, isFrozen, thaw } from "../../src/cgroups/freeze.ts";
import { cgroup2InMountinfo, cgroup2Mount, ownCgroup, v1Controllers } from "../../src/cgroups/hierarchy.ts";
import { kill, killEach } from "../../src/cgroups/kill.ts";
import { members } from "../../src/cgroups/members.ts";
import type { CgroupPlace } from "../../src/cgroups/path.ts";
import { remove } from "../../src/cgroups/remove.ts";
import { O_RDWR } from "../../src/linux/constants.ts";
import { close, open } from "../../src/linux/file.ts";
import { scratch } from "../../src/linux/memory.ts";
import { syscall } from "../../src/linux/native.ts";
import { perform } from "../../src/plan/perform.ts";
import { bunCommand } from "../engine.ts";
import { waitUntil } from "../wait.ts";

const mount = cgroup2Mount();
const top: CgroupPlace = { mount, path: `/berth-test-cgroups-${process.pid}` };
const at = (name: string): CgroupPlace => ({ mount, path: `${top.path}/${name}` });
const directory = ({ path }: CgroupPlace) => mount + path;
const read = (place: CgroupPlace, file: string) => readFileSync(`${directory(place)}/${file}`, "utf8").trim();
const write = (place: CgroupPlace, file: string, value: string | number) =>
  writeFileSync(`${directory(place)}/${file}`, String(value));

beforeEach(() => {
  mkdirSync(directory(top));
});

afterEach(() => {
  remove(top);
  expect(existsSync(directory(top))).toBe(false);
});

/** Starts a process in a cgroup. */
function start(place: CgroupPlace, ...command: string[]) {
  const child = Bun.spawn(
    ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', directory(place), ...command],
    {
      stdio: ["ignore", "ignore", "ignore"],
    },
  );
  waitUntil(() => members(place).includes(child.pid), "the process is in the cgroup");
  return child;
}

/** The clock ticks that a process has used; they stand still while it does. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

/** Returns once a process stays in an uninterruptible wait; a short one is ordinary. */
function waitUntilStuck(pid: number): void {
  let seen = 0;
  waitUntil(() => {
    seen = readFileSync(`/proc/${pid}/stat`, "utf8").includes(") D ") ? seen + 1 : 0;
    return seen === 10;
  }, "the process is stuck");
}

function created(place: CgroupPlace): Cgroup {
  const cgroup = createCgroup(place);
  close(cgroup.directory);
  return cgroup;
}

describe("the host", () => {
  test("has its cgroup2 where mountinfo says", () => {
    expect(mount).toBe(cgroup2InMountinfo(readFileSync("/proc/self/mountinfo", "utf8")));
  });

  test("shows the own cgroup", () => {
    const pids = readFileSync(`${mount}${ownCgroup()}/cgroup.procs`, "utf8").split("\n");
    expect(pids).toContain(String(process.pid));
  });

  test("binds to v1 what its cgroup2 does not have", () => {
    const v2 = readFileSync(`${mount}/cgroup.controllers`, "utf8").trim().split(" ");
    expect(v1Controllers().filter((name) => v2.includes(name))).toEqual([]);
    const hybrid = readFileSync("/proc/self/mountinfo", "utf8").includes(" - cgroup cgroup rw,pids");
    expect(v1Controllers().includes("pids")).toBe(hybrid);
  });
});

describe("create", () => {
  test("makes what is missing, and says what that was", () => {
    mkdirSync(directory(at("a")));
    const cgroup = created(at("a/b/c"));
    expect(cgroup.made).toEqual([at("a/b").path, at("a/b/c").path]);
    expect(read(cgroup, "cgroup.type")).toBe("domain");
  });

  test("takes an empty cgroup that is there", () => {
    mkdirSync(directory(at("a")));
    expect(created(at("a")).made).toEqual([]);
  });

  test("opens a descriptor of the cgroup", () => {
    const cgroup = createCgroup(at("a"));
    expect(readdirSync(`/proc/self/fd/${cgroup.directory}`)).toContain("cgroup.procs");
    close(cgroup.directory);
  });

  test("does what explain prints", () => {
    const cgroup = at("a/b");
    perform(creationSteps(cgroup));
    expect(created(cgroup).made).toEqual([]);
  });

  test("refuses a cgroup with processes, also below it", () => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    start(at("a/b"), "sleep", "1000");
    start(at("a/b"), "sleep", "1000");
    expect(() => createCgroup(at("a"))).toThrow(
      `linux.cgroupsPath "${at("a").path}": container's cgroup is not empty: 2 process(es) found`,
    );
    expect(members(at("a"))).toHaveLength(2);
  });

  test.each(["itself", "above"])(
    "refuses a cgroup that is frozen, by %s, and leaves nothing of it",
    (where) => {
      mkdirSync(directory(at("a")));
      write(at("a"), "cgroup.freeze", 1);
      const place = where === "above" ? at("a/b/c") : at("a");
      expect(() => createCgroup(place)).toThrow("container's cgroup unexpectedly frozen");
      expect(existsSync(directory(at("a")))).toBe(true);
      expect(existsSync(directory(at("a/b")))).toBe(false);
    },
  );

  test("refuses a place below a threaded cgroup", () => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    write(at("a/b"), "cgroup.type", "threaded");
    expect(() => createCgroup(at("a/b/c"))).toThrow('the cgroup is of type "domain invalid"');
    expect(existsSync(directory(at("a/b/c")))).toBe(false);
    expect(() => createCgroup(at("a/b"))).toThrow('the cgroup is of type "threaded"');
  });

  test("says why a cgroup cannot be made, and takes back those above it", () => {
    mkdirSync(directory(at("a")));
    write(at("a"), "cgroup.max.depth", 1);
    expect(() => createCgroup(at("a/b/c"))).toThrow(
      `linux.cgroupsPath: make cgroup "${at("a/b/c").path}": resource temporarily unavailable`,
    );
    expect(existsSync(directory(at("a/b")))).toBe(false);
  });

  test("refuses a path over which something is mounted", () => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    const script = `
      mount -t tmpfs tmpfs "${directory(at("a"))}"
      exec "$@" -e 'await import("${import.meta.dirname}/../../src/cgroups/create.ts").then((m) => m.createCgroup({ mount: "${mount}", path: "${at("a/b").path}" }))'
    `;
    const { stderr, exitCode } = Bun.spawnSync(["unshare", "-m", "sh", "-ec", script, "sh", ...bunCommand]);
    expect(stderr.toString()).toContain(`open cgroup "${at("a/b").path}": invalid cross-device link`);
    expect(exitCode).not.toBe(0);
  });

  test("is undone with its processes and what they made", async () => {
    mkdirSync(directory(at("a")));
    const cgroup = createCgroup(at("a/b/c"));
    const child = start(cgroup, "sleep", "1000");
    mkdirSync(`${directory(cgroup)}/x/y`, { recursive: true });
    undoCgroup(cgroup);
    expect(readdirSync(directory(at("a"))).filter((name) => name === "b")).toEqual([]);
    expect(existsSync(directory(at("a")))).toBe(true);
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
  });

  test("undone, leaves a cgroup that was there, without its processes", async () => {
    mkdirSync(directory(at("a")));
    const cgroup = createCgroup(at("a"));
    const child = start(cgroup, "sleep", "1000");
    undoCgroup(cgroup);
    await child.exited;
    expect(existsSync(directory(at("a")))).toBe(true);
    expect(members(at("a"))).toEqual([]);
  });
});

describe("freeze", () => {
  const SPIN = ["sh", "-c", "while :; do :; done"];

  test("stops every process, also in cgroups below, until thawed", () => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    const children = [start(at("a"), ...SPIN), start(at("a/b"), ...SPIN)];
    const used = () => children.map(({ pid }) => ticks(pid));
    expect(isFrozen(at("a"))).toBe(false);
    freeze(at("a"));
    expect(isFrozen(at("a"))).toBe(true);
    expect(isFrozen(at("a/b"))).toBe(true);
    const before = used();
    Bun.sleepSync(100);
    expect(used()).toEqual(before);
    thaw(at("a"));
    expect(isFrozen(at("a"))).toBe(false);
    waitUntil(() => used().every((ticks, i) => ticks > (before[i] ?? 0)), "all run again");
  });

  test("an empty cgroup is frozen as well", () => {
    freeze(top);
    expect(isFrozen(top)).toBe(true);
    thaw(top);
  });

  test("gives up on a process that cannot be stopped, names it, and lets all run again", async () => {
    // A file system whose server never answers: whoever looks at it waits in the kernel.
    mkdirSync(directory(at("a")));
    const server = open("/dev/fuse", O_RDWR);
    const target = Bun.spawnSync(["mktemp", "-d"]).stdout.toString().trim();
    const memory = scratch();
    const [source, path, type] = [
      memory.text("berth-test"),
      memory.text(target),
      memory.text("fuse.berth-test"),
    ];
    const options = memory.text(`fd=${server},rootmode=40000,user_id=0,group_id=0`);
    expect(syscall("mount", source, path, type, 0, options)).toBe(0);
    try {
      const child = start(at("a"), "cat", `${target}/file`);
      waitUntilStuck(child.pid);
      expect(() => freeze(at("a"), 100)).toThrow(
        expect.objectContaining({
          code: "not-frozen",
          message: `freeze cgroup "${at("a").path}": not all of its processes stopped within 0.1 s`,
          hint: expect.stringContaining(`pid ${child.pid} (cat)`),
        }),
      );
      expect(read(at("a"), "cgroup.freeze")).toBe("0");
    } finally {
      // Without its server, the file system lets go of everyone.
      close(server);
      Bun.spawnSync(["umount", "-l", target]);
      rmdirSync(target);
    }
  });

  test("thaw says so when a cgroup above stays frozen", () => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    write(at("a"), "cgroup.freeze", 1);
    expect(() => thaw(at("a/b"), 20)).toThrow(expect.objectContaining({ code: "still-frozen" }));
  });

  test("a cgroup that is gone is not frozen", () => {
    expect(isFrozen(at("gone"))).toBe(false);
    expect(() => freeze(at("gone"))).toThrow("no such file or directory");
  });
});

describe("members", () => {
  test("are listed from all cgroups below, once, in order", () => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    mkdirSync(directory(at("a/c")));
    const pids = ["a/b", "a", "a/c"].map((name) => start(at(name), "sleep", "1000").pid);
    expect(members(at("a"))).toEqual(pids.sort((a, b) => a - b));
  });

  test("are listed when a cgroup below is threaded", () => {
    mkdirSync(directory(at("a/threads")), { recursive: true });
    const { pid } = start(at("a"), "sleep", "1000");
    write(at("a/threads"), "cgroup.type", "threaded");
    write(at("a/threads"), "cgroup.threads", pid);
    expect(members(at("a"))).toEqual([pid]);
  });

  test("there are none in a cgroup that is gone", () => {
    expect(members(at("gone"))).toEqual([]);
  });
});

describe.each([
  ["cgroup.kill", kill],
  ["one by one", killEach],
])("kill by %s", (_, kill) => {
  test.each([false, true])("ends every process; frozen: %s", async (frozen) => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    const children = [start(at("a"), "sleep", "1000"), start(at("a/b"), "sleep", "1000")];
    if (frozen) freeze(at("a"));
    kill(at("a"));
    await Promise.all(children.map(({ exited }) => exited));
    expect(children.map(({ signalCode }) => signalCode)).toEqual(["SIGKILL", "SIGKILL"]);
    expect(cgroupEvents(at("a"))?.populated).toBe(false);
  });

  test("does nothing in a cgroup that is gone", () => {
    expect(() => kill(at("gone"))).not.toThrow();
  });
});

test("kill reaches a threaded cgroup's processes through its domain", async () => {
  mkdirSync(directory(at("a/threads")), { recursive: true });
  const child = start(at("a"), "sleep", "1000");
  write(at("a/threads"), "cgroup.type", "threaded");
  write(at("a/threads"), "cgroup.threads", child.pid);
  expect(() => kill(at("a/threads"))).not.toThrow();
  kill(at("a"));
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
});

describe("remove", () => {
  test("removes a cgroup with all below it, and kills who is left, frozen or not", async () => {
    mkdirSync(directory(at("a/b/c/d")), { recursive: true });
    mkdirSync(directory(at("a/e")));
    const children = [start(at("a/b/c/d"), "sleep", "1000"), start(at("a/e"), "sleep", "1000")];
    freeze(at("a/e"));
    remove(at("a/b"));
    expect(existsSync(directory(at("a/b")))).toBe(false);
    expect(isFrozen(at("a/e"))).toBe(true);
    remove(at("a"));
    expect(existsSync(directory(at("a")))).toBe(false);
    await Promise.all(children.map(({ exited }) => exited));
  });

  test("waits for many processes to die", () => {
    mkdirSync(directory(at("a")));
    for (let i = 0; i < 30; i++) start(at("a"), "sleep", "1000");
    remove(at("a"));
    expect(existsSync(directory(at("a")))).toBe(false);
  });

  test("leaves the cgroups above, and does not mind one that is gone", () => {
    mkdirSync(directory(at("a/b")), { recursive: true });
    remove(at("a/b"));
    remove(at("a/b"));
    expect(existsSync(directory(at("a")))).toBe(true);
  });
});

test("who waits for events of a cgroup learns that it was removed", () => {
  const place = created(at("short-lived"));
  const removal = Bun.spawn(["sh", "-c", `sleep 0.1; rmdir ${directory(place)}`]);
  // Nobody would wait as long as this: without an end of the test there is no success.
  expect(waitForEvents(place, (events) => events === undefined, 1_000_000)).toBe(true);
  expect(existsSync(directory(place))).toBe(false);
  removal.unref();
});
