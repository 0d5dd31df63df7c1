import { join } from "node:path";
import { expect, test } from "vitest";
import type { Seccomp } from "../../src/spec/seccomp.ts";
import { berth, directory, makeBundle, newId } from "../bundle.ts";
import { listenForConsole } from "../console.ts";
import { forever, stateOf, succeed } from "../container.ts";

/** A running container with this profile. @returns its id */
function running(seccomp: Seccomp, noNewPrivileges: boolean): string {
  const bundle = makeBundle((config) => {
    forever(config);
    config.process.noNewPrivileges = noNewPrivileges;
    config.linux.seccomp = seccomp;
  });
  Bun.spawnSync(["sh", "-c", `printf 'no program' > "$0"; chmod 755 "$0"`, join(bundle.rootfs, "broken")]);
  const id = newId();
  succeed(["run", "--detach", "--bundle", bundle.path, id]);
  return id;
}

test.each([true, false])(
  "a process that joins has the filter, with noNewPrivileges %s",
  (noNewPrivileges) => {
    const id = running(
      {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["sethostname"], action: "SCMP_ACT_ERRNO", errnoRet: 14 }],
      },
      noNewPrivileges,
    );
    const text = "hostname x 2>&1; grep -e CapEff -e NoNew -e Seccomp: /proc/self/status";
    expect(succeed(["exec", id, "/bin/sh", "-c", text])).toBe(
      `hostname: sethostname: Bad address\nCapEff:\t0000000020000420\nNoNewPrivs:\t${noNewPrivileges ? 1 : 0}\nSeccomp:\t2\n`,
    );
    succeed(["delete", "--force", id]);
  },
);

test("a failed execve is told although the filter forbids to write", () => {
  // What the container itself needs: a dynamically linked busybox would need more.
  const names = [
    "execve",
    "nanosleep",
    "clock_nanosleep",
    "brk",
    "arch_prctl",
    "prctl",
    "mprotect",
    "getuid",
  ];
  const id = running(
    { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names, action: "SCMP_ACT_ALLOW" }] },
    true,
  );
  expect(berth(["exec", id, "/broken"])).toMatchObject({
    status: 255,
    stderr: expect.stringContaining("exec format error"),
  });
  berth(["delete", "--force", id]);
});

test("the listener of a process that joins is handed over with its pid, in a container that runs", () => {
  const socket = listenForConsole(join(directory, "agent"));
  const id = running(
    {
      defaultAction: "SCMP_ACT_ALLOW",
      listenerPath: socket.path,
      syscalls: [{ names: ["sethostname"], action: "SCMP_ACT_NOTIFY" }],
    },
    true,
  );
  const first = socket.receive();
  expect(succeed(["exec", id, "/bin/sh", "-c", "echo $$"])).toMatch(/^\d+\n$/);
  const second = socket.receive();
  const [init, joined] = [first, second].map(({ payload }) => JSON.parse(payload)) as [
    { pid: number; state: { status: string } },
    { pid: number; state: { status: string; pid: number } },
  ];
  const { pid } = stateOf(id);
  expect(init).toMatchObject({ pid, state: { status: "created" } });
  expect(joined).toMatchObject({ state: { status: "running", pid } });
  expect(joined.pid).not.toBe(pid);
  first.close();
  second.close();
  socket.close();
  succeed(["delete", "--force", id]);
});
