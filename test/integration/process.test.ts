import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { v1Hierarchies } from "../../src/cgroups/v1/hierarchies.ts";
import { CAPABILITIES } from "../../src/spec/capabilities.ts";
import type { Process } from "../../src/spec/process.ts";
import { berth, type Config, makeBundle, newId, runScript } from "../bundle.ts";
import { field, runThrough } from "../caller.ts";

/** Runs a program of the container without a shell in between. */
function runProgram(args: string[], patch: (config: Config) => void = () => {}) {
  const bundle = makeBundle((config) => {
    config.process.args = args;
    patch(config);
  });
  return berth(["run", "--bundle", bundle.path, newId()]);
}

/** /proc/self/status of the very process that init executes. */
function ownStatus(patch: (config: Config) => void = () => {}): string {
  const { status, stdout, stderr } = runProgram(["/bin/cat", "/proc/self/status"], patch);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

/** Creates a container and looks at its init, which waits for `start`, from outside. */
function inspectCreated<T>(patch: (config: Config) => void, use: (pid: number) => T): T {
  const id = newId();
  const bundle = makeBundle(patch);
  const pidFile = join(bundle.path, "pid");
  try {
    const created = berth(["create", "--bundle", bundle.path, "--pid-file", pidFile, id]);
    expect(created).toMatchObject({ status: 0, stderr: "" });
    return use(Number(readFileSync(pidFile, "utf8")));
  } finally {
    berth(["delete", "--force", id]);
  }
}

const withUser = (user: Process["user"]) => (config: Config) => {
  config.process.user = user ?? {};
};

describe("process.user", () => {
  test("has the uid, gid and exactly the additional groups", () => {
    const status = ownStatus(withUser({ uid: 1234, gid: 567, additionalGids: [5, 600000, 4294967294] }));
    expect(field(status, "Uid")).toBe("1234\t1234\t1234\t1234");
    expect(field(status, "Gid")).toBe("567\t567\t567\t567");
    expect(field(status, "Groups")).toBe("5 600000 4294967294");
  });

  test("has none of the caller's groups without additionalGids", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/cat", "/proc/self/status"];
    });
    const { stdout } = runThrough('exec setpriv --groups 77,88 "$@"', bundle);
    expect(field(stdout, "Groups")).toBe("");
  });

  test("has the umask 0022 unless it says otherwise, whatever the caller's", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/sh", "-c", "umask"];
    });
    expect(runThrough('umask 077; exec "$@"', bundle).stdout).toBe("0022\n");
    expect(runScript("umask", withUser({ umask: 0o027 })).stdout).toBe("0027\n");
    expect(runScript("umask", withUser({ umask: 0 })).stdout).toBe("0000\n");
  });

  test("may write through stdio that is a file of another owner, and owns it", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/sh", "-c", "echo again >> /proc/self/fd/1"];
      config.process.user = { uid: 1000, gid: 1000 };
    });
    const file = join(bundle.path, "out");
    const { status, stderr } = runThrough(`exec "$@" > ${file}`, bundle);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(readFileSync(file, "utf8")).toBe("again\n");
    expect(statSync(file)).toMatchObject({ uid: 1000, gid: 0 });
  });

  test("gets pipes of its own, and never the host's /dev/null", () => {
    const before = statSync("/dev/null");
    const bundle = makeBundle((config) => {
      config.process.args = [
        "/bin/sh",
        "-c",
        'x=$(for n in 0 1 2; do stat -Lc %u:%t:%T /proc/1/fd/$n; done); echo "$x" >&2',
      ];
      config.process.user = { uid: 1000, gid: 1000 };
    });
    const { stderr } = runThrough('exec "$@" < /dev/null > /dev/null', bundle);
    expect(stderr).toBe("0:1:3\n0:1:3\n1000:0:0\n");
    expect(statSync("/dev/null")).toMatchObject({ uid: before.uid, gid: before.gid, mode: before.mode });
  });
});

describe("stdio that is the host's /dev/null", () => {
  test("becomes the container's own", () => {
    const bundle = makeBundle((config) => {
      config.process.args = [
        "/bin/sh",
        "-c",
        'x=$(stat -Lc %d:%i /dev/null /proc/1/fd/0 /proc/1/fd/1); echo "$x" >&2',
      ];
    });
    const { stderr } = runThrough('exec "$@" < /dev/null > /dev/null', bundle);
    const [own, stdin, stdout] = stderr.trim().split("\n");
    const host = statSync("/dev/null");
    expect([stdin, stdout]).toEqual([own, own]);
    expect(own).not.toBe(`${host.dev}:${host.ino}`);
  });
});

