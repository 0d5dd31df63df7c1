import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import {
  type Bundle,
  berth,
  directory,
  leftovers,
  makeBundle,
  newId,
  runScript,
  stateRoot,
  waitUntil,
} from "../bundle.ts";
import {
  createContainer,
  forever,
  isAlive,
  refuse,
  script,
  spawnBerth,
  startContainer,
  stateOf,
  statusOf,
  succeed,
  withoutPidNamespace,
} from "../container.ts";

/** Waits for the end of a container's init. */
function awaitStop(id: string): void {
  waitUntil(() => statusOf(id) === "stopped", `container ${id} has stopped`);
}

/** A file of a container's cgroup. */
const cgroupFile = ({ config }: Bundle, name: string) =>
  `${cgroup2Mount()}${config.linux.cgroupsPath}/${name}`;
const json = (text: string) => JSON.parse(text) as unknown;
/** The processes of a container, as the host numbers them. */
const processes = (id: string) => json(succeed(["ps", "--format", "json", id])) as number[];

describe("a life", () => {
  test("created, running, stopped, gone", () => {
    const { id, pid, bundle } = createContainer(forever);
    const common = {
      ociVersion: "1.3.0",
      id,
      bundle: bundle.path,
      rootfs: bundle.rootfs,
      created: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/),
      owner: "",
    };
    expect(pid).toBeGreaterThan(0);
    expect(stateOf(id)).toEqual({ ...common, pid, status: "created" });
    // The program is not executed yet: what waits is the executor, which holds no file of the host's.
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).not.toContain("sleep");

    succeed(["start", id]);
    expect(stateOf(id)).toEqual({ ...common, pid, status: "running" });
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe("/bin/sleep\x001000\0");

    succeed(["kill", id, "KILL"]);
    awaitStop(id);
    expect(stateOf(id)).toEqual({ ...common, pid: 0, status: "stopped" });
    expect(isAlive(pid)).toBe(false);

    succeed(["delete", id]);
    expect(refuse(["state", id])).toContain("container does not exist");
    expect(leftovers()).toEqual([]);
  });

  test("the program runs at start, not at create", () => {
    const { id, output } = createContainer(script("echo ran"));
    expect(output()).toBe("");
    succeed(["start", id]);
    waitUntil(() => output() === "ran\n", "the program has run");
    awaitStop(id);
    succeed(["delete", id]);
  });

  test("list shows each with its status", () => {
    const created = createContainer(forever);
    const running = startContainer(forever);
    const paused = startContainer(forever);
    succeed(["pause", paused.id]);
    const stopped = startContainer(forever);
    succeed(["kill", stopped.id, "KILL"]);
    awaitStop(stopped.id);
    const expected = [
      { id: created.id, pid: created.pid, status: "created", owner: "root" },
      { id: running.id, pid: running.pid, status: "running", owner: "root" },
      { id: paused.id, pid: paused.pid, status: "paused", owner: "root" },
      { id: stopped.id, pid: 0, status: "stopped", owner: "root" },
    ];
    const listed = json(succeed(["list", "--format", "json"]));
    expect(listed).toHaveLength(4);
    expect(listed).toEqual(expect.arrayContaining(expected.map((entry) => expect.objectContaining(entry))));
    const table = succeed(["list"]).split("\n");
    expect(table[0]).toMatch(/^ID +PID +STATUS +BUNDLE +CREATED +OWNER/);
    for (const { id, pid, status } of expected) {
      expect(table).toContainEqual(expect.stringMatching(new RegExp(`^${id} +${pid} +${status} `)));
    }
    for (const { id } of expected) succeed(["delete", "--force", id]);
    expect(json(succeed(["list", "--format", "json"]))).toBeNull();
  });

  test("state tells the annotations of config.json", () => {
    const annotations = { "org.example.key": "value", empty: "" };
    const { id } = createContainer((config) => Object.assign(config, { annotations }));
    expect(stateOf(id).annotations).toEqual(annotations);
    succeed(["delete", id]);
  });

  test("config.json is copied: to change the bundle afterwards changes nothing", () => {
    const mark = join(directory, `poststop-${newId()}`);
    const { id, bundle, output } = createContainer(script("echo old"), (config) => {
      config.hooks = { poststop: [{ path: "/bin/sh", args: ["sh", "-c", `echo old >> ${mark}`] }] };
    });
    const other = structuredClone(bundle.config);
    other.process.args = ["/bin/echo", "new"];
    other.annotations = { new: "yes" };
    other.hooks = { startContainer: [{ path: "/bin/false" }], poststart: [{ path: "/bin/false" }] };
    writeFileSync(join(bundle.path, "config.json"), JSON.stringify(other));

    succeed(["start", id]);
    awaitStop(id);
    expect(output()).toBe("old\n");
    expect(stateOf(id).annotations).toBeUndefined();
    succeed(["delete", id]);
    expect(readFileSync(mark, "utf8")).toBe("old\n");
  });

  test("even without its bundle's config.json, and with a broken one, a container lives on", () => {
    const { id, bundle, output } = createContainer(script("echo ran"));
    writeFileSync(join(bundle.path, "config.json"), "{");
    succeed(["start", id]);
    waitUntil(() => output() === "ran\n", "the program has run");
    awaitStop(id);
    succeed(["delete", id]);
  });

  test("without a process it can be created, but not started", () => {
    const { id } = createContainer((config) => Reflect.deleteProperty(config, "process"));
    expect(statusOf(id)).toBe("created");
    expect(refuse(["start", id])).toContain("no process");
    expect(statusOf(id)).toBe("created");
    succeed(["delete", id]);
    const bundle = makeBundle((config) => Reflect.deleteProperty(config, "process"));
    expect(refuse(["run", "--bundle", bundle.path, newId()])).toContain("no process");
  });
});

