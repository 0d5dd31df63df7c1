import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runScript } from "../../bundle.ts";

const systemctl = (...args: string[]) =>
  Bun.spawnSync(["systemctl", ...args])
    .stdout.toString()
    .trim();

test("systemd is the guest's init, and the tests are a service of it with a cgroup of their own", () => {
  expect(readFileSync("/proc/1/comm", "utf8")).toBe("systemd\n");
  expect(readFileSync("/proc/self/cgroup", "utf8")).toBe("0::/system.slice/berth-vm.service\n");
  expect(systemctl("show", "--value", "--property=Delegate", "berth-vm.service")).toBe("yes");
});

test("the system bus answers", () => {
  const bus = ["busctl", "get-property", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"];
  const { stdout, stderr } = Bun.spawnSync([...bus, "org.freedesktop.systemd1.Manager", "Architecture"]);
  expect(stderr.toString()).toBe("");
  expect(stdout.toString()).toBe('s "x86-64"\n');
});

test("a container runs", () => {
  expect(runScript("echo hello; cat /proc/self/cgroup")).toMatchObject({
    status: 0,
    stdout: "hello\n0::/\n",
    stderr: "",
  });
});