const bits = (names: readonly string[]) =>
  names.reduce((mask, name) => mask | (1n << BigInt(CAPABILITIES[name] ?? 0)), 0n);
const hex = (mask: bigint) => mask.toString(16).padStart(16, "0");

const SETS = {
  CapBnd: "bounding",
  CapEff: "effective",
  CapPrm: "permitted",
  CapInh: "inheritable",
  CapAmb: "ambient",
};

function capabilitiesOf(status: string): Record<string, string | undefined> {
  return Object.fromEntries(Object.keys(SETS).map((name) => [name, field(status, name)]));
}

describe("process.capabilities", () => {
  const five = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SYS_ADMIN"],
    permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_BPF"],
    effective: ["CAP_KILL", "CAP_BPF"],
    inheritable: ["CAP_NET_RAW", "CAP_CHOWN"],
    ambient: ["CAP_NET_RAW"],
  };

  test.for([0, 1000])("are the five sets as given, for user %d, when init is ready", (uid) => {
    const status = inspectCreated(
      (config) => {
        config.process.user = { uid, gid: uid };
        config.process.capabilities = five;
        config.process.noNewPrivileges = false;
      },
      (pid) => readFileSync(`/proc/${pid}/status`, "utf8"),
    );
    expect(capabilitiesOf(status)).toEqual({
      CapBnd: hex(bits(five.bounding)),
      CapPrm: hex(bits(five.permitted)),
      CapEff: hex(bits(five.effective)),
      CapInh: hex(bits(five.inheritable)),
      CapAmb: hex(bits(five.ambient)),
    });
  });

  test("leave another user only what is ambient once it is executed", () => {
    const status = ownStatus((config) => {
      config.process.user = { uid: 1000, gid: 1000 };
      config.process.capabilities = five;
    });
    const ambient = hex(bits(five.ambient));
    expect(capabilitiesOf(status)).toEqual({
      CapBnd: hex(bits(five.bounding)),
      CapPrm: ambient,
      CapEff: ambient,
      CapInh: hex(bits(five.inheritable)),
      CapAmb: ambient,
    });
  });

  test("act: CAP_CHOWN changes owners, its absence does not", () => {
    const script = "touch /tmp/f && chown 5:5 /tmp/f && stat -c %u /tmp/f";
    const withTmp = (names: string[]) => (config: Config) => {
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
      config.process.capabilities = { bounding: names, permitted: names, effective: names };
    };
    expect(runScript(script, withTmp(["CAP_CHOWN"]))).toMatchObject({ status: 0, stdout: "5\n" });
    const { status, stderr } = runScript(script, withTmp(["CAP_KILL"]));
    expect(status).toBe(1);
    expect(stderr).toContain("Operation not permitted");
  });

  test.for<[string, Process["capabilities"] | undefined]>([
    ["absent", undefined],
    ["empty", {}],
  ])("are none when %s", ([, capabilities]) => {
    const status = ownStatus((config) => {
      if (capabilities === undefined) Reflect.deleteProperty(config.process, "capabilities");
      else config.process.capabilities = capabilities;
    });
    for (const [name, value] of Object.entries(capabilitiesOf(status)))
      expect([name, value]).toEqual([name, hex(0n)]);
  });

  test("that have no known name are warned about and not given, the others are", () => {
    const { status, stdout, stderr } = runProgram(["/bin/cat", "/proc/self/status"], (config) => {
      const names = ["CAP_KILL", "CAP_TIME_TRAVEL", "cap_chown"];
      config.process.capabilities = { bounding: names, permitted: names, effective: names };
    });
    expect(status).toBe(0);
    expect(stderr).toContain("CAP_TIME_TRAVEL, cap_chown");
    expect(field(stdout, "CapEff")).toBe(hex(bits(["CAP_KILL"])));
  });

  test("that cannot be ambient are warned about and not raised", () => {
    const { stdout, stderr } = runProgram(["/bin/cat", "/proc/self/status"], (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
      config.process.capabilities = {
        bounding: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
        ambient: ["CAP_KILL"],
      };
    });
    expect(stderr).toContain("not both inheritable and permitted, and is not given: CAP_KILL");
    expect(field(stdout, "CapAmb")).toBe(hex(0n));
  });

  test("that berth itself lacks are refused, with what it needs", () => {
    const bundle = makeBundle((config) => {
      const names = ["CAP_KILL", "CAP_SYS_RESOURCE"];
      config.process.capabilities = { bounding: names, permitted: names, effective: names };
    });
    const { status, stderr } = runThrough('exec setpriv --bounding-set -sys_resource "$@"', bundle);
    expect(status).toBe(1);
    expect(stderr).toContain("process.capabilities");
    expect(stderr).toContain("operation not permitted");
    expect(stderr).toContain("has no CAP_SYS_RESOURCE");
  });
});