describe("what each status refuses", () => {
  test("an id that is in use", () => {
    const { id, bundle } = startContainer(forever);
    for (const verb of ["create", "run"]) {
      expect(refuse([verb, "--bundle", bundle.path, id])).toContain("container with given ID already exists");
    }
    expect(statusOf(id)).toBe("running");
    succeed(["delete", "--force", id]);
  });

  test("a container that does not exist", () => {
    const id = newId();
    for (const verb of ["start", "state", "kill", "delete", "pause", "resume", "ps"]) {
      expect(refuse([verb, id])).toContain("container does not exist");
    }
    succeed(["delete", "--force", id]);
  });

  test("running: start, resume, delete", () => {
    const { id } = startContainer(forever);
    expect(refuse(["start", id])).toContain("cannot start an already running container");
    expect(refuse(["resume", id])).toContain("container not paused");
    expect(refuse(["delete", id])).toContain(`cannot delete container ${id} that is not stopped: running`);
    expect(statusOf(id)).toBe("running");
    succeed(["delete", "--force", id]);
    succeed(["delete", "--force", id]);
  });

  test("stopped: start, kill, pause, resume", () => {
    const { id } = startContainer();
    awaitStop(id);
    expect(refuse(["start", id])).toContain("cannot start a container that has stopped");
    expect(refuse(["kill", id])).toContain("container not running");
    expect(refuse(["kill", id, "KILL"])).toContain("container not running");
    expect(refuse(["pause", id])).toContain("container not running");
    expect(refuse(["resume", id])).toContain("container not paused");
    // Engines clean up with --all, when they cannot know whether something is left.
    succeed(["kill", "--all", id, "KILL"]);
    expect(processes(id)).toEqual([]);
    succeed(["delete", id]);
  });

  test("paused: start, pause, delete", () => {
    const { id } = startContainer(forever);
    succeed(["pause", id]);
    expect(refuse(["start", id])).toContain("cannot start a paused container");
    expect(refuse(["pause", id])).toContain("container not running");
    expect(refuse(["delete", id])).toContain(`cannot delete container ${id} that is not stopped: paused`);
    expect(statusOf(id)).toBe("paused");
    succeed(["delete", "--force", id]);
  });

  test("created: resume; but not delete, which needs no --force", () => {
    const { id, pid } = createContainer(forever);
    expect(refuse(["resume", id])).toContain("container not paused");
    succeed(["delete", id]);
    expect(isAlive(pid)).toBe(false);
  });
});

