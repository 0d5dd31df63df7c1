import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type Bundle,
  directory,
  leftovers,
  makeBundle,
  newId,
  program,
  stateRoot,
  waitUntil,
} from "../bundle.ts";
import { field } from "../caller.ts";
import {
  forever,
  script,
  spawnBerth,
  startContainer,
  statusOf,
  succeed,
  withoutPidNamespace,
} from "../container.ts";

/* A berth in the foreground of what lives longer than a moment makes room for native/wait.c, under the same pid. */

const statusFile = (pid: number) => readFileSync(`/proc/${pid}/status`, "utf8");
const isWaiter = (pid: number) => field(statusFile(pid), "Name") === "wait";

/** Its resident memory, in kB. */
const residentMemory = (pid: number) => Number(field(statusFile(pid), "VmRSS")?.replace(" kB", ""));

const LONG = 'trap "echo usr1" USR1; trap "echo term; exit 9" TERM; echo ready; while :; do sleep 0.01; done';

function startRun(bundle: Bundle, ...options: string[]) {
  const id = newId();
  const running = spawnBerth(["run", "--bundle", bundle.path, ...options, id]);
  waitUntil(() => running.output().startsWith("ready\n"), "it runs");
  return { id, running };
}

describe("run without a terminal", () => {
  test("holds less than 2 MB, passes signals on, deletes the container and ends with its status", async () => {
    const log = join(directory, "poststop.log");
    const bundle = makeBundle((config) => {
      script(LONG)(config);
      config.hooks = { poststop: [{ path: "/bin/sh", args: ["sh", "-c", `cat > ${log}`] }] };
    });
    const { id, running } = startRun(bundle);
    running.kill("SIGUSR1");
    waitUntil(() => running.output() === "ready\nusr1\n", "the signal has come through the engine");
    waitUntil(() => isWaiter(running.pid), "the engine has made room");
    expect(residentMemory(running.pid)).toBeLessThan(2048);
    running.kill("SIGUSR1");
    waitUntil(() => running.output() === "ready\nusr1\nusr1\n", "the signal has come through the waiter");
    expect(statusOf(id)).toBe("running");
    running.kill("SIGTERM");
    expect(await running.ended).toEqual({ status: 9, stdout: "ready\nusr1\nusr1\nterm\n", stderr: "" });
    expect(JSON.parse(readFileSync(log, "utf8"))).toMatchObject({ id, status: "stopped" });
    expect(leftovers()).toEqual([]);
  });

  test("loses no signal while it makes room", async () => {
    const { running } = startRun(makeBundle(script(LONG)));
    let sent = 0;
    while (!isWaiter(running.pid)) {
      running.kill("SIGUSR1");
      sent++;
      // Two of the same that wait count as one for the kernel.
      waitUntil(() => running.output() === `ready\n${"usr1\n".repeat(sent)}`, `signal ${sent} was heard`);
    }
    running.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ status: 9, stderr: "" });
  });

  test("ends with 128 + n; with --keep, the container stays", async () => {
    const { id, running } = startRun(makeBundle(script("echo ready; exec sleep 1000")), "--keep");
    waitUntil(() => isWaiter(running.pid), "the engine has made room");
    succeed(["kill", id, "KILL"]);
    expect(await running.ended).toEqual({ status: 137, stdout: "ready\n", stderr: "" });
    expect(statusOf(id)).toBe("stopped");
    succeed(["delete", id]);
  });

  test("reaps orphans of a container that shares berth's pid namespace", async () => {
    const wait = (file: string, state: string) => `while [ ${state} /${file} ]; do sleep 0.01; done`;
    const orphans = "for i in 1 2 3; do (sleep 0.01 &) ; done; sleep 0.1; echo orphaned";
    const bundle = makeBundle((config) => {
      script(`echo ready; ${wait("go", "! -e")}; ${orphans}; ${wait("go", "-e")}`)(config);
      withoutPidNamespace(config);
    });
    const { running } = startRun(bundle);
    waitUntil(() => isWaiter(running.pid), "the engine has made room");
    writeFileSync(join(bundle.rootfs, "go"), "");
    waitUntil(() => running.output().endsWith("orphaned\n"), "there were orphans");
    const children = () => readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, "utf8").trim();
    waitUntil(() => children().split(" ").length === 1, "only init is left of its children");
    rmSync(join(bundle.rootfs, "go"));
    expect(await running.ended).toMatchObject({ status: 0, stderr: "" });
  });

  test("says in its log what goes wrong when it deletes", async () => {
    const { id, running } = startRun(makeBundle(script(LONG)));
    waitUntil(() => isWaiter(running.pid), "the engine has made room");
    // What berth does not know in a state directory, it does not remove.
    writeFileSync(join(stateRoot, id, "foreign"), "");
    running.kill("SIGTERM");
    const { status, stderr } = await running.ended;
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining("remove the state directory"),
    });
    rmSync(join(stateRoot, id), { recursive: true });
  });
});