test.for([true, false])("noNewPrivileges %s", (noNewPrivileges) => {
  const status = ownStatus((config) => {
    config.process.noNewPrivileges = noNewPrivileges;
  });
  expect(field(status, "NoNewPrivs")).toBe(noNewPrivileges ? "1" : "0");
});

describe("process.rlimits", () => {
  const withLimits = (rlimits: NonNullable<Process["rlimits"]>) => (config: Config) => {
    config.process.rlimits = rlimits;
  };
  const limit = (text: string, name: string) =>
    new RegExp(`^${name} +(\\S+) +(\\S+)`, "m").exec(text)?.slice(1);
  const limits = (patch: (config: Config) => void) =>
    runProgram(["/bin/cat", "/proc/self/limits"], patch).stdout;

  test("of all sixteen kinds are set", () => {
    const kinds = [
      ["CPU", "Max cpu time", 500, 800],
      ["FSIZE", "Max file size", 50001, 50002],
      ["DATA", "Max data size", 8000003, 8000004],
      ["STACK", "Max stack size", 8000005, 8000006],
      ["CORE", "Max core file size", 7, 8],
      ["RSS", "Max resident set", 8000007, 8000008],
      ["NPROC", "Max processes", 509, 510],
      ["NOFILE", "Max open files", 511, 512],
      ["MEMLOCK", "Max locked memory", 80013, 80014],
      ["AS", "Max address space", 80000015, 80000016],
      ["LOCKS", "Max file locks", 517, 518],
      ["SIGPENDING", "Max pending signals", 519, 520],
      ["MSGQUEUE", "Max msgqueue size", 521, 522],
      ["NICE", "Max nice priority", 0, 0],
      ["RTPRIO", "Max realtime priority", 0, 0],
      ["RTTIME", "Max realtime timeout", 523, 524],
    ] as const;
    const text = limits(
      withLimits(kinds.map(([kind, , soft, hard]) => ({ type: `RLIMIT_${kind}`, soft, hard }))),
    );
    for (const [, name, soft, hard] of kinds) {
      expect([name, ...(limit(text, name) ?? [])]).toEqual([name, String(soft), String(hard)]);
    }
  });

  test("may be without end", () => {
    // RLIM_INFINITY is 2^64 - 1, which no double is.
    const infinity = 2 ** 64;
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/cat", "/proc/self/limits"];
      config.process.rlimits = [
        { type: "RLIMIT_CPU", soft: 60, hard: infinity },
        { type: "RLIMIT_FSIZE", soft: infinity, hard: infinity },
      ];
    });
    const path = join(bundle.path, "config.json");
    writeFileSync(
      path,
      readFileSync(path, "utf8").replaceAll("18446744073709552000", "18446744073709551615"),
    );
    const { stdout } = berth(["run", "--bundle", bundle.path, newId()]);
    expect(limit(stdout, "Max cpu time")).toEqual(["60", "unlimited"]);
    expect(limit(stdout, "Max file size")).toEqual(["unlimited", "unlimited"]);
  });

  test("act: a file beyond RLIMIT_FSIZE cannot be written", () => {
    const { status } = runScript("head -c 2000 /dev/zero > /tmp/f; exit $?", (config) => {
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
      config.process.rlimits = [{ type: "RLIMIT_FSIZE", soft: 1000, hard: 1000 }];
    });
    // SIGXFSZ ends it, which berth ignores and a container must not inherit ignored.
    expect(status).toBe(128 + 25);
  });

  test("leave open files at the caller's own limit", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/cat", "/proc/self/limits"];
      config.process.rlimits = [];
    });
    for (const [soft, hard] of [
      [300, 4000],
      [256, 256],
    ]) {
      const { stdout } = runThrough(`ulimit -Sn ${soft}; ulimit -Hn ${hard}; exec "$@"`, bundle);
      expect(limit(stdout, "Max open files")).toEqual([String(soft), String(hard)]);
    }
  });

  test("are the caller's where config.json has none", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/cat", "/proc/self/limits"];
    });
    const { stdout } = runThrough('ulimit -Hc 5; ulimit -Sc 4; ulimit -Su 5000; exec "$@"', bundle);
    expect(limit(stdout, "Max core file size")).toEqual([String(4 * 1024), String(5 * 1024)]);
    expect(limit(stdout, "Max processes")?.[0]).toBe("5000");
    expect(limit(stdout, "Max open files")).toEqual(["1024", "1024"]);
  });

  test("above the hard limit that berth has are refused when it may not raise it", () => {
    const bundle = makeBundle(withLimits([{ type: "RLIMIT_NOFILE", soft: 200, hard: 400 }]));
    const { status, stderr } = runThrough(
      'ulimit -n 300; exec setpriv --bounding-set -sys_resource --inh-caps -sys_resource "$@"',
      bundle,
    );
    expect(status).toBe(1);
    expect(stderr).toContain("process.rlimits[0] RLIMIT_NOFILE");
    expect(stderr).toContain("CAP_SYS_RESOURCE");
  });
});

