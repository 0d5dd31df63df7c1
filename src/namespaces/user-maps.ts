import { BerthError } from "../errors.ts";
import { CAP_SETGID, CAP_SETUID, O_WRONLY } from "../linux/constants.ts";
import { open, withDescriptor, writeAll } from "../linux/file.ts";
import { findInPath } from "../linux/find.ts";
import { effectiveIds, hasCapability } from "../linux/process.ts";
import { utf8 } from "../linux/text.ts";
import type { Action } from "../plan/explain.ts";
import { runTool } from "../plan/program.ts";
import type { IdMapping, Linux } from "../spec/linux.ts";
import {
  covers,
  type IdKind,
  SUBORDINATE_FILES,
  shownRange,
  subordinateRanges,
  userName,
} from "./subordinate-ids.ts";

/*
 * The id maps of a new user namespace, for a caller who may not map what it likes; man 7 user_namespaces "Defining user and
 * group ID mappings". One id, its own, it may map itself, after it gave up setgroups(2) there. All else is up to newuidmap
 * and newgidmap, which are set-user-ID root and look into /etc/subuid and /etc/subgid.
 */

/** Who writes one of the two maps. */
export type MapWriter =
  | { readonly kind: "self"; readonly mappings: readonly IdMapping[] }
  | { readonly kind: "tool"; readonly path: string; readonly mappings: readonly IdMapping[] };

/** Who writes the maps of a container's user namespace. */
export interface MapWriters {
  readonly uid: MapWriter;
  readonly gid: MapWriter;
  /** The group map can be written only once nobody in the namespace may drop groups any more (CVE-2014-8989). */
  readonly denySetgroups: boolean;
}

const TOOLS: Readonly<Record<IdKind, string>> = { uid: "newuidmap", gid: "newgidmap" };

/**
 * Who is going to write these maps. Looks at nothing but files, and changes nothing.
 * @throws BerthError "id-maps" for ids that this caller may not map, or has no means to
 */
export function planMapWriters({ uidMappings = [], gidMappings = [] }: Linux): MapWriters {
  const uid = writerOf("uid", uidMappings, hasCapability(CAP_SETUID));
  const gid = writerOf("gid", gidMappings, hasCapability(CAP_SETGID));
  return { uid, gid, denySetgroups: gid.kind === "self" && !hasCapability(CAP_SETGID) };
}

function writerOf(kind: IdKind, mappings: readonly IdMapping[], mayMapAny: boolean): MapWriter {
  const ids = effectiveIds();
  const own = ids[kind];
  if (mayMapAny || isOnly(own, mappings)) return { kind: "self", mappings };
  const path = findInPath(TOOLS[kind]);
  const at = `linux.${kind}Mappings`;
  if (path === undefined) {
    throw new BerthError(
      "id-maps",
      `${at}: to map more than the caller's own ${kind} ${own} takes ${TOOLS[kind]}, which is not in PATH`,
      {
        hint: `install it (Debian: the package uidmap), or map ${kind} ${own} alone, with size 1`,
      },
    );
  }
  refuseForeign(kind, at, mappings, ids);
  return { kind: "tool", path, mappings };
}

/** Whether a map has nothing but this id. */
export function isOnly(own: number, mappings: readonly IdMapping[]): boolean {
  return mappings.length === 1 && mappings[0]?.hostID === own && mappings[0].size === 1;
}

/** newuidmap would refuse these as well, without to say which. */
function refuseForeign(
  kind: IdKind,
  at: string,
  mappings: readonly IdMapping[],
  ids: { uid: number; gid: number },
): void {
  const ranges = subordinateRanges(kind, ids.uid);
  const allowed = [...ranges, { start: ids[kind], size: 1 }];
  const user = userName(ids.uid) ?? `#${ids.uid}`;
  const file = SUBORDINATE_FILES[kind];
  mappings.forEach(({ hostID, size }, i) => {
    const wanted = { start: hostID, size };
    if (covers(allowed, wanted)) return;
    const lent = ranges.length === 0 ? "none" : ranges.map(shownRange).join(", ");
    throw new BerthError(
      "id-maps",
      `${at}[${i}]: user "${user}" may not map the host's ${kind}s ${shownRange(wanted)}: ${file} lends it ${lent}`,
      {
        hint: `as root: usermod --add-sub${kind}s ${hostID}-${hostID + size - 1} ${user}; or leave out the mappings, and berth takes what is lent`,
      },
    );
  });
}

/**
 * Writes the maps of a process in a new user namespace. Berth must be dumpable for it: the files of a process that is not
 * belong to the host's root.
 * @throws BerthError
 */
export function writeMaps(pid: number, { uid, gid, denySetgroups }: MapWriters): void {
  if (denySetgroups) writeFile(pid, "setgroups", "deny", "linux.gidMappings");
  writeMap(pid, "uid", uid);
  writeMap(pid, "gid", gid);
}

/** The same, for `berth explain`. */
export function describeWriters({ uid, gid, denySetgroups }: MapWriters): Action[] {
  const action = (kind: IdKind, what: string): Action => ({
    kind: "action",
    phase: "namespaces",
    path: `linux.${kind}Mappings`,
    subject: "",
    what,
  });
  const shown = (kind: IdKind, writer: MapWriter) =>
    action(
      kind,
      writer.kind === "tool"
        ? `${writer.path} PID ${numbersOf(writer).join(" ")}`
        : `write ${JSON.stringify(linesOf(writer))} to /proc/PID/${kind}_map`,
    );
  const denied = action("gid", 'write "deny" to /proc/PID/setgroups');
  return [...(denySetgroups ? [denied] : []), shown("uid", uid), shown("gid", gid)];
}

function linesOf({ mappings }: MapWriter): string {
  return mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");
}

function numbersOf({ mappings }: MapWriter): number[] {
  return mappings.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size]);
}

function writeMap(pid: number, kind: IdKind, writer: MapWriter): void {
  const at = `linux.${kind}Mappings`;
  if (writer.kind === "self") {
    writeFile(pid, `${kind}_map`, linesOf(writer), at);
    return;
  }
  const { exit, stderr } = runTool([writer.path, String(pid), ...numbersOf(writer).map(String)], at);
  if (exit.kind === "exited" && exit.status === 0) return;
  const how = exit.kind === "exited" ? `exit status ${exit.status}` : `killed by signal ${exit.signal}`;
  throw new BerthError("id-maps", `${at}: ${writer.path}: ${how}${said(stderr)}`, {
    hint: `it must be set-user-ID root (or have CAP_${kind === "uid" ? "SETUID" : "SETGID"} as a file capability), and its caller without no_new_privs`,
  });
}

function said(text: string): string {
  const line = text.trim().replace(/\s*\n\s*/g, " | ");
  return line === "" ? "" : `; it said: ${line}`;
}

function writeFile(pid: number, file: string, text: string, at: string): void {
  const path = `/proc/${pid}/${file}`;
  withDescriptor(open(path, O_WRONLY), (fd) =>
    writeAll(fd, utf8(text), `${at}: write ${JSON.stringify(text)} to ${path}`),
  );
}