describe("kill", () => {
  test("takes numbers and names, with and without SIG, in any case, and TERM if none is given", () => {
    const { id, output } = startContainer(
      script('for s in TERM USR1 USR2; do trap "echo $s" $s; done; echo ready; while :; do sleep 0.02; done'),
    );
    waitUntil(() => output() === "ready\n", "the traps are set");
    const sent: [string[], string][] = [
      [["SIGUSR1"], "USR1"],
      [["usr2"], "USR2"],
      [["10"], "USR1"],
      [["sigusr2"], "USR2"],
      [["USR1"], "USR1"],
      [[], "TERM"],
    ];
    let expected = "ready\n";
    for (const [signal, name] of sent) {
      succeed(["kill", id, ...signal]);
      expected += `${name}\n`;
      waitUntil(() => output() === expected, `${name} has arrived`);
    }
    expect(refuse(["kill", id, "SIGNIX"])).toContain('unknown signal "SIGNIX"');
    expect(statusOf(id)).toBe("running");
    succeed(["kill", id, "9"]);
    awaitStop(id);
    succeed(["delete", id]);
  });

  test("reaches init alone, when it is not KILL", () => {
    const { id, output } = startContainer(
      script(
        'sh -c "trap \'echo child\' USR1; echo c; while :; do sleep 0.02; done" & trap "echo init" USR1; echo i; while :; do sleep 0.02; done',
      ),
    );
    const lines = () => output().split("\n").filter(Boolean).sort().join(" ");
    waitUntil(() => lines() === "c i", "both have set their traps");
    succeed(["kill", id, "USR1"]);
    waitUntil(() => lines() === "c i init", "init has its signal");
    succeed(["kill", "--all", id, "USR1"]);
    waitUntil(() => lines() === "c child i init init", "with --all, the other has it too");
    succeed(["delete", "--force", id]);
  });

  test("ends a container that was only created", () => {
    const { id } = createContainer(forever);
    succeed(["kill", id, "KILL"]);
    awaitStop(id);
    expect(refuse(["start", id])).toContain("cannot start a container that has stopped");
    succeed(["delete", id]);
  });

  test("of a paused container waits for resume, unless it is KILL", () => {
    const { id, output } = startContainer(
      script('trap "echo got; exit" TERM; echo ready; while :; do sleep 0.02; done'),
    );
    waitUntil(() => output() === "ready\n", "the trap is set");
    succeed(["pause", id]);
    succeed(["kill", id, "TERM"]);
    expect(statusOf(id)).toBe("paused");
    expect(output()).toBe("ready\n");
    succeed(["resume", id]);
    awaitStop(id);
    expect(output()).toBe("ready\ngot\n");
    succeed(["delete", id]);

    const other = startContainer(forever);
    succeed(["pause", other.id]);
    succeed(["kill", other.id, "KILL"]);
    awaitStop(other.id);
    succeed(["delete", other.id]);
  });

  test("never hits a process that has got the pid of a container's init", () => {
    const { id, pid } = startContainer(forever);
    const file = join(stateRoot, id, "state.json");
    const record = JSON.parse(readFileSync(file, "utf8")) as { startTime: number };
    writeFileSync(file, JSON.stringify({ ...record, startTime: record.startTime - 1, cgroup: null }));
    expect(statusOf(id)).toBe("stopped");
    for (const signal of ["TERM", "KILL"]) expect(refuse(["kill", id, signal])).toContain("not running");
    expect(isAlive(pid)).toBe(true);
    writeFileSync(file, JSON.stringify(record));
    succeed(["delete", "--force", id]);
  });
});