describe("scheduling", () => {
  test("oomScoreAdj is set, and the caller's stays without", () => {
    expect(
      runScript("cat /proc/self/oom_score_adj", (config) => {
        config.process.oomScoreAdj = 789;
      }).stdout,
    ).toBe("789\n");
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/cat", "/proc/self/oom_score_adj"];
    });
    expect(runThrough('echo 123 > /proc/self/oom_score_adj; exec "$@"', bundle).stdout).toBe("123\n");
  });

  /** On cgroup v1 each cgroup on the way needs some real-time, and begins without. */
  const allowRealTime = (config: Config) => {
    const cpu = v1Hierarchies().find(({ controllers }) => controllers.includes("cpu"));
    if (cpu === undefined || !existsSync(`${cpu.mount}/cpu.rt_runtime_us`)) return;
    const above = `${cpu.mount}${dirname(config.linux.cgroupsPath ?? "")}`;
    mkdirSync(above, { recursive: true });
    writeFileSync(`${above}/cpu.rt_runtime_us`, "20000");
    config.linux.resources = { ...config.linux.resources, cpu: { realtimeRuntime: 10_000 } };
  };

  const scheduled = (scheduler: NonNullable<Process["scheduler"]>) =>
    inspectCreated(
      (config) => {
        config.process.scheduler = scheduler;
        if (scheduler.policy === "SCHED_FIFO" || scheduler.policy === "SCHED_RR") allowRealTime(config);
      },
      (pid) => ({
        chrt: Bun.spawnSync(["chrt", "-p", String(pid)]).stdout.toString(),
        nice: Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[16]),
      }),
    );

  test.for([
    ["SCHED_OTHER", { nice: 7 }, { nice: 7 }],
    ["SCHED_OTHER", { nice: -5 }, { nice: -5 }],
    ["SCHED_BATCH", { nice: 3 }, { nice: 3 }],
    ["SCHED_IDLE", {}, { nice: 0 }],
    ["SCHED_FIFO", { priority: 12 }, { chrt: "priority: 12" }],
    ["SCHED_RR", { priority: 5, flags: ["SCHED_FLAG_RESET_ON_FORK"] }, { chrt: "priority: 5" }],
    [
      "SCHED_DEADLINE",
      { runtime: 1_000_000, deadline: 20_000_000, period: 30_000_000 },
      { chrt: "1000000/20000000/30000000" },
    ],
  ] as const)("scheduler %s %j", ([policy, values, expected]) => {
    const { chrt, nice } = scheduled({ policy, ...values } as NonNullable<Process["scheduler"]>);
    expect(chrt).toContain(policy);
    if ("chrt" in expected) expect(chrt).toContain(expected.chrt);
    else expect(nice).toBe(expected.nice);
    expect(chrt.includes("SCHED_RESET_ON_FORK")).toBe("flags" in values);
  });

  test("a policy that the kernel does not have is refused by name", () => {
    const { status, stderr } = runProgram(["/bin/true"], (config) => {
      config.process.scheduler = { policy: "SCHED_ISO" };
    });
    expect(status).toBe(1);
    expect(stderr).toContain("process.scheduler");
    expect(stderr).toContain("SCHED_ISO");
  });

  test.for([
    ["IOPRIO_CLASS_BE", 6, "best-effort: prio 6"],
    ["IOPRIO_CLASS_RT", 2, "realtime: prio 2"],
    ["IOPRIO_CLASS_IDLE", 0, "idle"],
  ] as const)("ioPriority %s %d", ([name, priority, shown]) => {
    const found = inspectCreated(
      (config) => {
        config.process.ioPriority = { class: name, priority };
      },
      (pid) =>
        Bun.spawnSync(["ionice", "-p", String(pid)])
          .stdout.toString()
          .trim(),
    );
    expect(found).toBe(shown);
  });

  test("personality LINUX32 makes another machine of it, LINUX does not", () => {
    const machine = (domain: "LINUX" | "LINUX32") =>
      runScript("uname -m", (config) => {
        config.linux.personality = { domain };
      }).stdout.trim();
    const host = Bun.spawnSync(["uname", "-m"]).stdout.toString().trim();
    expect(machine("LINUX")).toBe(host);
    expect(machine("LINUX32")).toBe({ x86_64: "i686", aarch64: "armv8l" }[host]);
  });
});

