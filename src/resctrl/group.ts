import { BerthError } from "../errors.ts";
import { AT_FDCWD, O_CLOEXEC, O_WRONLY } from "../linux/constants.ts";
import { tryRmdir } from "../linux/directory.ts";
import { check, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC } from "../linux/errno.ts";
import { readText } from "../linux/file.ts";
import { isDirectory } from "../linux/status.ts";
import { byteLength } from "../linux/text.ts";
import { serving, slot } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import type { IntelRdt } from "../spec/linux.ts";

/*
 * linux.intelRdt: shares of the cache and of memory bandwidth, and their measurement, by the kernel's resctrl file system. A
 * class of service is a directory of it with a file "schemata" of limits and a file "tasks" of processes; what it is measured
 * by is a directory below its "mon_groups". Kernel documentation, filesystems/resctrl.
 */

/** What a container has of resctrl. */
export interface ResctrlGroup {
  /** The directory of its class of service. */
  readonly path: string;
  /** Of its own monitoring group; undefined: it has none. */
  readonly monitoring: string | undefined;
  /** Directories that berth makes for it, the innermost first: a creation that fails takes them back. */
  readonly made: readonly string[];
  /**
   * Those of them that go with the container. A class of service with a name of its own stays: others may have joined it,
   * and resctrl removes a group whoever is in it.
   */
  readonly owned: readonly string[];
  /** The lines that are written to schemata. */
  readonly schemata: readonly string[];
}

/** Where resctrl is mounted, or undefined; from the text of a mountinfo file. */
export function resctrlMount(mountinfo: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const separator = line.indexOf(" - ");
    if (separator > 0 && line.startsWith("resctrl ", separator + 3)) return line.split(" ")[4];
  }
  return undefined;
}

/** Where it is mounted for berth, or undefined. @throws BerthError */
export function ownResctrlMount(): string | undefined {
  return resctrlMount(readText("/proc/self/mountinfo"));
}

/**
 * What a container is to have of resctrl, and whether it can be had.
 * @param mounted where resctrl is mounted
 * @throws BerthError "unsupported", "resctrl"
 */
export function planGroup(rdt: IntelRdt, id: string, mounted: string | undefined): ResctrlGroup {
  const mount = requireMount(mounted);
  const schemata = schemataOf(rdt);
  const given = rdt.closID ?? "";
  const path = classOf(rdt, id, mount);
  const isThere = given === "/" || isDirectory(path);
  if (!isThere && given !== "" && schemata.length === 0) {
    throw new BerthError("resctrl", `linux.intelRdt.closID "${given}": there is no "${path}"`, {
      hint: "make that class of service first, or give a schema so that berth makes it",
    });
  }
  if (isThere && given === "") {
    throw new BerthError("resctrl", `linux.intelRdt: "${path}" exists already`, {
      hint: "it is left of another container with this id: remove it, or name a class of service in closID",
    });
  }
  if (isThere && schemata.length > 0) compareSchemata(path, schemata);
  const measures = rdt.enableMonitoring === true;
  if (measures && !isDirectory(`${mount}/mon_groups`)) {
    throw new BerthError(
      "unsupported",
      "linux.intelRdt.enableMonitoring: this CPU or kernel cannot measure by class of service",
      { hint: `"${mount}/mon_groups" is missing: it needs CMT or MBM (cqm in /proc/cpuinfo)` },
    );
  }
  const monitoring = measures ? `${path}/mon_groups/${id}` : undefined;
  const own = monitoring === undefined ? [] : [monitoring];
  return {
    path,
    monitoring,
    made: isThere ? own : [...own, path],
    owned: given === "" ? [...own, path] : own,
    schemata: isThere ? [] : schemata,
  };
}

/** @throws BerthError "unsupported": it is mounted nowhere */
export function requireMount(mounted: string | undefined): string {
  if (mounted !== undefined) return mounted;
  throw new BerthError("unsupported", "linux.intelRdt: no resctrl file system is mounted", {
    hint: "on a CPU with Intel RDT or AMD QoS: mount -t resctrl resctrl /sys/fs/resctrl",
  });
}

