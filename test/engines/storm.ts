/** Many containers and many processes at once, through containerd's own API: no client's start is part of the time. */
import { closeSync, cpSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { namespaceOf, socketOf, writeConfig } from "./containerd.ts";
import { startDaemon } from "./daemon.ts";
import { prepare } from "./engine.ts";
import { connect, type Message } from "./grpc.ts";
import { type Place, rootfs } from "./scratch.ts";

const CONTAINERS = 100;
/** In how many of the containers processes are started, and how many in each. */
const CROWDED = 10;
const EXECS = 100;

const SIGKILL = 9;

/** Milliseconds from the first request to the last answer. */
export interface Figures {
  /** Containers are created and started. */
  readonly create: number;
  /** Processes are started in them, and have ended. */
  readonly exec: number;
  /** All containers are killed and removed. */
  readonly remove: number;
}

/** What the processes that were started came to: their exit code and output, in their order. */
export type Answers = readonly (readonly [exit: number, stdout: string])[];

export const expected: Answers = Array.from({ length: CROWDED * EXECS }, (_, i) => [
  i % EXECS,
  `${i % EXECS} in c${Math.floor(i / EXECS)}\n`,
]);

const packed = (type: string, value: unknown): Message => ({
  type_url: `types.containerd.io/opencontainers/runtime-spec/1/${type}`,
  value: Buffer.from(JSON.stringify(value)),
});

/** The program of a process, in the form of config.json. */
const program = (...args: string[]): Message => ({
  args,
  cwd: "/",
  env: ["PATH=/bin"],
  user: { uid: 0, gid: 0 },
});

/** @throws Error of gRPC, or containerd's, if anything is not answered */
export async function storm(place: Place): Promise<{ figures: Figures; answers: Answers }> {
  const at = (name: string) => join(place.path, name);
  const socket = socketOf(place);
  const daemon = await startDaemon(
    place,
    ["containerd", "--config", writeConfig(place)],
    `ctr -a ${socket} version`,
  );
  const headers = { "containerd-namespace": namespaceOf(place) };
  const containers = connect(
    socket,
    "containers.proto",
    "containerd.services.containers.v1.Containers",
    headers,
  );
  const tasks = connect(socket, "tasks.proto", "containerd.services.tasks.v1.Tasks", headers);
  cpSync(rootfs, at("rootfs"), { recursive: true, verbatimSymlinks: true });
  mkdirSync(at("out"));
  /*
   * A FIFO, whose opening waits for a writer: processes run at the same time, and none ends before all have started. If more than 32 end
   * while others are being started, containerd 1.6's shim hangs for a minute, whatever the runtime is: its starts keep the lock
   * that its ends need, and wait for a message that comes behind those.
   */
  await prepare(place, {}, "mkfifo rootfs/gate");

  const spec = (id: string): Message => ({
    ociVersion: "1.0.2",
    root: { path: at("rootfs"), readonly: true },
    process: program("sleep", "100000"),
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      // Of its own: in one that they share, runc's creations get in each other's way.
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755"] },
    ],
    linux: {
      namespaces: ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type })),
      cgroupsPath: `/${namespaceOf(place)}/${id}`,
    },
  });
  // Options.binary_name, which has the number 6, as the bytes of its message.
  const path = Buffer.from(place.program);
  if (path.length > 127) throw new Error(`the path ${place.program} is too long for one byte of length`);
  const options = {
    type_url: "containerd.runc.v1.Options",
    value: Buffer.concat([Buffer.of((6 << 3) | 2, path.length), path]),
  };

  async function create(id: string): Promise<void> {
    const runtime = { name: "io.containerd.runc.v2" };
    await containers.call("Create", { container: { id, runtime, spec: packed("Spec", spec(id)) } });
    await tasks.call("Create", { container_id: id, options });
    await tasks.call("Start", { container_id: id });
  }

  /** Starts a process that waits at the gate. @returns what waits for its end */
  async function exec(container_id: string, code: number): Promise<() => Promise<[number, string]>> {
    const request = { container_id, exec_id: `e${code}` };
    const output = at(`out/${container_id}-${code}`);
    // The shim ends if it is given but one of them.
    const stdio = { stdout: `file://${output}`, stderr: `file://${output}` };
    const process = program("sh", "-c", `: < /gate; echo ${code} in ${container_id}; exit ${code}`);
    await tasks.call("Exec", { ...request, ...stdio, spec: packed("Process", process) });
    await tasks.call("Start", request);
    return async () => {
      const { exit_status } = await tasks.call("Wait", request);
      await tasks.call("DeleteProcess", request);
      return [Number(exit_status), readFileSync(output, "utf8")];
    };
  }

  /** Lets processes of {@link exec} end. */
  async function pass(ends: readonly (() => Promise<[number, string]>)[]): Promise<Answers> {
    const gate = openSync(join(at("rootfs"), "gate"), "r+");
    try {
      return await Promise.all(ends.map((end) => end()));
    } finally {
      closeSync(gate);
    }
  }

  async function remove(container_id: string): Promise<void> {
    await tasks.call("Kill", { container_id, signal: SIGKILL });
    await tasks.call("Wait", { container_id });
    await tasks.call("Delete", { container_id });
    await containers.call("Delete", { id: container_id });
  }

  try {
    // Once, so that neither is the first to read its programs from the disk.
    await create("first");
    await pass([await exec("first", 0)]);
    await remove("first");

    const ids = Array.from({ length: CONTAINERS }, (_, i) => `c${i}`);
    const begun = performance.now();
    await Promise.all(ids.map(create));
    const created = performance.now();
    const ends = await Promise.all(
      Array.from({ length: CROWDED * EXECS }, (_, i) => exec(`c${Math.floor(i / EXECS)}`, i % EXECS)),
    );
    const answers = await pass(ends);
    const executed = performance.now();
    await Promise.all(ids.map(remove));
    const removed = performance.now();
    return {
      figures: { create: created - begun, exec: executed - created, remove: removed - executed },
      answers,
    };
  } finally {
    containers.close();
    tasks.close();
    await daemon.stop();
  }
}
