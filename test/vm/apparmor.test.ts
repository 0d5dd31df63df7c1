import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isAppArmorEnabled } from "../../src/linux/security.ts";
import { berth, type Config, directory, makeBundle, newId, runScript } from "../bundle.ts";
import { forever, refuse, startContainer, succeed } from "../container.ts";

/* process.apparmorProfile on a kernel that has AppArmor. */

const PROFILE = `
profile "berth test" flags=(attach_disconnected) {
  file,
  capability,
  network,
  mount,
  umount,
  signal,
  unix,
  ptrace,
  deny /secret r,
}
`;
const securityfs = "/sys/kernel/security";
let mounted = false;

function must(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  expect([command.join(" "), exitCode, stderr.toString()]).toEqual([command.join(" "), 0, ""]);
}

beforeAll(() => {
  expect(isAppArmorEnabled()).toBe(true);
  if (!existsSync(`${securityfs}/apparmor`)) {
    must("mount", "-t", "securityfs", "securityfs", securityfs);
    mounted = true;
  }
  const file = join(directory, "profile");
  writeFileSync(file, PROFILE);
  must("apparmor_parser", "--replace", "--skip-cache", file);
});

afterAll(() => {
  must("apparmor_parser", "--remove", join(directory, "profile"));
  if (mounted) must("umount", securityfs);
});

const confined =
  (noNewPrivileges: boolean, profile = "berth test") =>
  (config: Config) => {
    config.process.apparmorProfile = profile;
    config.process.noNewPrivileges = noNewPrivileges;
    config.root.readonly = false;
  };

const look = "cat /proc/self/attr/current; echo text > /secret; cat /secret";

test.each([false, true])("confines the container's process (noNewPrivileges %s)", (noNewPrivileges) => {
  const { stdout, stderr } = runScript(look, confined(noNewPrivileges));
  expect(stdout).toBe("berth test (enforce)\n");
  expect(stderr).toContain("can't open '/secret': Permission denied");
});

test("without one the process is as confined as berth", () => {
  expect(runScript(look, confined(true, ""))).toMatchObject({ stdout: "unconfined\ntext\n", stderr: "" });
  expect(runScript(look, confined(true, "unconfined"))).toMatchObject({ stdout: "unconfined\ntext\n" });
});

test("in a user namespace", () => {
  const { stdout } = runScript("cat /proc/self/attr/current", (config) => {
    confined(true)(config);
    config.linux.namespaces.push({ type: "user" });
    config.linux.uidMappings = config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
  });
  expect(stdout).toBe("berth test (enforce)\n");
});

test("of a process that joins: the container's own, or another", () => {
  const { id } = startContainer(forever, confined(true));
  const current = (...options: string[]) =>
    berth(["exec", ...options, id, "cat", "/proc/self/attr/current"]).stdout;
  expect(current()).toBe("berth test (enforce)\n");
  expect(current("--apparmor", "unconfined")).toBe("unconfined\n");
  expect(berth(["exec", "--apparmor", "no such", id, "true"]).stderr).toContain("no such profile is loaded");
  succeed(["delete", "--force", id]);
});

test("that is not loaded is an error before anything is made, and also where securityfs cannot tell", () => {
  const bundle = makeBundle(confined(true, "no such profile"));
  const error = refuse(["create", "--bundle", bundle.path, newId()]);
  expect(error).toContain(
    'process.apparmorProfile "no such profile": `/proc/self/attr/apparmor/exec`: no such',
  );
  must("umount", securityfs);
  try {
    const late = refuse(["create", "--bundle", bundle.path, newId()]);
    expect(late).toContain(
      'set the profile "no such profile" in `/proc/self/attr/apparmor/exec`: no such file',
    );
    expect(late).toContain("hint: load it");
  } finally {
    must("mount", "-t", "securityfs", "securityfs", securityfs);
  }
});
