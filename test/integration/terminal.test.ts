import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
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
import { type ConsoleSocket, listenForConsole, type Terminal } from "../console.ts";
import { refuse, script, succeed } from "../container.ts";

let console: ConsoleSocket;
let sockets = "";

beforeEach(() => {
  sockets = mkdtempSync(join(tmpdir(), "berth-console-"));
  console = listenForConsole(join(sockets, "s"));
});

afterEach(() => {
  console.close();
  rmSync(sockets, { recursive: true });
});

const terminal = (config: Config) => {
  config.process.terminal = true;
};

function withTerminal(text: string, patch: (config: Config) => void = () => {}): Bundle {
  return makeBundle((config) => {
    script(text)(config);
    terminal(config);
    patch(config);
  });
}

/** Creates and starts a container and talks to its terminal. */
function converse<T>(bundle: Bundle, use: (terminal: Terminal, id: string) => T): T {
  const id = newId();
  let received: Terminal | undefined;
  try {
    succeed(["create", "--bundle", bundle.path, "--console-socket", console.path, id]);
    received = console.receive();
    succeed(["start", id]);
    return use(received, id);
  } finally {
    received?.close();
    berth(["delete", "--force", id]);
  }
}

/** What a script shows on its terminal, up to "end", without carriage returns. */
function shown(text: string, patch: (config: Config) => void = () => {}): string {
  return converse(withTerminal(`${text}; echo end; sleep 1000`, patch), (terminal) => {
    const all = terminal.shows("end\r\n").replaceAll("\r\n", "\n");
    return all.slice(0, -"end\n".length);
  });
}

describe("create --console-socket", () => {
  test("hands over the master, with a payload, and its two sides talk", () => {
    converse(withTerminal("read line; echo got $line; sleep 1000"), (terminal) => {
      expect(terminal.payload).toBe("/dev/ptmx");
      terminal.type("hello\n");
      expect(terminal.shows("got hello\r\n")).toBe("hello\r\ngot hello\r\n");
    });
  });

  test("the terminal is stdin, stdout, stderr, /dev/console and /dev/tty", () => {
    expect(
      shown(
        "tty; for n in 0 1 2; do readlink /proc/1/fd/$n; done; stat -c %t:%T /dev/console /dev/pts/0; " +
          "[ -c /dev/console ] && echo on /dev/console > /dev/console; echo on /dev/tty > /dev/tty",
      ),
    ).toBe(`/dev/pts/0\n${"/dev/pts/0\n".repeat(3)}88:0\n88:0\non /dev/console\non /dev/tty\n`);
  });

  test("it is the controlling terminal: what is typed there interrupts", () => {
    const text = "trap 'echo interrupted' INT; echo ready; sleep 1000 & while :; do wait; done";
    converse(withTerminal(text), (terminal) => {
      terminal.shows("ready\r\n");
      terminal.type("\x03");
      expect(terminal.shows("interrupted\r\n")).toContain("^C");
    });
  });

  test("a hangup ends what is in it", () => {
    converse(withTerminal("trap 'exit 0' HUP; echo ready; while :; do sleep 0.01; done"), (terminal, id) => {
      terminal.shows("ready\r\n");
      terminal.close();
      waitUntil(() => succeed(["state", id]).includes('"stopped"'), "it has ended");
    });
  });

  test("it has the size of consoleSize, and none otherwise", () => {
    const size = (config: Config) => {
      config.process.consoleSize = { height: 41, width: 123 };
    };
    expect(shown("stty size", size)).toBe("41 123\n");
    expect(shown("echo size $(stty size 2> /dev/null)")).toBe("size\n");
  });

  test("it belongs to the user of the container, and the group of its devpts", () => {
    const user = (config: Config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    };
    expect(
      shown("stat -c '%u %g %a' /dev/pts/0; echo again > /dev/pts/0; exec 3<> /dev/tty && echo opened", user),
    ).toBe("1000 5 620\nagain\nopened\n");
  });

  test("it works in a user namespace", () => {
    const patch = (config: Config) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    };
    expect(shown("tty; stat -c %u:%t /dev/console", patch)).toBe("/dev/pts/0\n0:88\n");
  });

  test("it leaves no other descriptors behind, neither the master nor the socket", () => {
    // The shell that asks keeps a copy of its terminal, at a number from 10 on; it has no other child meanwhile.
    expect(shown("cd /proc/1/fd; echo *")).toMatch(/^0 1 2( 1\d)*( 3)?( 1\d)*\n$/);
    // The shell keeps a copy of its terminal; a program that does not has three.
    const bundle = makeBundle((config) => {
      terminal(config);
      config.process.args = ["/bin/ls", "/proc/self/fd"];
    });
    converse(bundle, (terminal) => {
      const names = terminal.shows("\r\n").trim().split(/\s+/);
      expect(names).toEqual(["0", "1", "2", "3"]);
    });
  });

  test("on a root file system that is read-only without a /dev of its own", () => {
    const patch = (config: Config) => {
      config.mounts = config.mounts.filter(
        ({ destination }) => !destination.startsWith("/dev") || destination === "/dev/pts",
      );
    };
    const bundle = withTerminal("tty; stat -c %t /dev/console; echo end; sleep 1000", patch);
    mkdirSync(join(bundle.rootfs, "dev/pts"), { recursive: true });
    expect(converse(bundle, (terminal) => terminal.shows("end\r\n"))).toBe("/dev/pts/0\r\n88\r\nend\r\n");
  });

  test("a /dev/console that the image made a symlink is not followed (CVE-2025-52565)", () => {
    const patch = (config: Config) => {
      config.root.readonly = false;
      config.mounts = config.mounts.filter(
        ({ destination }) => !destination.startsWith("/dev") || destination === "/dev/pts",
      );
    };
    const bundle = withTerminal("stat -c %t /dev/console; echo end; sleep 1000", patch);
    mkdirSync(join(bundle.rootfs, "dev/pts"), { recursive: true });
    symlinkSync("/etc/passwd", join(bundle.rootfs, "dev/console"));
    const passwd = join(bundle.rootfs, "etc/passwd");
    const before = readFileSync(passwd, "utf8");
    // The mount lies on the symlink itself.
    expect(converse(bundle, (terminal) => terminal.shows("end\r\n"))).toBe("88\r\nend\r\n");
    expect(readFileSync(passwd, "utf8")).toBe(before);
  });

  test("run --detach takes one too", () => {
    const id = newId();
    succeed([
      "run",
      "--detach",
      "--bundle",
      withTerminal("echo here; sleep 1000").path,
      "--console-socket",
      console.path,
      id,
    ]);
    const terminal = console.receive();
    try {
      expect(terminal.shows("here\r\n")).toBe("here\r\n");
    } finally {
      terminal.close();
      succeed(["delete", "--force", id]);
    }
  });
});