describe("session keyring", () => {
  const script = "cat /proc/keys";
  const unmasked = (config: Config) => {
    config.linux.maskedPaths = [];
    config.process.args = ["/bin/sh", "-c", script];
  };

  test("is the container's own, with its id in the name", () => {
    const bundle = makeBundle(unmasked);
    const id = newId();
    const { stdout } = berth(["run", "--bundle", bundle.path, id]);
    expect(stdout).toContain(`_ses.${id}`);
  });

  test("is the caller's with --no-new-keyring", () => {
    const bundle = makeBundle(unmasked);
    const id = newId();
    const { status, stdout } = berth(["run", "--no-new-keyring", "--bundle", bundle.path, id]);
    expect(status).toBe(0);
    expect(stdout).not.toContain(`_ses.${id}`);
  });
});

describe("process.cwd", () => {
  const inDirectory =
    (cwd: string, more: (config: Config) => void = () => {}) =>
    (config: Config) => {
      config.process.cwd = cwd;
      config.root.readonly = false;
      more(config);
    };

  test("is where the process starts", () => {
    expect(runScript("pwd; ls -d .", inDirectory("/etc")).stdout).toBe("/etc\n.\n");
  });

  test("is made when it is missing, with mode 0755 and owned by root, inside the rootfs", () => {
    const bundle = makeBundle(
      inDirectory("/srv/link/deep/er", (config) => {
        config.process.args = ["/bin/sh", "-c", "pwd; stat -c %a:%u /srv/data/deep/er"];
        config.process.user = { uid: 1000, gid: 1000, umask: 0o077 };
      }),
    );
    mkdirSync(join(bundle.rootfs, "srv/data"), { recursive: true });
    symlinkSync("/srv/data", join(bundle.rootfs, "srv/link"));
    const { status, stdout, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe("/srv/data/deep/er\n755:0\n");
    expect(existsSync("/srv/data/deep")).toBe(false);
  });

  test("that is a file is refused", () => {
    const { status, stderr } = runProgram(["/bin/true"], inDirectory("/etc/passwd"));
    expect(status).toBe(1);
    expect(stderr).toContain("process.cwd /etc/passwd: ");
    expect(stderr.toLowerCase()).toContain("not a directory");
  });

  test("may be one that its user could not enter: root enters it before", () => {
    const bundle = makeBundle(
      inDirectory("/private", (config) => {
        config.process.args = ["/bin/sh", "-c", "pwd; ls"];
        config.process.user = { uid: 1000, gid: 1000 };
      }),
    );
    mkdirSync(join(bundle.rootfs, "private"), { mode: 0o700 });
    const { stdout, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
    expect(stdout).toBe("/private\n");
    expect(stderr).toContain("Permission denied");
  });

  test("that neither root nor its user may enter is refused", () => {
    const bundle = makeBundle(
      inDirectory("/private", (config) => {
        config.process.user = { uid: 5, gid: 5 };
        config.linux.namespaces.push({ type: "user" });
        config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
        config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
      }),
    );
    mkdirSync(join(bundle.rootfs, "private"), { mode: 0o700 });
    const { status, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
    expect(status).toBe(1);
    expect(stderr).toContain("process.cwd /private: ");
    expect(stderr).toContain("permission denied");
    expect(stderr).toContain("the user of process.user must be able to enter");
  });

  test("that leads out through a descriptor of berth's is refused, whichever number (CVE-2024-21626)", () => {
    for (let fd = 3; fd <= 20; fd++) {
      const bundle = makeBundle((config) => {
        config.process.args = ["/bin/sh", "-c", "ls -a . .. ../.."];
        config.process.cwd = `/proc/self/fd/${fd}`;
      });
      const { status, stdout, stderr } = berth(["run", "--bundle", bundle.path, newId()]);
      expect([fd, status, stdout]).toEqual([fd, 1, ""]);
      expect(stderr).toContain("process.cwd");
    }
  });

  test("that leads out through a descriptor of the caller's is refused (CVE-2024-21626)", () => {
    for (const options of [[], ["--preserve-fds", "3"]]) {
      const bundle = makeBundle((config) => {
        config.process.args = ["/bin/sh", "-c", "ls"];
        config.process.cwd = "/proc/self/fd/5";
      });
      const { status, stdout, stderr } = runThrough('exec 3</ 4</ 5</tmp; exec "$@"', bundle, { options });
      expect([status, stdout]).toEqual([1, ""]);
      expect(stderr).toContain("process.cwd");
    }
  });
});

describe("process.env", () => {
  const environment = (env: string[], patch: (config: Config) => void = () => {}) =>
    runProgram(["/bin/busybox", "env"], (config) => {
      config.process.env = env;
      patch(config);
    }).stdout;

  test("is given as it stands, the last of a name counts, in the place of the last", () => {
    expect(environment(["A=1", "HOME=/h", "B=2", "A=3", "EMPTY=", "X=a=b"])).toBe(
      "HOME=/h\nB=2\nA=3\nEMPTY=\nX=a=b\n",
    );
  });

  test("keeps line breaks, spaces and bytes beyond ASCII in a value", () => {
    expect(environment(["HOME=/", "A=first\nsecond\t ü$(x)"])).toBe("HOME=/\nA=first\nsecond\t ü$(x)\n");
  });

  test("has nothing of the caller's", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/busybox", "env"];
      config.process.env = ["HOME=/"];
    });
    expect(runThrough('export SECRET=1 TERM=x; exec "$@"', bundle).stdout).toBe("HOME=/\n");
  });

  test("that is no NAME=VALUE is refused", () => {
    for (const entry of ["A", "", "=b"]) {
      const { status, stderr } = runProgram(["/bin/true"], (config) => {
        config.process.env = ["HOME=/", entry];
      });
      expect(status).toBe(1);
      expect(stderr).toContain("process.env[1]");
    }
  });

  test.for<[string, number, string[], string]>([
    ["of root", 0, [], "/root"],
    ["of another user", 1000, [], "/home"],
    ["that is empty counts as none", 1000, ["HOME="], "/home"],
    ["of a user that /etc/passwd does not know", 4321, [], "/"],
    ["that is given stays", 1000, ["HOME=/given"], "/given"],
    ["given twice, last empty", 1000, ["HOME=/given", "HOME="], "/home"],
  ])("HOME %s", ([, uid, env, home]) => {
    expect(environment(env, withUser({ uid, gid: uid }))).toBe(`HOME=${home}\n`);
  });

  test("HOME comes from what the container sees, not from the host or through a symlink out of it", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/busybox", "env"];
      config.process.env = [];
    });
    const passwd = join(bundle.rootfs, "etc/passwd");
    const home = () => berth(["run", "--bundle", bundle.path, newId()]).stdout;
    rmSync(passwd);
    expect(home()).toBe("HOME=/\n");
    // A file of that name on the host, which the container does not have.
    const outside = join(bundle.path, "passwd");
    writeFileSync(outside, "root:x:0:0::/outside:/bin/sh\n");
    symlinkSync(outside, passwd);
    expect(home()).toBe("HOME=/\n");
    rmSync(passwd);
    writeFileSync(passwd, "no line\nother:x\n:::\nx:y:0:0:g:/inside\n");
    expect(home()).toBe("HOME=/inside\n");
  });

  test('HOME is "/" when /etc/passwd is no file to read, and nothing hangs', () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/busybox", "env"];
      config.process.env = [];
    });
    const passwd = join(bundle.rootfs, "etc/passwd");
    rmSync(passwd);
    Bun.spawnSync(["mkfifo", passwd]);
    expect(berth(["run", "--bundle", bundle.path, newId()])).toMatchObject({ status: 0, stdout: "HOME=/\n" });
    rmSync(passwd);
    mkdirSync(passwd);
    expect(berth(["run", "--bundle", bundle.path, newId()])).toMatchObject({ status: 0, stdout: "HOME=/\n" });
  });
});