describe("exec without a terminal", () => {
  test("holds less than 2 MB, passes signals on and ends with the process's status", async () => {
    const { id } = startContainer(forever);
    const running = spawnBerth(["exec", id, "/bin/sh", "-c", LONG]);
    waitUntil(() => running.output() === "ready\n", "it runs");
    waitUntil(() => isWaiter(running.pid), "the engine has made room");
    expect(residentMemory(running.pid)).toBeLessThan(2048);
    running.kill("SIGTERM");
    expect(await running.ended).toEqual({ status: 9, stdout: "ready\nterm\n", stderr: "" });
    expect(statusOf(id)).toBe("running");
    succeed(["delete", "--force", id]);
  });
});

describe("a terminal", () => {
  /** Runs lines of bash on a terminal; `reply` types. @returns what was shown */
  async function onTerminal(line: string, reply: (shown: string, type: (text: string) => void) => void) {
    const child = Bun.spawn(["script", "-qec", line, "/dev/null"], {
      cwd: directory,
      env: { ...process.env, SHELL: "/bin/bash" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let shown = "";
    for await (const part of child.stdout) {
      shown += new TextDecoder().decode(part);
      reply(shown, (text) => {
        child.stdin.write(text);
        child.stdin.flush();
      });
    }
    child.stdin.end();
    return { shown, status: await child.exited };
  }

  test.each(["run", "exec"])(
    "of %s goes on: sizes, what is typed and shown, and the mode in the end",
    async (verb) => {
      const text =
        "trap 'stty size' WINCH; echo pid; read x; stty size; echo got $x; read y; echo got $y; seq 1 20000; exit 6";
      const bundle = makeBundle((config) => {
        script(text)(config);
        config.process.terminal = true;
      });
      const id = newId();
      const other = verb === "exec" ? startContainer(forever) : undefined;
      const pidFile = join(bundle.path, "berth.pid");
      const command =
        verb === "run"
          ? `run --bundle ${bundle.path} ${id}`
          : `exec -t ${other?.id} /bin/sh -c "${text.replaceAll("$", "\\$")}"`;
      // In the background of a shell, it would not be allowed to set the terminal's mode.
      const line = `before=$(stty -g); stty rows 33 cols 77; bash -c 'echo $$ > ${pidFile}; exec "$@"' bash ${program} --root ${stateRoot} ${command}; echo rc $?; [ "$before" = "$(stty -g)" ] && echo same`;
      let typed = 0;
      const { shown } = await onTerminal(line, (seen, type) => {
        if (typed === 0 && seen.endsWith("pid\r\n")) {
          const pid = Number(readFileSync(pidFile, "utf8"));
          waitUntil(() => isWaiter(pid), "the engine has made room");
          expect(residentMemory(pid)).toBeLessThan(2048);
          typed = 1;
          type("one\n");
        } else if (typed === 1 && seen.endsWith("got one\r\n")) {
          typed = 2;
          type("two\n");
        }
      });
      const lines = Array.from({ length: 20000 }, (_, i) => String(i + 1));
      expect(shown).toContain("33 77\r\ngot one\r\n");
      // Echoed once, by the container's terminal.
      expect(shown.split("two").length).toBe(3);
      expect(shown).toContain(`got two\r\n${lines.join("\r\n")}\r\nrc 6\r\nsame\r\n`);
      if (other !== undefined) succeed(["delete", "--force", other.id]);
      expect(existsSync(join(stateRoot, id))).toBe(false);
    },
  );
});
