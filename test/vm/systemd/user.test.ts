/** Containers of a user other than root are units of the user's own systemd. */
import { chownSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Config, directory, makeBundle, newId, program } from "../../bundle.ts";
import { systemctl } from "./unit.ts";

const uid = 1000;
const home = join(directory, "user");
const runtime = `/run/user/${uid}`;
const service = "berthtest-user.service";
/** Its cgroup, below which all units of the user's lie. */
const top = `/system.slice/${service}`;

/** The user's own is not in a login session here, but in a service as the tests are: its cgroup is not below this one either way. */
beforeAll(() => {
  for (const path of [home, "/run/user", runtime]) mkdirSync(path, { recursive: true });
  for (const path of [home, runtime]) chownSync(path, uid, uid);
  const properties = [
    "--property=Delegate=yes",
    "--property=DefaultDependencies=no",
    "--property=Type=notify",
  ];
  const variables = [`--setenv=XDG_RUNTIME_DIR=${runtime}`, `--setenv=HOME=${home}`];
  const run = [
    "systemd-run",
    `--unit=${service}`,
    `--uid=${uid}`,
    `--gid=${uid}`,
    ...properties,
    ...variables,
  ];
  const { exitCode, stderr } = Bun.spawnSync([
    ...run,
    "/lib/systemd/systemd",
    "--user",
    "--unit=basic.target",
  ]);
  expect({ exitCode, stderr: exitCode === 0 ? "" : stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
});

afterAll(() => {
  systemctl("stop", service);
});

function asUser(command: readonly string[], env: Record<string, string> = {}) {
  const user = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  const { exitCode, stdout, stderr } = Bun.spawnSync([...user, ...command], {
    cwd: home,
    stdin: "ignore",
    env: { PATH: process.env.PATH ?? "", HOME: home, XDG_RUNTIME_DIR: runtime, ...env },
  });
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

const berth = (args: readonly string[], env: Record<string, string> = {}) =>
  asUser([program, "--root", join(home, "state"), ...args], env);

function bundleOf(patch: (config: Config) => void): string {
  const { path, rootfs } = makeBundle((config) => {
    const types = ["pid", "ipc", "uts", "mount", "cgroup", "user"] as const;
    const own = [{ containerID: 0, hostID: uid, size: 1 }];
    config.linux.namespaces = types.map((type) => ({ type }));
    config.linux.uidMappings = own;
    config.linux.gidMappings = own;
    config.linux.cgroupsPath = "";
    config.linux.resources = { pids: { limit: 33 } };
    config.root.readonly = false;
    const pts = config.mounts.find(({ type }) => type === "devpts");
    if (pts !== undefined) pts.options = pts.options?.filter((option) => option !== "gid=5") ?? [];
    patch(config);
  });
  Bun.spawnSync(["chown", "-R", `${uid}:${uid}`, path, rootfs]);
  return path;
}

test("a user's container is a scope of the user's systemd, with its limits, and others join it there", () => {
  const bundle = bundleOf((config) => {
    config.process.args = ["/bin/sleep", "1000"];
  });
  const id = newId();
  // What it writes would be waited for.
  const line = `exec "$@" > ${home}/output 2>&1`;
  const create = [
    program,
    "--root",
    join(home, "state"),
    "--systemd-cgroup",
    "create",
    "--bundle",
    bundle,
    id,
  ];
  const created = asUser(["sh", "-c", line, "sh", ...create]);
  expect({ status: created.status, said: readFileSync(`${home}/output`, "utf8") }).toEqual({
    status: 0,
    said: "",
  });
  const { pid } = JSON.parse(berth(["state", id]).stdout);
  const cgroup = `${top}/user.slice/berth-${id}.scope`;
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(`0::${cgroup}\n`);
  expect(readFileSync(`/sys/fs/cgroup${cgroup}/pids.max`, "utf8")).toBe("33\n");
  const show = ["systemctl", "--user", "show", "--property=TasksMax,ActiveState", `berth-${id}.scope`];
  expect(asUser(show).stdout.trim().split("\n").sort()).toEqual(["ActiveState=active", "TasksMax=33"]);
  expect(berth(["start", id])).toEqual({ status: 0, stdout: "", stderr: "" });
  const joined = berth(["exec", id, "/bin/cat", "/proc/self/cgroup"]);
  expect(joined).toEqual({ status: 0, stdout: "0::/\n", stderr: "" });
  expect(berth(["update", "--pids-limit", "44", id])).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(readFileSync(`/sys/fs/cgroup${cgroup}/pids.max`, "utf8")).toBe("44\n");
  expect(asUser(show).stdout).toContain("TasksMax=44");
  expect(berth(["pause", id])).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(JSON.parse(berth(["state", id]).stdout).status).toBe("paused");
  expect(berth(["delete", "--force", id])).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(existsSync(`/sys/fs/cgroup${cgroup}`)).toBe(false);
});

test("run leaves nothing, and slices are below the user's systemd", () => {
  const bundle = bundleOf((config) => {
    config.linux.cgroupsPath = "berthtest-x.slice:p:c";
    config.process.args = ["/bin/sh", "-c", "cat /proc/self/cgroup; exit 4"];
  });
  const id = newId();
  expect(berth(["--systemd-cgroup", "run", "--bundle", bundle, id])).toEqual({
    status: 4,
    stdout: "0::/\n",
    stderr: "",
  });
  const slice = `/sys/fs/cgroup${top}/berthtest.slice/berthtest-x.slice`;
  expect(existsSync(`${slice}/p-c.scope`)).toBe(false);
});

test("without the user's systemd, it says where it has looked", () => {
  const bundle = bundleOf(() => {});
  const nowhere = { XDG_RUNTIME_DIR: home };
  expect(berth(["--systemd-cgroup", "run", "--bundle", bundle, newId()], nowhere)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /^berth: cannot connect to the user's systemd: ".+\/user\/bus": .+; ".+\/systemd\/private": .+\nhint: .+XDG_RUNTIME_DIR/,
    ),
  });
});
