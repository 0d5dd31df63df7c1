/** What the tests of the systemd driver share: containers as units, and what systemd says of them. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Bundle, berth, type Config, directory, makeBundle, newId, stateRoot } from "../../bundle.ts";
import { refuse, stateOf, succeed } from "../../container.ts";

const mount = "/sys/fs/cgroup";

/** The name of this test file's own directory, which is part of all names. */
export const mark = directory.slice(directory.lastIndexOf("/") + 1);

export function systemctl(...args: string[]): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync(["systemctl", ...args]);
  expect({ args, stderr: stderr.toString(), exitCode }).toEqual({ args, stderr: "", exitCode: 0 });
  return stdout.toString().trim();
}

/** Properties of a unit, as `systemctl show` writes them; an empty list has no line, and of a list with several lines the last counts. */
export function show(unit: string, ...names: string[]): Record<string, string> {
  const lines = systemctl("show", unit, `--property=${names.join(",")}`).split("\n");
  return Object.fromEntries(lines.filter(Boolean).map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

export const activeState = (unit: string) => show(unit, "ActiveState").ActiveState;

/** The units of this test file's containers that systemd knows. */
export function units(): string[] {
  const lines = systemctl("list-units", "--all", "--plain", "--no-legend", "--type=scope").split("\n");
  return lines.map((line) => line.split(" ")[0] ?? "").filter((unit) => unit.includes(mark));
}

/** For after each test: no unit is left, and what is left by one that failed is not the next one's fault. */
export function endUnits(): void {
  const left = units();
  // Init of a pid namespace does not get the SIGTERM that stop begins with.
  for (const unit of left) Bun.spawnSync(["systemctl", "kill", "--signal=KILL", unit]);
  expect(left).toEqual([]);
}

/** A container that is a unit. */
export interface UnitContainer {
  readonly id: string;
  readonly pid: number;
  readonly bundle: Bundle;
  readonly unit: string;
  /** Of its cgroup, on the host. */
  readonly cgroup: string;
  readonly output: () => string;
}

/** A cgroupsPath that makes the unit "berthtest-ID.scope". */
export const inSlice = (slice: string, id: string) => `${slice}:berthtest:${id}`;

/** Creates a container in "system.slice" by the systemd driver. */
export function createUnit(...patches: ((config: Config) => void)[]): UnitContainer {
  const id = newId();
  const bundle = makeBundle((config) => {
    config.process.args = ["/bin/sleep", "1000"];
    config.linux.cgroupsPath = inSlice("", id);
    for (const patch of patches) patch(config);
  });
  const { status, stderr, output } = berth(["--systemd-cgroup", "create", "--bundle", bundle.path, id]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const { pid } = stateOf(id);
  const path = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length);
  const { cgroup } = JSON.parse(readFileSync(join(stateRoot, id, "state.json"), "utf8"));
  return { id, pid, bundle, unit: cgroup.unit.name, cgroup: mount + path, output };
}

export function startUnit(...patches: ((config: Config) => void)[]): UnitContainer {
  const container = createUnit(...patches);
  succeed(["start", container.id]);
  return container;
}

/** What berth says when it refuses to create a container by the systemd driver. */
export function refusal(...patches: ((config: Config) => void)[]): string {
  const id = newId();
  const { path } = makeBundle((config) => {
    config.linux.cgroupsPath = inSlice("", id);
    for (const patch of patches) patch(config);
  });
  return refuse(["--systemd-cgroup", "create", "--bundle", path, id]);
}

export const read = ({ cgroup }: UnitContainer, file: string) =>
  readFileSync(`${cgroup}/${file}`, "utf8").trim();

/** Deletes a container, and looks that nothing of its unit is left. */
export function deleteUnit({ id, unit, cgroup }: UnitContainer): void {
  succeed(["delete", "--force", id]);
  expect({ unit, state: show(unit, "ActiveState", "LoadState"), cgroup: existsSync(cgroup) }).toEqual({
    unit,
    // Of a slice, all that there is to know is in its name.
    state: { ActiveState: "inactive", LoadState: unit.endsWith(".slice") ? "loaded" : "not-found" },
    cgroup: false,
  });
}
