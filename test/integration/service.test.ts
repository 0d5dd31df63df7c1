import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { AF_UNIX, POLLIN, SOCK_CLOEXEC, SOCK_DGRAM } from "../../src/linux/constants.ts";
import { check } from "../../src/linux/errno.ts";
import { close, readSome } from "../../src/linux/file.ts";
import { at, scratch } from "../../src/linux/memory.ts";
import { syscall } from "../../src/linux/native.ts";
import { poll } from "../../src/linux/process.ts";
import { datagramAt } from "../../src/linux/socket.ts";
import {
  type Bundle,
  berth,
  type Config,
  directory,
  makeBundle,
  newId,
  program,
  stateRoot,
  waitUntil,
} from "../bundle.ts";
import { forever, refuse, stateOf, succeed } from "../container.ts";

/* A container that is a service of systemd's: sd_notify(3) and sd_listen_fds(3), with the test in systemd's place. */

const sender = join(directory, "notify");

beforeAll(() => {
  const built = Bun.spawnSync([
    "cc",
    "-static",
    "-O1",
    "-o",
    sender,
    join(import.meta.dirname, "../notify.c"),
  ]);
  expect(built.stderr.toString()).toBe("");
});

/** A bundle whose process says these things. */
function speaking(messages: readonly string[], patch: (config: Config) => void = () => {}): Bundle {
  const bundle = makeBundle((config) => {
    config.process.args = ["/bin/notify", ...messages];
    // What mounts need is made in it.
    config.root.readonly = false;
    patch(config);
  });
  cpSync(sender, join(bundle.rootfs, "bin/notify"));
  return bundle;
}

/** A service manager: the socket that it listens on, and what it has heard. */
class Manager {
  readonly heard: string[] = [];
  readonly address: string;
  readonly #socket: number;

  constructor(address: string) {
    this.address = address;
    this.#socket = address.startsWith("@") ? abstractSocket(address) : datagramAt(address);
  }

