import { describe, expect, test } from "vitest";
import { passedLines } from "../../src/runtime/notify.ts";
import { asService, listenFds } from "../../src/runtime/service.ts";
import { rootfsSpec } from "./rootfs.ts";

describe("LISTEN_FDS", () => {
  test.each([
    [{ LISTEN_FDS: "3", LISTEN_PID: "10" }, 3],
    [{ LISTEN_FDS: "3", LISTEN_PID: "11" }, 0],
    [{ LISTEN_FDS: "3" }, 0],
    [{ LISTEN_PID: "10" }, 0],
    [{ LISTEN_FDS: "", LISTEN_PID: "10" }, 0],
    [{ LISTEN_FDS: "-1", LISTEN_PID: "10" }, 0],
    [{ LISTEN_FDS: "two", LISTEN_PID: "10" }, 0],
  ])("of %j for process 10", (environment, count) => {
    expect(listenFds(environment, 10)).toBe(count);
  });
});

describe("a service", () => {
  const options = {
    root: "/run/berth",
    id: "box",
    bundle: "/b",
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 1,
    cgroups: true,
    rootless: false,
    warn: () => {},
  };
  const bundle = {
    path: "/b",
    text: "{}",
    spec: rootfsSpec({
      process: { cwd: "/", env: ["A=1"] },
      mounts: [{ destination: "/proc", type: "proc" }],
    }),
  };

  test("finds its descriptors, before those of --preserve-fds", () => {
    const environment = { LISTEN_FDS: "2", LISTEN_PID: "10", LISTEN_FDNAMES: "web:log" };
    const service = asService(bundle, options, environment, 10);
    expect(service.bundle.spec.process?.env).toEqual([
      "A=1",
      "LISTEN_FDS=2",
      "LISTEN_PID=1",
      "LISTEN_FDNAMES=web:log",
    ]);
    expect(service.options.preserveFds).toBe(3);
    expect(service).toMatchObject({ notify: false, bundle: { spec: { mounts: bundle.spec.mounts } } });
  });

  test("finds its notification socket, in a mount after all others", () => {
    const service = asService(bundle, options, { NOTIFY_SOCKET: "/run/systemd/notify" }, 10);
    expect(service.notify).toBe(true);
    expect(service.bundle.spec.process?.env).toEqual(["A=1", "NOTIFY_SOCKET=/run/notify/notify.sock"]);
    expect(service.bundle.spec.mounts).toEqual([
      { destination: "/proc", type: "proc" },
      {
        destination: "/run/notify",
        source: "/run/berth/box/notify",
        options: ["bind", "nosuid", "noexec", "nodev", "ro"],
      },
    ]);
    // What is saved of the container is its config.json, as it is.
    expect(service.bundle.text).toBe(bundle.text);
  });

  test("gets no socket without mounts of its own, nor from an empty variable", () => {
    const spec = { ...bundle.spec, linux: { namespaces: [] } };
    const of = (change: object, NOTIFY_SOCKET: string) =>
      asService({ ...bundle, ...change }, options, { NOTIFY_SOCKET }, 10).notify;
    expect([of({ spec }, "/run/n"), of({}, "")]).toEqual([false, false]);
  });
});

test("a container may speak of itself, and not take over the service", () => {
  const message = [
    "READY=1",
    "STATUS=well",
    "MAINPID=1",
    "FDSTORE=1",
    "X_READY=1",
    "STOPPING=1",
    "NOTIFYACCESS=all",
    "RELOADING=1",
    "MONOTONIC_USEC=5",
    "ERRNO=2",
    "WATCHDOG=1",
    "EXTEND_TIMEOUT_USEC=9",
    "BARRIER=1",
    "",
  ];
  expect(passedLines(message.join("\n"))).toEqual([
    "READY=1",
    "STATUS=well",
    "STOPPING=1",
    "RELOADING=1",
    "MONOTONIC_USEC=5",
    "ERRNO=2",
    "WATCHDOG=1",
    "EXTEND_TIMEOUT_USEC=9",
  ]);
});
