import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { POLLHUP, POLLIN } from "../../src/linux/constants.ts";
import { check, ENOENT } from "../../src/linux/errno.ts";
import { at, scratch } from "../../src/linux/memory.ts";
import { syscall } from "../../src/linux/native.ts";
import { poll } from "../../src/linux/process.ts";
import type { Seccomp } from "../../src/spec/seccomp.ts";
import { type Bundle, directory, makeBundle, newId, program, stateRoot, waitUntil } from "../bundle.ts";
import { type ConsoleSocket, listenForConsole, type Terminal } from "../console.ts";
import { refuse, script, stateOf, statusOf, succeed } from "../container.ts";
import { systemCalls } from "../seccomp-profile.ts";

const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;

/** What the process is told of the system call that it asked about. */
type Answer = { readonly value: number } | { readonly errno: number } | "continue";

/** Waits for one notification and answers it. @returns the number of the system call; undefined: nobody is left to ask */
function answer(listener: number, decide: (call: number) => Answer): number | undefined {
  const [ready = 0] = poll([{ fd: listener, events: POLLIN }]);
  if ((ready & POLLHUP) !== 0 && (ready & POLLIN) === 0) return undefined;
  const memory = scratch();
  // struct seccomp_notif { u64 id; u32 pid, flags; struct seccomp_data { int nr; ... } }, struct seccomp_notif_resp
  const notification = memory.space(80);
  const response = memory.space(24);
  const received = syscall("ioctl", listener, SECCOMP_IOCTL_NOTIF_RECV, notification);
  if (received === -ENOENT) return undefined;
  check(received, "receive a notification");
  const call = at.u32(notification + 16);
  const decision = decide(call);
  at.setU32(response, at.u32(notification));
  at.setU32(response + 4, at.u32(notification + 4));
  if (decision === "continue") at.setU32(response + 20, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
  else if ("errno" in decision) at.setU32(response + 16, -decision.errno >>> 0);
  else at.setU64(response + 8, decision.value);
  check(syscall("ioctl", listener, SECCOMP_IOCTL_NOTIF_SEND, response), "answer a notification");
  return call;
}

let serial = 0;

/** A bundle whose profile notifies of these calls, and the socket where its listener is sent to. */
function notifying(
  names: string[],
  text: string,
  more: Partial<Seccomp> = {},
): { bundle: Bundle; socket: ConsoleSocket } {
  serial += 1;
  const socket = listenForConsole(join(directory, `agent-${serial}`));
  const bundle = makeBundle((config) => {
    script(text)(config);
    config.annotations = { "org.example": "yes" };
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      listenerPath: socket.path,
      syscalls: [{ names, action: "SCMP_ACT_NOTIFY" }],
      ...more,
    };
  });
  return { bundle, socket };
}

function close(socket: ConsoleSocket, listener?: Terminal): void {
  listener?.close();
  socket.close();
  rmSync(socket.path);
}

test.each<[string, Answer, string]>([
  ["an errno", { errno: 122 }, "hostname: sethostname: Disk quota exceeded\ntest\n"],
  ["a value", { value: 0 }, "test\n"],
])("the listener gets the state and answers with %s", (_, decision, expected) => {
  const { bundle, socket } = notifying(["sethostname"], "hostname x 2>&1; hostname", {
    listenerMetadata: "for the agent",
  });
  const id = newId();
  const { output } = { output: succeed(["create", "--bundle", bundle.path, id]) };
  expect(output).toBe("");
  const { pid } = stateOf(id);
  const started = Bun.spawn([program, "--root", stateRoot, "start", id]);
  const listener = socket.receive();
  expect(JSON.parse(listener.payload)).toEqual({
    ociVersion: bundle.config.ociVersion,
    fds: ["seccompFd"],
    pid,
    metadata: "for the agent",
    state: {
      ociVersion: bundle.config.ociVersion,
      id,
      status: "created",
      pid,
      bundle: bundle.path,
      annotations: { "org.example": "yes" },
    },
  });
  expect(answer(listener.fd, () => decision)).toBe(systemCalls("64").get("sethostname"));
  expect(answer(listener.fd, () => decision)).toBe(undefined);
  expect(expected).toContain("test");
  waitUntil(() => started.exitCode !== null || statusOf(id) === "stopped", "it has ended");
  succeed(["delete", id]);
  close(socket, listener);
});

test("run, with a listener that is asked about all that start itself needs", async () => {
  const { bundle, socket } = notifying(["execve", "read", "write", "ppoll", "exit_group"], "echo hello", {
    flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"],
  });
  const running = Bun.spawn([program, "--root", stateRoot, "run", "--bundle", bundle.path, newId()], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const listener = socket.receive();
  const calls: number[] = [];
  for (let call = 0; ; ) {
    call = answer(listener.fd, () => "continue") ?? -1;
    if (call < 0) break;
    calls.push(call);
  }
  expect(calls.slice(0, 2)).toEqual(["read", "execve"].map((name) => systemCalls("64").get(name)));
  expect(await new Response(running.stderr).text()).toBe("");
  expect(await new Response(running.stdout).text()).toBe("hello\n");
  expect(await running.exited).toBe(0);
  close(socket, listener);
});

test("a listener that is gone by the start is an error, and ends the container", () => {
  const { bundle, socket } = notifying(["sethostname"], "true");
  const id = newId();
  succeed(["create", "--bundle", bundle.path, id]);
  socket.close();
  expect(refuse(["start", id])).toContain(
    `linux.seccomp.listenerPath: connect to "${socket.path}": connection refused`,
  );
  expect(statusOf(id)).toBe("stopped");
  succeed(["delete", id]);
  expect(refuse(["run", "--bundle", bundle.path, newId()])).toContain("connection refused");
  rmSync(socket.path);
});

test("without SCMP_ACT_NOTIFY the path is ignored", () => {
  const bundle = makeBundle((config) => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      listenerPath: "/nowhere",
      listenerMetadata: "x",
    };
  });
  expect(succeed(["run", "--bundle", bundle.path, newId()])).toBe("");
});
