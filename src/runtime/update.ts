import { applyLimits } from "../cgroups/apply.ts";
import { refuseUnavailable } from "../cgroups/controllers.ts";
import { limitsWithout } from "../cgroups/limits/load.ts";
import { limitsOf } from "../cgroups/limits/v2.ts";
import { directoryOf } from "../cgroups/path.ts";
import { applyV1 } from "../cgroups/v1/make.ts";
import { v1WritesFor } from "../cgroups/v1/room.ts";
import { BerthError } from "../errors.ts";
import { O_DIRECTORY, O_PATH } from "../linux/constants.ts";
import { close, open, withDescriptor } from "../linux/file.ts";
import type { Schemas } from "../resctrl/change.ts";
import { acceptsSpec } from "../spec/accepts.gen.ts";
import type { Spec } from "../spec/config.ts";
import { mergeResources } from "../spec/merge-resources.ts";
import { resourcesInNewTerms } from "../spec/older.ts";
import { parseConfig } from "../spec/parse.ts";
import type { Resources } from "../spec/resources.ts";
import { dropNulls, savedSpec } from "../spec/saved.ts";
import {
  type ContainerRecord,
  closeState,
  findState,
  lockPausing,
  readConfig,
  readRecord,
  writeConfig,
} from "../state/store.ts";
import { statusOf } from "./status.ts";

/** What an update asks for, as a part of config.json of unknown form. */
export interface UpdateOptions {
  readonly root: string;
  readonly id: string;
  readonly resources: unknown;
  /** Of linux.intelRdt. */
  readonly schemas?: Schemas | undefined;
  /** Where that comes from, for messages. */
  readonly source: string;
  readonly warn: (message: string) => void;
}

/**
 * Changes the limits of a container. What was set before stays; when one of the new limits is refused, all are set back.
 * @throws BerthError when the container is not there, has ended, or has no cgroup, and for a limit that cannot be
 */
export async function update({ root, id, resources, schemas, source, warn }: UpdateOptions): Promise<void> {
  const asked = await understand(resources, source);
  const directory = findState(root, id);
  let held: number | undefined;
  try {
    // Of two updates at once, each must see what the other has set.
    held = lockPausing(directory);
    const record = readRecord(directory);
    const status = statusOf(directory, record);
    if (record === undefined || record.pid === 0 || status === "stopped") {
      throw new BerthError("container-status", `container "${id}": container not running: it is ${status}`);
    }
    const spec = savedSpec(readConfig(directory));
    const change = resourcesInNewTerms(asked, spec.ociVersion);
    const merged = mergeResources(spec.linux?.resources ?? {}, change);
    // Together they must make sense: a limit on memory that is given alone, and the limit on swap of before.
    await parseConfig(configOf(merged), source);
    const setBack = schemas === undefined ? undefined : await changeSchemas(spec, id, schemas, warn);
    try {
      // Only what the update names is written: the rest may have been changed by others since.
      if (setBack === undefined || Object.keys(change).length > 0) {
        await applyTo(record, onlySections(merged, change), warn);
      }
    } catch (error) {
      setBack?.();
      throw error;
    }
    const { linux } = spec;
    const intelRdt = schemas === undefined ? {} : { intelRdt: { ...linux?.intelRdt, ...schemas } };
    writeConfig(directory, JSON.stringify({ ...spec, linux: { ...linux, ...intelRdt, resources: merged } }));
  } finally {
    if (held !== undefined) close(held);
    closeState(directory);
  }
}

async function changeSchemas(
  { linux }: Spec,
  id: string,
  schemas: Schemas,
  warn: (message: string) => void,
): Promise<() => void> {
  if (linux.intelRdt === undefined) {
    throw new BerthError("resctrl", `container "${id}" has no linux.intelRdt, and so no schemas to change`, {
      hint: "its cache and memory bandwidth are shared with others: create it with linux.intelRdt",
    });
  }
  return (await import("../resctrl/change.ts")).changeSchemata(linux.intelRdt, id, schemas, warn);
}

/** A config.json of which nothing matters but this part. */
function configOf(resources: unknown): string {
  const config = { ociVersion: "1.3.0", root: { path: "rootfs" }, linux: { namespaces: [], resources } };
  return JSON.stringify(config);
}

/** Checks the form of what is asked for, and no more: it may only make sense with what was there before. @throws BerthError "invalid-config" */
async function understand(resources: unknown, source: string): Promise<Resources> {
  try {
    const config: unknown = JSON.parse(configOf(resources));
    dropNulls(config);
    if (acceptsSpec(config)) return config.linux.resources ?? {};
    const { explainInvalid } = await import("../spec/problems.ts");
    return explainInvalid(config, source).linux.resources ?? {};
  } catch (error) {
    throw (await import("../spec/json-fault.ts")).orTooDeep(error, source);
  }
}

async function applyTo(
  record: ContainerRecord,
  resources: Resources,
  warn: (message: string) => void,
): Promise<void> {
  const { cgroup: place, id, v1 = [] } = record;
  if (place === null) {
    throw new BerthError(
      "no-cgroup",
      `container "${id}" has no cgroup, and so no limits that could be changed`,
    );
  }
  const elsewhere = v1.flatMap(({ controllers }) => controllers);
  const limits = limitsWithout(limitsOf(resources), elsewhere);
  refuseUnavailable(limits, place.mount);
  for (const { path } of limits.ignored) warn(`${path}: ignored, cgroup v2 has nothing like it`);
  const apply = () =>
    withDescriptor(open(directoryOf(place), O_PATH | O_DIRECTORY), (cgroup) => {
      const undo = applyLimits(place, cgroup, limits, true);
      try {
        if (v1.length > 0) applyV1(v1, v1WritesFor(resources, v1), true);
      } catch (error) {
        undo();
        throw error;
      }
    });
  if (place.unit === undefined) apply();
  else (await import("../systemd/update.ts")).updateUnit(place.unit, resources, apply);
}

function onlySections(resources: Resources, change: Resources): Resources {
  const only: Record<string, unknown> = {};
  for (const section of Object.keys(change) as (keyof Resources)[]) {
    if (section !== "devices" && change[section] !== undefined) only[section] = resources[section];
  }
  return only as Resources;
}