describe("process.args", () => {
  test("may be as long as the kernel takes, beside one that is not ASCII", () => {
    const long = "y".repeat(100_000);
    const { stdout } = runScript("", (config) => {
      config.process.args = ["/bin/sh", "-c", 'printf %s "$1" | wc -c; echo "$2"', "sh", long, "ü"];
    });
    expect(stdout).toBe("100000\nü\n");
  });

  /** A bundle with a script `tool` in each of these directories, which says where it is. */
  function withTools(places: Record<string, number>, patch: (config: Config) => void) {
    const bundle = makeBundle((config) => {
      config.process.args = ["tool"];
      patch(config);
    });
    for (const [place, mode] of Object.entries(places)) {
      const path = join(bundle.rootfs, place);
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, "tool"), `#!/bin/sh\necho ${place} $0\n`);
      chmodSync(join(path, "tool"), mode);
    }
    return bundle;
  }
  const run = (bundle: ReturnType<typeof makeBundle>) => berth(["run", "--bundle", bundle.path, newId()]);

  test("are found in PATH of the container, in its order, passing by directories and what is not executable", () => {
    const bundle = withTools({ opt: 0o644, srv: 0o755, bin: 0o755 }, ({ process }) => {
      process.env = ["PATH=/nowhere:/etc/passwd:/home:/opt:/srv:/bin"];
    });
    mkdirSync(join(bundle.rootfs, "home/tool"));
    expect(run(bundle)).toMatchObject({ status: 0, stdout: "srv /srv/tool\n" });
  });

  test("are found in the working directory where PATH has an empty or relative entry", () => {
    const bundle = withTools({ opt: 0o755, "opt/sub": 0o755 }, ({ process }) => {
      process.cwd = "/opt";
      process.env = ["PATH=/nowhere::/bin"];
    });
    expect(run(bundle).stdout).toBe("opt ./tool\n");
    const relative = withTools({ opt: 0o755, "opt/sub": 0o755 }, ({ process }) => {
      process.cwd = "/opt";
      process.env = ["PATH=sub"];
    });
    expect(run(relative).stdout).toBe("opt/sub sub/tool\n");
  });

  test("with a slash start at the working directory, and PATH is not searched", () => {
    const bundle = withTools({ opt: 0o755, bin: 0o755 }, ({ process }) => {
      process.cwd = "/opt";
      process.args = ["./tool"];
    });
    expect(run(bundle).stdout).toBe("opt ./tool\n");
    const above = withTools({ opt: 0o755 }, ({ process }) => {
      process.cwd = "/bin";
      process.args = ["../opt/tool", "x"];
    });
    expect(run(above).stdout).toBe("opt ../opt/tool\n");
  });

  test("keep argv[0] and empty arguments as they are", () => {
    const { stdout } = runProgram(["sh", "-c", 'tr "\\0" "|" < /proc/$$/cmdline; exit', "", "a b", "", "ü"]);
    expect(stdout).toBe('sh|-c|tr "\\0" "|" < /proc/$$/cmdline; exit||a b||ü|');
  });

  test.for<[string, string[], string[] | undefined]>([
    ["in none of PATH", ["no-such-tool"], ["PATH=/bin:/usr/bin"]],
    ["without PATH", ["sh"], []],
    ["with an empty PATH", ["sh"], ["PATH="]],
    ["an empty name", [""], undefined],
    ["a directory alone", ["etc"], ["PATH=/"]],
  ])("that are not found are refused by create: %s", ([, args, env]) => {
    const { status, stderr } = runProgram(args, (config) => {
      config.process.args = args;
      if (env !== undefined) config.process.env = env;
    });
    expect(status).toBe(1);
    expect(stderr).toContain("executable file not found in $PATH");
  });

  test("that are absolute and missing are refused with the phrase of the field", () => {
    const { status, stderr } = runProgram(["/no/such/file"]);
    expect(status).toBe(1);
    expect(stderr).toContain('process.args[0] "/no/such/file"');
    expect(stderr).toContain("no such file or directory");
  });

  test("that the user may not execute are refused with the phrase of the field", () => {
    const bundle = withTools({ opt: 0o700 }, ({ process }) => {
      process.args = ["/opt/tool"];
      process.user = { uid: 1000, gid: 1000 };
    });
    const { status, stderr } = run(bundle);
    expect(status).toBe(1);
    expect(stderr).toContain("permission denied");
  });

  test("are executed as their user: a file that only its group may execute", () => {
    const bundle = withTools({ opt: 0o750 }, ({ process }) => {
      process.args = ["/opt/tool"];
      process.user = { uid: 1000, gid: 1000, additionalGids: [77] };
    });
    chownSync(join(bundle.rootfs, "opt/tool"), 0, 77);
    expect(run(bundle)).toMatchObject({ status: 0, stdout: "opt /opt/tool\n" });
  });
});