describe("refused", () => {
  const create = (bundle: Bundle, ...options: string[]) =>
    refuse(["create", "--bundle", bundle.path, ...options, newId()]);

  test("a terminal without anyone to receive it", () => {
    const phrase = "cannot allocate tty if berth will detach without setting console socket";
    expect(create(withTerminal("true"))).toContain(phrase);
    expect(refuse(["run", "--detach", "--bundle", withTerminal("true").path, newId()])).toContain(phrase);
  });

  test("a socket without a terminal, and one for a foreground run", () => {
    const phrase = "cannot use console socket if berth will not detach or allocate tty";
    const plain = makeBundle();
    expect(create(plain, "--console-socket", console.path)).toContain(phrase);
    for (const { path } of [plain, withTerminal("true")])
      expect(refuse(["run", "--bundle", path, "--console-socket", console.path, newId()])).toContain(phrase);
  });

  test("a socket that is not there, nobody listens on, or is none", () => {
    const bundle = withTerminal("true");
    const file = join(sockets, "file");
    writeFileSync(file, "");
    expect(create(bundle, "--console-socket", join(sockets, "absent"))).toContain(
      `--console-socket: connect to "${sockets}/absent": no such file or directory`,
    );
    expect(create(bundle, "--console-socket", file)).toContain("connection refused");
    console.close();
    expect(create(bundle, "--console-socket", console.path)).toContain("connection refused");
    console = listenForConsole(join(sockets, "other"));
  });

  test("a container without devpts, with what it needs", () => {
    const error = create(
      withTerminal("true", (config) => {
        config.mounts = config.mounts.filter(({ type }) => type !== "devpts");
      }),
      "--console-socket",
      console.path,
    );
    expect(error).toContain("process.terminal");
    expect(error).toContain("a terminal needs a mount of type devpts on /dev/pts");
  });
});

