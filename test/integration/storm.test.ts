import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Bundle, leftovers, makeBundle, newId, type Result, waitUntil } from "../bundle.ts";
import {
  createContainer,
  isAlive,
  script,
  spawnBerth,
  startContainer,
  stateOf,
  statusOf,
  succeed,
} from "../container.ts";

/** Three processes; the last of them says that all are there. */
const SEVERAL = "sleep 1000 & sleep 1000 & echo ready; exec sleep 1000";

const call = (...args: string[]) => spawnBerth(args).ended;

/** A call that comes when the container may be in any state: it succeeds or is refused, with one line of its own. */
function expectOrderly(results: readonly Pick<Result, "status" | "stderr">[]): void {
  for (const { status, stderr } of results) {
    expect({ status, stderr }).toEqual(
      status === 0
        ? { status: 0, stderr: "" }
        : { status: 1, stderr: expect.stringMatching(/^berth: (?!internal error).+\n(hint: .+\n)?$/) },
    );
  }
}

describe("one after the other", () => {
  test("200 containers of several processes live and leave nothing behind", () => {
    const { path } = makeBundle(script(SEVERAL));
    for (let i = 0; i < 200; i++) {
      const id = newId();
      const pidFile = join(path, "pid");
      succeed(["create", "--bundle", path, "--pid-file", pidFile, id]);
      succeed(["start", id]);
      const pid = Number(readFileSync(pidFile, "utf8"));
      expect({ i, alive: isAlive(pid) }).toEqual({ i, alive: true });
      succeed(["kill", id, "KILL"]);
      waitUntil(() => !isAlive(pid), "init has ended");
      succeed(["delete", id]);
    }
    expect(leftovers()).toEqual([]);
  });
});

describe("at once", () => {
  /** A config of its own in the same bundle, so that each has its cgroup. */
  function configOf({ path, config }: Bundle, n: number): string {
    const file = join(path, `config-${n}.json`);
    const cgroupsPath = `${config.linux.cgroupsPath}-${n}`;
    writeFileSync(file, JSON.stringify({ ...config, linux: { ...config.linux, cgroupsPath } }));
    return file;
  }

  test("50 containers of several processes: none is lost", async () => {
    const bundle = makeBundle(script(SEVERAL));
    const containers = Array.from({ length: 50 }, (_, n) => ({ id: newId(), config: configOf(bundle, n) }));
    const all = async (verb: (container: { id: string; config: string }) => string[]) => {
      const results = await Promise.all(containers.map((container) => call(...verb(container))));
      const failed = results.filter(({ status, stderr }) => status !== 0 || stderr !== "");
      expect(failed).toEqual([]);
    };
    await all(({ id, config }) => ["create", "--bundle", bundle.path, "--config", config, id]);
    await all(({ id }) => ["start", id]);
    const listed = JSON.parse(succeed(["list", "--format", "json"])) as { id: string; status: string }[];
    expect(listed.map(({ id }) => id).sort()).toEqual(containers.map(({ id }) => id).sort());
    expect(new Set(listed.map(({ status }) => status))).toEqual(new Set(["running"]));
    await all(({ id }) => ["kill", id, "KILL"]);
    for (const { id } of containers) waitUntil(() => statusOf(id) === "stopped", "it has stopped");
    await all(({ id }) => ["delete", id]);
    expect(leftovers()).toEqual([]);
  });

  test("50 whole lives, each at its own pace", async () => {
    const bundle = makeBundle(script("sleep 1000 & echo done"));
    const lives = Array.from({ length: 50 }, (_, n) =>
      call("run", "--bundle", bundle.path, "--config", configOf(bundle, n), newId()),
    );
    for (const { status, stdout, stderr } of await Promise.all(lives)) {
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "done\n", stderr: "" });
    }
    expect(leftovers()).toEqual([]);
  });

  test("of many creations of one id, one succeeds", async () => {
    const bundle = makeBundle(script("exec sleep 1000"));
    const id = newId();
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        call("create", "--bundle", bundle.path, "--config", configOf(bundle, n), id),
      ),
    );
    expect(results.filter(({ status }) => status === 0)).toHaveLength(1);
    for (const { status, stderr } of results) {
      if (status !== 0) expect(stderr).toContain("container with given ID already exists");
    }
    expect(stateOf(id).status).toBe("created");
    succeed(["delete", id]);
    expect(leftovers()).toEqual([]);
  });

  test("of many starts, one succeeds, and the program runs once", async () => {
    const { id, output } = createContainer(script("echo ran; exec sleep 1000"));
    const results = await Promise.all(Array.from({ length: 12 }, () => call("start", id)));
    expect(results.filter(({ status }) => status === 0)).toHaveLength(1);
    for (const { status, stderr } of results) {
      if (status !== 0) expect(stderr).toContain("cannot start an already running container");
    }
    waitUntil(() => output() === "ran\n", "the program has run");
    succeed(["delete", "--force", id]);
  });

  test("of many deletions, one succeeds; with --force, all", async () => {
    const { id } = createContainer();
    const results = await Promise.all(Array.from({ length: 12 }, () => call("delete", id)));
    expect(results.filter(({ status }) => status === 0)).toHaveLength(1);
    for (const { status, stderr } of results) {
      if (status !== 0) expect(stderr).toContain("container does not exist");
    }
    const forced = startContainer(script(SEVERAL));
    const again = await Promise.all(Array.from({ length: 12 }, () => call("delete", "--force", forced.id)));
    expect(again.map(({ status, stderr }) => ({ status, stderr }))).toEqual(
      again.map(() => ({ status: 0, stderr: "" })),
    );
    expect(leftovers()).toEqual([]);
  });
});

