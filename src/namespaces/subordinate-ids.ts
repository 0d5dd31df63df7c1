import { readTextIfThere } from "../linux/file.ts";
import type { IdMapping } from "../spec/linux.ts";

/*
 * The ids of the host that /etc/subuid and /etc/subgid lend to users, for user namespaces of their own; man 5 subuid.
 */

/** Ids from `start` on. */
export interface Range {
  readonly start: number;
  readonly size: number;
}

/** Which ids: users or groups. Also group ids are lent to users. */
export type IdKind = "uid" | "gid";

export const SUBORDINATE_FILES: Readonly<Record<IdKind, string>> = { uid: "/etc/subuid", gid: "/etc/subgid" };

/** The name of a user in /etc/passwd. */
export function userName(uid: number): string | undefined {
  for (const line of (readTextIfThere("/etc/passwd") ?? "").split("\n")) {
    const [name, , id] = line.split(":");
    if (id === String(uid) && name !== "") return name;
  }
  return undefined;
}

/** What the system lends to this user. */
export function subordinateRanges(kind: IdKind, uid: number): Range[] {
  return rangesOf(readTextIfThere(SUBORDINATE_FILES[kind]) ?? "", userName(uid), uid);
}

/** The ranges of a user, who is known there by name or by number, in the text of such a file. */
export function rangesOf(text: string, name: string | undefined, uid: number): Range[] {
  const ranges: Range[] = [];
  for (const line of text.split("\n")) {
    const match = /^([^:#][^:]*):(\d+):(\d+)\s*$/.exec(line);
    if (match === null || (match[1] !== name && match[1] !== String(uid))) continue;
    const [start, size] = [Number(match[2]), Number(match[3])];
    if (size > 0) ranges.push({ start, size });
  }
  return ranges;
}

/** Whether ranges, which may touch or overlap, hold all of these ids together. */
export function covers(ranges: readonly Range[], { start, size }: Range): boolean {
  let next = start;
  while (next < start + size) {
    const range = ranges.find((each) => next >= each.start && next < each.start + each.size);
    if (range === undefined) return false;
    next = range.start + range.size;
  }
  return true;
}

/** The kernel takes this many mappings; user_namespaces(7). */
const MAX_MAPPINGS = 340;

/** The mappings that give a container the most: its root is the user itself, and all ids that are lent follow from 1 on. */
export function automaticMappings(own: number, ranges: readonly Range[]): IdMapping[] {
  const mappings: IdMapping[] = [{ containerID: 0, hostID: own, size: 1 }];
  let next = 1;
  for (const { start, size } of ranges.slice(0, MAX_MAPPINGS - 1)) {
    const overlaps = mappings.some(
      ({ hostID, size: length }) => start < hostID + length && hostID < start + size,
    );
    if (overlaps) continue;
    mappings.push({ containerID: next, hostID: start, size });
    next += size;
  }
  return mappings;
}

/** "100000 to 165535" */
export function shownRange({ start, size }: Range): string {
  return size === 1 ? String(start) : `${start} to ${start + size - 1}`;
}
