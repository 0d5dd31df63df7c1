/** What a user of an engine waits for: its whole command, of which the runtime's calls are a part. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "./cases.ts";
import { type Contestant, rootfs } from "./contestants.ts";
import { time } from "./measure.ts";

/** An engine gives a runtime its path and nothing else: who needs an option to work here has no part. */
const isAlone = ({ command }: Contestant): boolean => command.length === 1;

/** Root may lack CAP_SYS_RESOURCE, and then Podman's own defaults are above the hard limits; no systemd is asked for anything. */
const CONTAINERS_CONF = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

const podman: Case["prepare"] = (work, contestant) => {
  const [env, program] = [Bun.which("env"), Bun.which("podman")];
  if (!isAlone(contestant) || env === null || program === null) return undefined;
  const at = (name: string) => join(work, `podman-${contestant.name}`, name);
  mkdirSync(at(""));
  const conf = at("containers.conf");
  writeFileSync(conf, CONTAINERS_CONF);
  const options = [
    "--root",
    at("root"),
    "--runroot",
    at("run"),
    "--tmpdir",
    at("tmp"),
    "--storage-driver",
    "vfs",
  ];
  const command = [env, `CONTAINERS_CONF=${conf}`, program, ...options, "--runtime", ...contestant.command];
  // No limits: the cgroup v2 of a hybrid host has no controllers.
  const run = ["run", "--rm", "--network", "none", "--pids-limit", "-1", "--rootfs", rootfs, "/bin/true"];
  return () => time(work, [...command, ...run]).milliseconds;
};

/** Of all contestants; it ends with the benchmark's pid namespace. */
let containerd: string | undefined;

function startContainerd(work: string): string {
  const at = (name: string) => join(work, "containerd", name);
  mkdirSync(at(""));
  const socket = at("socket");
  writeFileSync(
    at("config.toml"),
    `version = 2\nroot = ${JSON.stringify(at("root"))}\nstate = ${JSON.stringify(at("state"))}
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.grpc.v1.cri"]
[grpc]\naddress = ${JSON.stringify(socket)}\n[ttrpc]\naddress = ${JSON.stringify(`${socket}.ttrpc`)}\n`,
  );
  const daemon = Bun.spawn(["containerd", "--config", at("config.toml")], {
    stdio: ["ignore", "ignore", Bun.file(at("log"))],
  });
  daemon.unref();
  while (!existsSync(socket) || !Bun.spawnSync(["ctr", "-a", socket, "version"]).success) {
    if (daemon.exitCode !== null) throw new Error(`containerd ended, see ${at("log")}`);
    Bun.sleepSync(20);
  }
  return socket;
}

let serial = 0;

const ctr: Case["prepare"] = (work, contestant) => {
  const program = Bun.which("ctr");
  if (!isAlone(contestant) || program === null || Bun.which("containerd") === null) return undefined;
  containerd ??= startContainerd(work);
  const command = [
    program,
    "-a",
    containerd,
    "run",
    "--rm",
    "--runc-binary",
    ...contestant.command,
    "--rootfs",
    rootfs,
  ];
  return () => time(work, [...command, `bench-ctr-${++serial}`, "/bin/true"]).milliseconds;
};

export const engineCases: readonly Case[] = [
  { title: "podman run --rm true", unit: "ms", prepare: podman },
  // ctr asks for a share of the CPU, whether one wants it or not.
  { title: "ctr run --rm true, in the VM", unit: "ms", place: "vm", prepare: ctr },
];