describe("several processes", () => {
  const THREE = "sleep 1000 & sleep 1000 & exec sleep 1000";

  test("all end with init, and by KILL", () => {
    const { id } = startContainer(script(THREE));
    waitUntil(() => processes(id).length === 3, "three processes run");
    const pids = processes(id);
    succeed(["kill", id, "KILL"]);
    waitUntil(() => !pids.some(isAlive), "all have ended");
    succeed(["delete", id]);
  });

  test("without a pid namespace of its own, KILL still ends every process, paused or not", () => {
    for (const paused of [false, true]) {
      const { id } = startContainer(withoutPidNamespace, script(THREE));
      waitUntil(() => processes(id).length === 3, "three processes run");
      const pids = processes(id);
      if (paused) succeed(["pause", id]);
      succeed(["kill", id, "KILL"]);
      waitUntil(() => !pids.some(isAlive), "all have ended");
      awaitStop(id);
      succeed(["delete", id]);
    }
  });

  test("without a pid namespace, KILL also ends what init has left behind", () => {
    const { id } = startContainer(withoutPidNamespace, script("sleep 1000 & sleep 1000 & exit 0"));
    awaitStop(id);
    const pids = processes(id);
    expect(pids).toHaveLength(2);
    expect(refuse(["kill", id, "TERM"])).toContain("container not running");
    succeed(["kill", id, "KILL"]);
    waitUntil(() => !pids.some(isAlive), "all have ended");
    expect(refuse(["kill", id, "KILL"])).toContain("container not running");
    succeed(["delete", id]);
  });

  test("without a pid namespace, delete ends what init has left behind, frozen or not", () => {
    const left = () => {
      const container = startContainer(withoutPidNamespace, script("sleep 1000 & sleep 1000 & exit 0"));
      awaitStop(container.id);
      return container;
    };
    for (const force of [[], ["--force"]]) {
      const { id } = left();
      const pids = processes(id);
      expect(pids).toHaveLength(2);
      succeed(["delete", ...force, id]);
      expect(pids.filter(isAlive)).toEqual([]);
    }
    const { id, bundle } = left();
    writeFileSync(cgroupFile(bundle, "cgroup.freeze"), "1");
    expect(statusOf(id)).toBe("stopped");
    succeed(["delete", id]);
    expect(leftovers()).toEqual([]);
  });

  test("in another container's pid namespace, KILL ends its own processes and no others", () => {
    const host = startContainer(forever);
    const guest = startContainer(script(THREE), (config) => {
      config.linux.namespaces = config.linux.namespaces.map((namespace) =>
        namespace.type === "pid" ? { type: "pid", path: `/proc/${host.pid}/ns/pid` } : namespace,
      );
    });
    waitUntil(() => processes(guest.id).length === 3, "three processes run");
    const pids = processes(guest.id);
    succeed(["kill", guest.id, "KILL"]);
    waitUntil(() => !pids.some(isAlive), "all of the guest have ended");
    expect(statusOf(host.id)).toBe("running");
    succeed(["delete", guest.id]);
    expect(statusOf(host.id)).toBe("running");
    succeed(["delete", "--force", host.id]);
  });

  test("pause stops all of them, and resume lets them go on", () => {
    const loop = "while :; do i=$((i+1)); echo $i > /tmp/$0; sleep 0.01; done";
    const { id, bundle } = startContainer(script(`sh -c '${loop}' a & exec sh -c '${loop}' b`), (config) =>
      Object.assign(config.root, { readonly: false }),
    );
    const counts = () => ["a", "b"].map((name) => readFileSync(join(bundle.rootfs, "tmp", name), "utf8"));
    const bothMoved = (from: string[]) => () =>
      counts().every((count, i) => count !== "" && count !== from[i]);
    waitUntil(() => readdirSync(join(bundle.rootfs, "tmp")).length === 2, "both have begun");
    succeed(["pause", id]);
    expect(statusOf(id)).toBe("paused");
    const before = counts();
    Bun.sleepSync(60);
    expect(counts()).toEqual(before);
    succeed(["resume", id]);
    expect(statusOf(id)).toBe("running");
    waitUntil(bothMoved(before), "both go on");
    succeed(["delete", "--force", id]);
  });

  test("a container that was paused before its start goes on from there", () => {
    const { id, output } = createContainer(script("echo ran"));
    succeed(["pause", id]);
    expect(refuse(["start", id])).toContain("cannot start a paused container");
    succeed(["resume", id]);
    expect(statusOf(id)).toBe("created");
    succeed(["start", id]);
    waitUntil(() => output() === "ran\n", "the program has run");
    awaitStop(id);
    succeed(["delete", id]);
  });

  test("cgroups that the container made below its own go with it", () => {
    const { id, bundle } = startContainer(
      script(
        "cd /sys/fs/cgroup && mkdir -p a/b c && (echo 0 > a/b/cgroup.procs; exec sleep 1000) & exec sleep 1000",
      ),
      (config) => {
        const cgroup = config.mounts.find(({ type }) => type === "cgroup2");
        if (cgroup) cgroup.options = ["nosuid", "noexec", "nodev"];
      },
    );
    const below = cgroupFile(bundle, "a/b/cgroup.procs");
    waitUntil(() => existsSync(below) && readFileSync(below, "utf8") !== "", "one is in a cgroup below");
    expect(processes(id)).toHaveLength(2);
    succeed(["pause", id]);
    expect(statusOf(id)).toBe("paused");
    succeed(["delete", "--force", id]);
    expect(leftovers()).toEqual([]);
  });

  test("ps shows the processes of the container alone", () => {
    const { id, pid } = startContainer(script(THREE));
    waitUntil(() => processes(id).length === 3, "three processes run");
    expect(processes(id)).toContain(pid);
    const [header = "", ...rows] = succeed(["ps", id]).trimEnd().split("\n");
    const column = header.trim().split(/\s+/).indexOf("PID");
    expect(rows.map((row) => Number(row.trim().split(/\s+/)[column])).sort()).toEqual(processes(id).sort());
    succeed(["delete", "--force", id]);
  });
});