describe("verbs that race on one container", () => {
  const VERBS = [
    ["state"],
    ["pause"],
    ["resume"],
    ["ps", "--format", "json"],
    ["kill", "USR1"],
    ["start"],
    ["kill", "KILL"],
    ["delete"],
    ["delete", "--force"],
  ] as const;

  /** Calls verbs all at once. */
  const race = (id: string, verbs: readonly (readonly string[])[]) =>
    Promise.all(
      verbs.map(([verb = "", ...rest]) =>
        verb === "kill" ? call(verb, id, ...rest) : call(verb, ...rest, id),
      ),
    );

  test("that lives on: pause, resume, state, ps, kill", async () => {
    const { id } = startContainer(script(SEVERAL));
    const mild = VERBS.slice(0, 5);
    for (let round = 0; round < 6; round++) {
      const results = await race(id, [...mild, ...mild]);
      expectOrderly(results);
      // A pause that meets a resume must not wait for what never comes, nor say that a process could not be stopped.
      for (const { status, stderr } of results) {
        if (status !== 0) expect(stderr).toMatch(/: container not (paused|running)/);
      }
    }
    await call("resume", id);
    expect(statusOf(id)).toBe("running");
    succeed(["delete", "--force", id]);
  });

  test("that was created: all verbs at once, each round in another order", async () => {
    for (let round = 0; round < 9; round++) {
      const { id } = createContainer(script(SEVERAL));
      const order = VERBS.map((_, i) => VERBS[(i * 2 + round) % VERBS.length] ?? []);
      expectOrderly(await race(id, order));
      succeed(["delete", "--force", id]);
      expect({ round, left: leftovers() }).toEqual({ round, left: [] });
    }
  });

  test("that runs: all verbs at once, each round in another order", async () => {
    for (let round = 0; round < 9; round++) {
      const { id } = startContainer(script(SEVERAL));
      const order = VERBS.map((_, i) => VERBS[(i * 4 + round) % VERBS.length] ?? []);
      expectOrderly(await race(id, order));
      succeed(["delete", "--force", id]);
      expect({ round, left: leftovers() }).toEqual({ round, left: [] });
    }
  });

  test("that is being created: delete --force and kill at any moment", async () => {
    for (let round = 0; round < 20; round++) {
      const { path } = makeBundle(script(SEVERAL));
      const id = newId();
      const creating = call("create", "--bundle", path, id);
      Bun.sleepSync(round * 0.8);
      const results = await race(id, [["state"], ["kill", "KILL"], ["pause"], ["delete", "--force"]]);
      expectOrderly(results);
      // Whatever it meets, --force comes through.
      expect(results.at(-1)).toMatchObject({ status: 0 });
      await creating;
      succeed(["delete", "--force", id]);
      expect({ round, left: leftovers() }).toEqual({ round, left: [] });
    }
  });

  test("list meanwhile tells of all that it can, and does not fail", async () => {
    const bundle = makeBundle(script("sleep 1000 & echo done"));
    const lives = Array.from({ length: 10 }, () => newId()).map((id, n) => {
      const file = join(bundle.path, `config-${n}.json`);
      const linux = { ...bundle.config.linux, cgroupsPath: `${bundle.config.linux.cgroupsPath}-${n}` };
      writeFileSync(file, JSON.stringify({ ...bundle.config, linux }));
      return call("run", "--bundle", bundle.path, "--config", file, id);
    });
    const listings = Array.from({ length: 20 }, () => call("list", "--format", "json"));
    for (const { status, stdout, stderr } of await Promise.all(listings)) {
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      JSON.parse(stdout);
    }
    for (const { status } of await Promise.all(lives)) expect(status).toBe(0);
  });
});