describe("descriptors", () => {
  const listing = (config: Config) => {
    config.process.args = ["/bin/sh", "-c", "cd /proc/self/fd; echo *"];
  };
  // The glob's own descriptor of the directory is open while it is read.
  const openTwenty = 'exec 3</etc; for fd in {4..22}; do eval "exec $fd</"; done';

  test("of the caller do not reach the container", () => {
    const bundle = makeBundle(listing);
    expect(runThrough(`exec "$@"`, bundle).stdout).toBe("0 1 2 3\n");
    expect(runThrough(`${openTwenty}; exec "$@"`, bundle).stdout).toBe("0 1 2 3\n");
  });

  test("of init are stdio and two sockets of its own while it waits", () => {
    const names = inspectCreated(
      () => {},
      (pid) => Bun.spawnSync(["ls", "-l", `/proc/${pid}/fd`]).stdout.toString(),
    );
    const links = [...names.matchAll(/ (\d+) -> (\w+)/g)].map(([, fd, target]) => [Number(fd), target]);
    expect(links.filter(([fd]) => Number(fd) > 2).map(([, target]) => target)).toEqual(["socket", "socket"]);
  });

  test("that --preserve-fds asks for do, and no others", () => {
    const bundle = makeBundle((config) => {
      config.process.args = ["/bin/sh", "-c", "cat <&3; cat <&4; cd /proc/self/fd; echo *"];
    });
    const a = join(bundle.path, "a");
    writeFileSync(a, "from a\n");
    const { status, stdout, stderr } = runThrough(
      `${openTwenty}; exec 3<${a} 4<<<'from b'; exec "$@"`,
      bundle,
      { options: ["--preserve-fds", "2"] },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe("from a\nfrom b\n0 1 2 3 4 5\n");
  });

  test("may be twenty", () => {
    const { status, stdout, stderr } = runThrough(`${openTwenty}; exec "$@"`, makeBundle(listing), {
      options: ["--preserve-fds", "20"],
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const numbers = stdout.trim().split(" ").map(Number);
    expect(numbers.sort((a, b) => a - b)).toEqual([...Array(24).keys()]);
  });

  test("of stdio that the caller has closed are /dev/null", () => {
    const bundle = makeBundle((config) => {
      config.process.args = [
        "/bin/sh",
        "-c",
        'cat; echo gone; x=$(stat -Lc %t:%T /proc/1/fd/0 /proc/1/fd/1); echo "$x" >&2',
      ];
    });
    expect(runThrough('exec "$@" <&- >&-', bundle)).toMatchObject({ status: 0, stderr: "1:3\n1:3\n" });
  });

  test("that are not there are refused by number", () => {
    const { status, stderr } = runThrough('exec 3</ 5</; exec "$@"', makeBundle(), {
      options: ["--preserve-fds", "3"],
    });
    expect(status).toBe(1);
    expect(stderr).toContain("--preserve-fds 3: descriptor 4 is not open");
  });
});

test("signals are at their defaults, whatever the caller ignores and blocks", () => {
  const bundle = makeBundle((config) => {
    config.process.args = ["/bin/cat", "/proc/self/status"];
  });
  const { stdout } = runThrough(
    'exec env --ignore-signal=PIPE,HUP,USR2,RTMIN+3 --block-signal=USR1,TERM,RTMIN "$@"',
    bundle,
  );
  for (const name of ["SigIgn", "SigBlk", "SigPnd", "ShdPnd"])
    expect([name, field(stdout, name)]).toEqual([name, hex(0n)]);
});

test("the process leads a session and a process group of its own", () => {
  const ids = ownStatus();
  expect([field(ids, "NSsid"), field(ids, "NSpgid"), field(ids, "NSpid")]).toEqual(["1", "1", "1"]);
});
