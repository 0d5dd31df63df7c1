/** What the tests of limits share: containers with linux.resources, and the files of their cgroups. Each needs a host with cgroup v2 alone. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { cgroup2Mount } from "../../src/cgroups/hierarchy.ts";
import type { Resources } from "../../src/spec/resources.ts";
import { type Config, directory, makeBundle, newId, type Result, runScript } from "../bundle.ts";
import { createContainer, forever, refuse, succeed } from "../container.ts";

export const MB = 2 ** 20;

export const mount = cgroup2Mount();

/** The parent of all cgroups of a test file. */
export const top = `/${basename(directory)}`;

export const fileOf = (path: string, file: string) => join(mount + path, file);
export const read = (path: string, file: string) => readFileSync(fileOf(path, file), "utf8").trim();
export const write = (path: string, file: string, value: string) => writeFileSync(fileOf(path, file), value);

/** Runs a command that must succeed, and returns what it says. */
export function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  expect({ command, exitCode, stderr: stderr.toString() }).toMatchObject({ exitCode: 0 });
  return stdout.toString().trim();
}

/** Changes a config.json so that the container has these limits, beside the device rules of all. */
export const limits = (resources: Resources) => (config: Config) => {
  config.linux.resources = { ...config.linux.resources, ...resources };
};

/** Runs a script in a container with these limits. */
export const runLimited = (
  resources: Resources,
  script: string,
  patch: (config: Config) => void = () => {},
): Result =>
  runScript(script, (config) => {
    limits(resources)(config);
    patch(config);
  });

/** Creates a container with these limits, lets `use` look at its cgroup, and takes it away. */
export function withLimits<T>(resources: Resources, use: (path: string, id: string) => T): T {
  const { id, bundle } = createContainer(forever, limits(resources));
  try {
    return use(bundle.config.linux.cgroupsPath ?? "", id);
  } finally {
    succeed(["delete", "--force", id]);
  }
}

/** What berth says when it refuses to create a container with these limits. */
export function refusal(resources: Resources, patch: (config: Config) => void = () => {}): string {
  const { path } = makeBundle((config) => {
    limits(resources)(config);
    patch(config);
  });
  return refuse(["create", "--bundle", path, newId()]);
}

/** Makes a cgroup and all above it, with every controller of the host. */
export function makeCgroup(path: string): void {
  const controllers = readFileSync(`${mount}/cgroup.controllers`, "utf8").trim().split(" ");
  let at = "";
  for (const name of path.split("/").slice(1)) {
    write(at, "cgroup.subtree_control", controllers.map((controller) => `+${controller}`).join(" "));
    at += `/${name}`;
    if (!existsSync(mount + at)) mkdirSync(mount + at);
  }
}