describe("the pid file", () => {
  test("has the pid of init, without a line break, and its path starts at the caller's directory", () => {
    const { path } = makeBundle(forever);
    const id = newId();
    succeed(["create", "--bundle", path, "--pid-file", "relative.pid", id]);
    expect(readFileSync(join(directory, "relative.pid"), "utf8")).toBe(String(stateOf(id).pid));
    succeed(["delete", id]);
  });

  test("is replaced, not written through", () => {
    const { path } = makeBundle(forever);
    const [id, file, victim] = [newId(), join(directory, "linked.pid"), join(directory, "victim")];
    writeFileSync(victim, "untouched");
    Bun.spawnSync(["ln", "-s", victim, file]);
    succeed(["run", "--detach", "--bundle", path, "--pid-file", file, id]);
    expect(readFileSync(file, "utf8")).toBe(String(stateOf(id).pid));
    expect(readFileSync(victim, "utf8")).toBe("untouched");
    expect(readdirSync(directory).filter((name) => name.startsWith(".linked"))).toEqual([]);
    succeed(["delete", "--force", id]);
  });
});

describe("run", () => {
  test("answers with the exit status of the program", () => {
    for (const status of [0, 1, 7, 125, 255]) {
      expect(runScript(`exit ${status}`)).toMatchObject({ status, stdout: "", stderr: "" });
    }
  });

  test("answers 128 + n when signal n ended it", () => {
    // Without a pid namespace: there, no signal of its own could end process 1.
    for (const [name, number] of [
      ["TERM", 15],
      ["KILL", 9],
      ["USR1", 10],
    ] as const) {
      expect(runScript(`kill -${name} $$`, withoutPidNamespace)).toMatchObject({
        status: 128 + number,
        stderr: "",
      });
    }
  });

  test("answers 137 when it is killed from outside, and removes it", async () => {
    const { path } = makeBundle(script("echo ready; exec sleep 1000"));
    const id = newId();
    const running = spawnBerth(["run", "--bundle", path, id]);
    waitUntil(() => running.output() === "ready\n", "it runs");
    succeed(["kill", id, "KILL"]);
    expect(await running.ended).toMatchObject({ status: 137, stderr: "" });
    expect(leftovers()).toEqual([]);
  });

  test("connects stdin, stdout and stderr", () => {
    const bundle = makeBundle(script("cat; echo problem >&2"));
    expect(berth(["run", "--bundle", bundle.path, newId()], { stdin: "typed" })).toMatchObject({
      status: 0,
      stdout: "typed",
      stderr: "problem\n",
    });
  });

  test("forwards signals", async () => {
    const { path } = makeBundle(
      script(
        'for s in INT HUP USR1 USR2 WINCH; do trap "echo $s" $s; done; trap "echo TERM; exit 5" TERM; echo ready; while :; do sleep 0.02; done',
      ),
    );
    const running = spawnBerth(["run", "--bundle", path, newId()]);
    let expected = "ready\n";
    waitUntil(() => running.output() === expected, "the traps are set");
    for (const name of ["INT", "HUP", "USR1", "USR2", "TERM"]) {
      running.kill(`SIG${name}` as NodeJS.Signals);
      expected += `${name}\n`;
      waitUntil(() => running.output() === expected, `${name} has arrived`);
    }
    expect(await running.ended).toMatchObject({ status: 5, stderr: "" });
  });

  test("forwards signals from the moment that the program runs", () => {
    const log = mkdtempSync(join(directory, "log-"));
    const ready = join(log, "ready");
    const { path } = makeBundle((config) => {
      script(`trap "exit 5" TERM; : > ${ready}; while :; do sleep 0.02; done`)(config);
      config.mounts.push({ destination: log, type: "bind", source: log, options: ["bind", "rw"] });
      // Berth is still in its start then.
      const text = `until test -e ${ready}; do sleep 0.01; done; kill -TERM $PPID`;
      config.hooks = { poststart: [{ path: "/bin/sh", args: ["sh", "-c", text] }] };
    });
    expect(berth(["run", "--bundle", path, newId()])).toMatchObject({ status: 5, stderr: "" });
  });

  test("does not wait for processes that have left the container's init", () => {
    const { status, stdout } = runScript("sleep 1000 & echo done", withoutPidNamespace);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "done\n" });
    expect(leftovers()).toEqual([]);
  });

  test("--detach returns while the container runs", () => {
    const { path } = makeBundle(script("echo ready; exec sleep 1000"));
    const id = newId();
    const started = berth(["run", "--detach", "--bundle", path, id]);
    expect(started).toMatchObject({ status: 0, stderr: "" });
    expect(statusOf(id)).toBe("running");
    waitUntil(() => started.output() === "ready\n", "it has written");
    succeed(["delete", "--force", id]);
  });

  test("--keep keeps the state", () => {
    const { path } = makeBundle(script("exit 3"));
    const id = newId();
    expect(berth(["run", "--keep", "--bundle", path, id])).toMatchObject({ status: 3, stderr: "" });
    expect(stateOf(id)).toMatchObject({ status: "stopped", pid: 0 });
    succeed(["delete", id]);
  });

  test("without --keep, nothing of it can be found", () => {
    const { path } = makeBundle();
    const id = newId();
    succeed(["run", "--bundle", path, id]);
    expect(existsSync(join(stateRoot, id))).toBe(false);
  });
});