/** The directory of a container's class of service. */
export function classOf({ closID = "" }: IntelRdt, id: string, mount: string): string {
  if (closID === "/") return mount;
  return `${mount}/${closID === "" ? id : closID}`;
}

/** The lines of schemata that config.json asks for; config-linux.md "IntelRdt" has the rules. */
export function schemataOf({ l3CacheSchema = "", memBwSchema = "", schemata = [] }: IntelRdt): string[] {
  const lines = l3CacheSchema
    .split("\n")
    .filter((line) => line !== "" && (memBwSchema === "" || !line.trimStart().startsWith("MB:")));
  if (memBwSchema !== "") lines.push(memBwSchema);
  return [...lines, ...schemata];
}

/** A class of service that is there already belongs to others too: it must have these limits, for they are not changed. */
function compareSchemata(path: string, wanted: readonly string[]): void {
  const found = readText(`${path}/schemata`);
  const has = domainsOf(found.split("\n"));
  for (const [domain, value] of domainsOf(wanted)) {
    const actual = has.get(domain);
    if (actual !== undefined && isSameValue(actual, value)) continue;
    const line = JSON.stringify(`${domain}=${value}`);
    throw new BerthError(
      "resctrl",
      `linux.intelRdt: "${path}" exists already, with other limits than ${line}`,
      {
        hint: `its schemata: ${JSON.stringify(found.trim())}; leave the schemas out to use it as it is`,
      },
    );
  }
}

/** "L3:0=f;1=f" as "L3:0" -> "f", "L3:1" -> "f". */
function domainsOf(lines: readonly string[]): Map<string, string> {
  const domains = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const resource = line.slice(0, colon).trim();
    for (const part of line.slice(colon + 1).split(";")) {
      const [domain = "", value = ""] = part.split("=");
      if (domain.trim() !== "") domains.set(`${resource}:${domain.trim()}`, value.trim());
    }
  }
  return domains;
}

/** The kernel shows a mask with leading zeros, or blanks. */
function isSameValue(one: string, other: string): boolean {
  const plain = (value: string) => value.toLowerCase().replace(/^0+(?=.)/, "");
  return plain(one) === plain(other);
}

/** The step by which berth makes one of a group's directories. */
export function makeStep(directory: string): Step {
  return serving("cgroup", "linux.intelRdt", directory).call("mkdirat", [AT_FDCWD, directory, 0o755], {
    what: "make the resctrl group",
    hints: {
      [ENOSPC]: "the CPU has no more classes of service, or no more counters: remove groups that nobody uses",
      [EEXIST]: "somebody else has just made it",
    },
  });
}

/** Steps by which berth sets the group's limits and puts a process into it. @param pid in decimal digits */
export function joinSteps({ path, monitoring, schemata }: ResctrlGroup, pid: string): Step[] {
  return [
    ...schemataSteps(path, schemata),
    ...writeSteps("linux.intelRdt", `${path}/tasks`, pid),
    ...(monitoring === undefined
      ? []
      : writeSteps("linux.intelRdt.enableMonitoring", `${monitoring}/tasks`, pid)),
  ];
}

/** Steps that set the limits of a class of service: line by line, so that the one which is refused can be named. */
export function schemataSteps(path: string, lines: readonly string[]): Step[] {
  return lines.flatMap((line) => writeSteps("linux.intelRdt", `${path}/schemata`, `${line}\n`));
}

function writeSteps(configPath: string, file: string, text: string): Step[] {
  const { call } = serving("cgroup", configPath, file);
  const fd = slot("resctrl");
  return [
    call("openat", [AT_FDCWD, file, O_WRONLY | O_CLOEXEC, 0], { store: fd }),
    call("write", [fd, text, byteLength(text)], {
      what: `write ${JSON.stringify(text.trim())}`,
      hints: {
        [EINVAL]: "the kernel says why in info/last_cmd_status of resctrl",
        [ENODEV]: "this CPU has no such resource",
      },
    }),
    call("close", [fd]),
  ];
}

/** Removes the directories that berth made; that one is gone already is no error. @throws BerthError */
export function removeGroup(made: readonly string[]): void {
  for (const path of made) {
    const result = tryRmdir(path);
    if (result !== -ENOENT) check(result, `remove the resctrl group "${path}"`);
  }
}
