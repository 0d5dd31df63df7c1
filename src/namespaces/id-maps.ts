import { O_CLOEXEC, O_WRONLY } from "../linux/constants.ts";
import { EINVAL, EPERM } from "../linux/errno.ts";
import { serving, slot } from "../plan/build.ts";
import type { Slot, Step } from "../plan/step.ts";
import type { IdMapping, Linux } from "../spec/linux.ts";

/** The id maps of a user namespace. */
export type IdMaps = Pick<Linux, "uidMappings" | "gidMappings">;

/**
 * Steps by which the runtime writes the id maps of a new user namespace; man 7 user_namespaces.
 * @param process a descriptor of /proc/PID of a process in that namespace
 * @param path the part of config.json that has them
 */
export function idMapSteps({ uidMappings, gidMappings }: IdMaps, process: Slot, path = "linux"): Step[] {
  return [
    ...mapSteps(`${path}.uidMappings`, "uid_map", uidMappings ?? [], process),
    ...mapSteps(`${path}.gidMappings`, "gid_map", gidMappings ?? [], process),
  ];
}

function mapSteps(path: string, file: string, mappings: readonly IdMapping[], process: Slot): Step[] {
  if (mappings.length === 0) return [];
  const { call } = serving("namespaces", path);
  const fd = slot(file);
  const lines = mappings
    .map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`)
    .join("");
  return [
    call("openat", [process, file, O_WRONLY | O_CLOEXEC, 0], { store: fd }),
    // The kernel takes a map in one write, once.
    call("write", [fd, lines, lines.length], {
      what: `write ${JSON.stringify(lines)} to /proc/PID/${file}`,
      hints: {
        [EINVAL]:
          "the kernel takes at most 340 lines and one page of text, and no ranges that overlap on either side",
        [EPERM]:
          "to map ids of others needs CAP_SETUID and CAP_SETGID in the parent user namespace, and ids that exist there",
      },
    }),
    call("close", [fd]),
  ];
}

/** The id outside that `id` inside stands for, or undefined when no mapping covers it. */
export function mappedId(id: number, mappings: readonly IdMapping[] | undefined): number | undefined {
  const mapping = mappings?.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return mapping === undefined ? undefined : mapping.hostID + id - mapping.containerID;
}