  /** Reads what is there. A descriptor that comes along is closed: that is how a BARRIER is answered. */
  hear(): string[] {
    while (poll([{ fd: this.#socket, events: POLLIN }], 0)[0]) {
      this.heard.push(new TextDecoder().decode(readSome(this.#socket)));
    }
    return this.heard;
  }

  close(): void {
    close(this.#socket);
  }
}

function abstractSocket(address: string): number {
  const fd = check(syscall("socket", AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  const name = new TextEncoder().encode(address.slice(1));
  const memory = scratch().space(128);
  at.setU32(memory, AF_UNIX);
  name.forEach((byte, i) => {
    at.setU8(memory + 3 + i, byte);
  });
  check(syscall("bind", fd, memory, 3 + name.length), "bind");
  return fd;
}

let serial = 0;

/** Runs `use` with a service manager, and afterwards there is none any more. */
async function withManager<T>(use: (manager: Manager) => Promise<T> | T, abstract = false): Promise<T> {
  serial += 1;
  const name = join(directory, `manager-${serial}`);
  const manager = new Manager(abstract ? `@${name}` : name);
  try {
    return await use(manager);
  } finally {
    manager.close();
  }
}

/** Starts berth as a service. */
function serve(manager: Manager, args: readonly string[]): { ended: Promise<number>; isOver: () => boolean } {
  const child = Bun.spawn([program, "--root", stateRoot, ...args], {
    env: { ...process.env, NOTIFY_SOCKET: manager.address },
    stdio: ["ignore", "ignore", "inherit"],
  });
  return { ended: child.exited, isOver: () => child.exitCode !== null };
}

/** Waits, and lets others go on meanwhile: a child's end is only seen then. */
async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 5000; i++) {
    if (condition()) return;
    await Bun.sleep(2);
  }
  throw new Error(`waited in vain until ${what}`);
}

describe("NOTIFY_SOCKET", () => {
  test.each([false, true])(
    "detached: what the container says is passed on until it is ready, with its pid (abstract: %s)",
    async (abstract) => {
      await withManager(async (manager) => {
        const bundle = speaking(["STATUS=begins\nMAINPID=1", "@/go", "READY=1\nFDSTORE=1", "@/end"]);
        const id = newId();
        const run = serve(manager, ["run", "--detach", "--bundle", bundle.path, id]);
        await until(() => manager.hear().length > 0, "it begins");
        expect(manager.heard).toEqual(["STATUS=begins"]);
        // It waits, without the container's lock.
        expect([run.isOver(), stateOf(id).status]).toEqual([false, "running"]);
        const { pid } = stateOf(id);
        writeFileSync(join(bundle.rootfs, "go"), "");
        await until(() => manager.hear().length > 2, "it is ready");
        expect(await run.ended).toBe(0);
        expect(manager.heard).toEqual(["STATUS=begins", `MAINPID=${pid}\nREADY=1`, "BARRIER=1"]);
        writeFileSync(join(bundle.rootfs, "end"), "");
        waitUntil(() => stateOf(id).status === "stopped", "the container has ended");
        succeed(["delete", id]);
      }, abstract);
    },
  );

  test("in the foreground berth is the main process, and passes on what the container says to its end", async () => {
    await withManager(async (manager) => {
      const bundle = speaking(["READY=1", "STATUS=a", "STOPPING=1"]);
      const run = serve(manager, ["run", "--bundle", bundle.path, newId()]);
      expect(await run.ended).toBe(0);
      expect(manager.hear()).toEqual(["READY=1", "STATUS=a", "STOPPING=1"]);
    });
  });

  test("create shows the container the socket's directory, and start opens it and waits", async () => {
    await withManager(async (manager) => {
      const bundle = speaking(["READY=1", "@/end"], (config) => {
        config.process.user = { uid: 1234, gid: 1234 };
      });
      const id = newId();
      expect(await serve(manager, ["create", "--bundle", bundle.path, id]).ended).toBe(0);
      expect(readdirSync(join(stateRoot, id, "notify"))).toEqual([]);
      const { pid } = stateOf(id);
      expect(readFileSync(`/proc/${pid}/mountinfo`, "utf8")).toMatch(
        / \/run\/notify ro,nosuid,nodev,noexec[, ]/,
      );
      const start = serve(manager, ["start", id]);
      // Heard at once: berth waits until the manager has taken the barrier.
      await until(() => manager.hear().length > 1, "it is ready");
      expect(await start.ended).toBe(0);
      expect(manager.heard).toEqual([`MAINPID=${pid}\nREADY=1`, "BARRIER=1"]);
      // For any user of the container.
      expect(statSync(join(stateRoot, id, "notify/notify.sock")).mode & 0o777).toBe(0o777);
      succeed(["delete", "--force", id]);
      expect(existsSync(join(stateRoot, id))).toBe(false);
    });
  });

  test("a container that ends without a word ends the waiting", async () => {
    await withManager(async (manager) => {
      const bundle = speaking([]);
      const id = newId();
      expect(await serve(manager, ["run", "--detach", "--bundle", bundle.path, id]).ended).toBe(0);
      expect(manager.hear()).toEqual([]);
      succeed(["delete", id]);
    });
  });

  test("a manager that is not there is an error, and one that is gone is not the container's fault", async () => {
    const bundle = speaking(["READY=1"]);
    const env = { ...process.env, NOTIFY_SOCKET: join(directory, "nobody") };
    const error = refuse(["run", "--bundle", bundle.path, newId()], { env });
    expect(error).toContain(`NOTIFY_SOCKET "${env.NOTIFY_SOCKET}": connect: no such file or directory`);
    await withManager(async (manager) => {
      const waiting = speaking(["@/go", "READY=1"]);
      const id = newId();
      const run = serve(manager, ["run", "--bundle", waiting.path, id]);
      // It has connected to the manager before.
      const socket = join(stateRoot, id, "notify/notify.sock");
      await until(() => existsSync(socket), "the container can speak");
      manager.close();
      writeFileSync(join(waiting.rootfs, "go"), "");
      expect(await run.ended).toBe(0);
    });
  });

  test("without it a container has no such socket", () => {
    const bundle = speaking(["READY=1"]);
    const { status, stdout } = berth(["run", "--bundle", bundle.path, newId()]);
    expect([status, stdout]).toEqual([2, "no NOTIFY_SOCKET\n"]);
    expect(existsSync(join(bundle.rootfs, "run/notify"))).toBe(false);
  });
});

describe("LISTEN_FDS", () => {
  /** Runs berth with descriptors 3 and 4 open for reading, and LISTEN_PID its own. */
  function activate(script: string, fds: number, args: readonly string[] = []) {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/sh", "-c", script];
    });
    const files = ["one", "two", "three"].map((text) => {
      const file = join(directory, text);
      writeFileSync(file, `${text}\n`);
      return file;
    });
    const opened = files.map((file, i) => `${3 + i}<"${file}"`).join(" ");
    // exec keeps the shell's pid.
    const command = `exec env LISTEN_FDS=${fds} LISTEN_PID=$$ LISTEN_FDNAMES=a:b "$@" ${opened}`;
    const result = Bun.spawnSync([
      ...["sh", "-c", command, "sh", program, "--root", stateRoot],
      ...["run", "--bundle", bundle.path, ...args, newId()],
    ]);
    return { status: result.exitCode, stdout: result.stdout.toString(), stderr: result.stderr.toString() };
  }

  test("the descriptors and their number reach the container, and no other descriptor", () => {
    const { stdout, stderr } = activate(
      "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3; cat <&4; (cat <&5) 2>/dev/null || echo closed",
      2,
    );
    expect([stdout, stderr]).toEqual(["2 1 a:b\none\ntwo\nclosed\n", ""]);
  });

  test("those of --preserve-fds follow", () => {
    const { stdout } = activate("echo $LISTEN_FDS; cat <&5", 2, ["--preserve-fds", "1"]);
    expect(stdout).toBe("2\nthree\n");
  });

  test("one that is not open is an error", () => {
    const { status, stderr } = activate("true", 9);
    expect(status).toBe(1);
    expect(stderr).toContain("--preserve-fds and LISTEN_FDS, together 9: descriptor 6 is not open");
  });

  test("those of another process are not the container's", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/sh", "-c", "echo -$LISTEN_FDS-"];
    });
    const env = { ...process.env, LISTEN_FDS: "1", LISTEN_PID: "1" };
    expect(berth(["run", "--bundle", bundle.path, newId()], { env }).stdout).toBe("--\n");
  });

  test("an empty NOTIFY_SOCKET and no descriptors are as if nothing was said", () => {
    const bundle = makeBundle(forever);
    const id = newId();
    const env = { ...process.env, LISTEN_FDS: "0", LISTEN_PID: "0", NOTIFY_SOCKET: "" };
    expect(berth(["create", "--bundle", bundle.path, id], { env }).status).toBe(0);
    expect(readdirSync(join(stateRoot, id))).not.toContain("notify");
    succeed(["delete", "--force", id]);
  });
});