describe("run in the foreground of a terminal", () => {
  const surroundings = { cwd: directory, env: { ...process.env, SHELL: "/bin/bash" } };

  /** A command that runs a line of bash on a terminal, in which "$@" is `berth run` of a bundle. */
  function command(line: string, bundle: Bundle): string[] {
    const run = [program, "--root", stateRoot, "run", "--bundle", bundle.path, newId()];
    return ["script", "-qec", `set -- ${run.join(" ")}; ${line}`, "/dev/null"];
  }

  /** Its stdin stays open to the end: `script` would type an end of file otherwise. */
  async function onTerminal(line: string, bundle: Bundle) {
    const child = Bun.spawn(command(line, bundle), { ...surroundings, stdio: ["pipe", "pipe", "pipe"] });
    const output = await new Response(child.stdout).text();
    child.stdin.end();
    return { status: await child.exited, output };
  }

  test("shows what the container shows, to the last byte, and ends with its status", async () => {
    const { status, output } = await onTerminal('"$@"', withTerminal("seq 1 30000; tty; exit 42"));
    expect(status).toBe(42);
    const lines = Array.from({ length: 30000 }, (_, i) => String(i + 1));
    expect(output).toBe([...lines, "/dev/pts/0", ""].join("\r\n"));
  });

  test("ends with 128 + n when signal n ended it", async () => {
    // A shell in between: the first process of a pid namespace cannot be killed from within.
    const bundle = withTerminal("sleep 1000 & kill -9 $!; wait $!");
    expect((await onTerminal('"$@"', bundle)).status).toBe(137);
  });

  test("passes on what is typed, keys for signals too", async () => {
    const bundle = withTerminal(
      "trap 'echo interrupted; exit 3' INT; echo ready; read a; echo got $a; while :; do sleep 0.01; done",
    );
    const child = Bun.spawn(command('"$@"', bundle), { ...surroundings, stdio: ["pipe", "pipe", "pipe"] });
    const replies: [shown: string, typed: string][] = [
      ["ready\r\n", "words\n"],
      ["got words\r\n", "\x03"],
    ];
    let output = "";
    for await (const part of child.stdout) {
      output += new TextDecoder().decode(part);
      if (!output.endsWith(replies[0]?.[0] ?? "\0")) continue;
      child.stdin.write(replies.shift()?.[1] ?? "");
      child.stdin.flush();
    }
    child.stdin.end();
    // Each echoed once: by the container's terminal, not by the caller's, which is in raw mode.
    expect(output).toBe("ready\r\nwords\r\ngot words\r\n^Cinterrupted\r\n");
    expect(await child.exited).toBe(3);
  });

  test("gives the terminal back its mode, whether the container worked or not", async () => {
    const compare = 'before=$(stty -g); "$@"; [ "$before" = "$(stty -g)" ] && echo same';
    expect((await onTerminal(compare, withTerminal("echo x"))).output).toBe("x\r\nsame\r\n");
    const missing = makeBundle((config) => {
      terminal(config);
      config.process.args = ["/no/such/file"];
    });
    expect((await onTerminal(compare, missing)).output).toMatch(/no such file[\s\S]*same\r\n$/);
  });

  test("takes over the size of the window, and its changes", async () => {
    const bundle = withTerminal("trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.01; done");
    const { output } = await onTerminal(
      'stty rows 33 cols 77; (for i in {1..100}; do sleep 0.1; stty rows $((34 + i)) cols 78; done) < /dev/tty > /dev/null 2>&1 & "$@"; kill $!',
      bundle,
    );
    expect(output).toMatch(/^33 77\r\n\d+ 78\r\n/);
  });

  test("leaves nothing of it open in the container", async () => {
    const bundle = makeBundle((config) => {
      terminal(config);
      config.process.args = ["/bin/ls", "/proc/self/fd"];
    });
    expect((await onTerminal('"$@"', bundle)).output.trim().split(/\s+/)).toEqual(["0", "1", "2", "3"]);
  });

  test("works when stdin and stdout are no terminal", () => {
    const bundle = withTerminal("tty; echo size $(stty size 2> /dev/null); read x; echo got $x");
    const child = Bun.spawnSync([program, "--root", stateRoot, "run", "--bundle", bundle.path, newId()], {
      cwd: directory,
      stdio: [Buffer.from("typed\n"), "pipe", "pipe"],
    });
    expect(child.stderr.toString()).toBe("");
    // The terminal echoes when it is typed, which may be before anything is shown.
    const lines = child.stdout
      .toString()
      .split("\r\n")
      .filter((line) => line !== "typed");
    expect(lines).toEqual(["/dev/pts/0", "size", "got typed", ""]);
  });

  test("a container without a terminal has the caller's", async () => {
    const bundle = makeBundle(script("test -t 0 && test -t 1 && echo terminal; cat < /dev/tty 2>&1; exit 0"));
    const { output } = await onTerminal('"$@"', bundle);
    expect(output).toContain("terminal\r\n");
    // Not its controlling one: it leads a session of its own.
    expect(output).toContain("can't open /dev/tty");
  });
});
