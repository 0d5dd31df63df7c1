import { type Cgroup, openCgroup } from "../cgroups/create.ts";
import { cgroup2Mount, v1Controllers } from "../cgroups/hierarchy.ts";
import { directoryOf } from "../cgroups/path.ts";
import { remove as removeCgroup } from "../cgroups/remove.ts";
import { BerthError, isBerthError, messageOf } from "../errors.ts";
import { readText, writeExisting } from "../linux/file.ts";
import type { Spec } from "../spec/config.ts";
import { ownManager } from "./account.ts";
import { annotationProperties } from "./annotations.ts";
import {
  connectManager,
  isUnitThere,
  killUnit,
  type Manager,
  managerFacts,
  refused,
  resetFailed,
  runJob,
  unitState,
} from "./connection.ts";
import type { Value } from "./marshal.ts";
import { unitProperties } from "./properties.ts";
import { explained, mergeProperties, type Property, wire } from "./property.ts";
import type { UnitPlace, UnitRoom } from "./room.ts";
import { stopUnitOf } from "./stop.ts";
import { type UnitName, unitOf } from "./unit.ts";

/*
 * The systemd driver: systemd makes the container's cgroup, as that of a unit. berth then does there what it does in a cgroup
 * that it made itself.
 *
 * A scope begins with a process. So init is started in berth's own cgroup, and systemd moves it into the scope while it waits
 * for its Plan. It could not be started in there: to move from a login session to a cgroup of the user's systemd takes the
 * right over both and all between, which only the system's systemd has, and it grants the request (AttachProcessesToUnit).
 */

/**
 * Connects to systemd and plans the unit for a container. Makes nothing.
 * @throws BerthError "no-systemd", "no-bus", "invalid-config", "no-cgroup2", "cgroup-v1"
 */
export function planUnit(spec: Spec, id: string): UnitRoom {
  const kind = ownManager();
  const unit = unitOf(spec.linux.cgroupsPath, id, kind);
  // What is wrong with config.json is wrong without systemd too.
  annotationProperties(spec.annotations ?? {});
  const manager = connectManager(kind);
  try {
    refuseV1();
    const { version, cgroup } = managerFacts(manager);
    const properties = unitProperties(spec, id, unit, kind, version);
    const place = {
      mount: cgroup2Mount(),
      path: cgroup + unit.path,
      unit: { name: unit.name, manager: kind },
    };
    return new PlannedUnit(manager, unit, properties, place);
  } catch (error) {
    manager.bus.close();
    throw error;
  }
}

function refuseV1(): void {
  const names = v1Controllers();
  if (names.length === 0) return;
  throw new BerthError(
    "cgroup-v1",
    `the systemd cgroup manager needs a host with cgroup v2 alone: this one has ${names.join(", ")} on cgroup v1`,
    {
      hint: "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line, or use --cgroup-manager cgroupfs",
    },
  );
}

function unitExists({ name }: UnitName, state: string): BerthError {
  return new BerthError(
    "unit-exists",
    `linux.cgroupsPath: systemd unit "${name}" is there already, and ${state}`,
    {
      hint: `give each container a unit of its own; "systemctl status ${name}" tells whose it is`,
    },
  );
}

class PlannedUnit implements UnitRoom {
  readonly place: UnitPlace;
  readonly #manager: Manager;
  readonly #unit: UnitName;
  /** All but its process. */
  readonly #properties: readonly Property[];

  constructor(manager: Manager, unit: UnitName, properties: readonly Property[], place: UnitPlace) {
    this.place = place;
    this.#manager = manager;
    this.#unit = unit;
    this.#properties = properties;
  }

  refuseTaken(): void {
    const state = unitState(this.#manager, this.#unit.name);
    // One that failed is reset when the new one is asked for.
    if (state !== undefined && state !== "failed" && state !== "inactive")
      throw unitExists(this.#unit, state);
  }

  start(pid: number): Cgroup {
    this.#request(pid);
    try {
      // systemd puts no process into a slice.
      if (this.#unit.kind === "slice") writeExisting(`${directoryOf(this.place)}/cgroup.procs`, String(pid));
      this.#checkPlace(pid);
      return openCgroup(this.place);
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  undo(): void {
    stopUnitOf(this.#manager, this.#unit.name);
  }

  close(): void {
    this.#manager.bus.close();
  }

  /** Has systemd start the unit, with a process in it if it is a scope. */
  #request(pid: number): void {
    const { name, kind } = this.#unit;
    const pids: Property = { name: "PIDs", type: "au", value: [pid], configPath: "linux.cgroupsPath" };
    const properties = mergeProperties(this.#properties, kind === "scope" ? [pids] : []);
    let result: string;
    try {
      result = this.#runStart([name, "replace", wire(properties), []]);
    } catch (error) {
      if (isUnitThere(error)) throw unitExists(this.#unit, "in use");
      // The answer to the request did not come, or the news of its end.
      if (!isRefusal(error)) this.#takeBack();
      const at = explained(messageOf(error), properties);
      const subject = `${at ?? "linux.cgroupsPath"}: start systemd unit "${name}"`;
      throw refused(error, subject, this.#manager.kind, at === undefined ? doubtful(properties) : undefined);
    }
    if (result === "done") return;
    this.#takeBack();
    throw new BerthError("unit-failed", `systemd could not start unit "${name}": ${result}`, {
      hint: `"systemctl status ${name}" or the journal may tell why`,
    });
  }

  #runStart(request: readonly Value[]): string {
    const start = () => runJob(this.#manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", request);
    try {
      return start();
    } catch (error) {
      if (!isUnitThere(error)) throw error;
      // It may be what is left of one that failed.
      resetFailed(this.#manager, this.#unit.name);
      return start();
    }
  }

  #checkPlace(pid: number): void {
    const found = /^0::(.*)$/m.exec(readText(`/proc/${pid}/cgroup`))?.[1];
    if (found === this.place.path) return;
    throw new BerthError(
      "cgroup-place",
      `linux.cgroupsPath: systemd unit "${this.#unit.name}" has its process in cgroup "${found}", not in "${this.place.path}"`,
      { hint: "berth must see the same cgroups and process ids as systemd: run it in the same namespaces" },
    );
  }

  /** After a failure that counts more than what goes wrong here. */
  #takeBack(): void {
    try {
      // First of all: to stop a unit begins with SIGTERM, which the first process of a pid namespace does not get.
      killUnit(this.#manager, this.#unit.name);
      removeCgroup(this.place);
      this.undo();
    } catch (error) {
      if (!isBerthError(error)) throw error;
    }
  }
}

/** For an error that does not say which property it is about: of a value of another type, systemd says no more than that. */
function doubtful(properties: readonly Property[]): string | undefined {
  const asked = properties.filter(({ configPath }) => configPath.startsWith("annotations"));
  if (asked.length === 0) return undefined;
  return `it may be about ${asked.map(({ configPath }) => configPath).join(", ")}`;
}

/** Whether systemd answered, and with no: then it has made nothing. */
function isRefusal(error: unknown): boolean {
  return isBerthError(error) && error.code.startsWith("org.freedesktop.");
}
