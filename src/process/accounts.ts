import { BerthError } from "../errors.ts";
import type { User } from "../spec/process.ts";

/** The largest id; 2^32 - 1 means "no change" to the kernel. */
const MAX_ID = 2 ** 32 - 2;

/** Reads a file of the container, such as "etc/passwd"; "" when there is none. */
export type ReadFile = (path: string) => string;

/**
 * The user that `--user` names: UID, UID:GID, NAME, NAME:GROUP or a mixture. Names are those of the container's /etc/passwd and
 * /etc/group.
 *
 * A number alone leaves the groups as they are, as with runc. A name brings its own: that of /etc/passwd, and those of which
 * /etc/group says that it is a member.
 * @param current the user of config.json
 * @throws BerthError "invalid-option": nothing is guessed (CVE-2026-30892)
 */
export function namedUser(text: string, current: User, read: ReadFile): User {
  const colon = text.indexOf(":");
  const name = colon < 0 ? text : text.slice(0, colon);
  const group = colon < 0 ? undefined : text.slice(colon + 1);
  const number = idOf(name);
  const user =
    number === undefined ? userByName(text, name, current, group, read) : { ...current, uid: number };
  return group === undefined ? user : { ...user, gid: idOf(group) ?? groupByName(text, group, read) };
}

/** The id in a string of digits. @returns undefined when it is none @throws BerthError when it is too large */
export function idOf(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id <= MAX_ID) return id;
  throw new BerthError("invalid-option", `"${text}" is no user or group id: the largest is ${MAX_ID}`);
}

function userByName(
  text: string,
  name: string,
  current: User,
  group: string | undefined,
  read: ReadFile,
): User {
  const fields = name === "" ? undefined : lineOf(read("etc/passwd"), name);
  const uid = idOf(fields?.[2] ?? "");
  const gid = idOf(fields?.[3] ?? "");
  if (uid === undefined || gid === undefined) {
    throw badUser(text, `no user ${JSON.stringify(name)} in the container's /etc/passwd`);
  }
  return { ...current, uid, gid, additionalGids: group === undefined ? groupsOf(name, gid, read) : [] };
}

function groupByName(text: string, name: string, read: ReadFile): number {
  const gid = idOf((name === "" ? undefined : lineOf(read("etc/group"), name)?.[2]) ?? "");
  if (gid === undefined)
    throw badUser(text, `no group ${JSON.stringify(name)} in the container's /etc/group`);
  return gid;
}

/** The groups of which a user is a member, beside its first. */
function groupsOf(user: string, first: number, read: ReadFile): number[] {
  const gids: number[] = [];
  for (const line of read("etc/group").split("\n")) {
    const [, , id = "", members = ""] = line.split(":");
    const gid = idOf(id);
    if (gid === undefined || gid === first || !members.split(",").includes(user)) continue;
    if (!gids.includes(gid)) gids.push(gid);
  }
  return gids;
}

function lineOf(file: string, name: string): string[] | undefined {
  for (const line of file.split("\n")) {
    const fields = line.split(":");
    if (fields[0] === name) return fields;
  }
  return undefined;
}

function badUser(text: string, why: string): BerthError {
  return new BerthError("invalid-option", `--user ${JSON.stringify(text)}: ${why}`, {
    hint: "a user is UID, UID:GID, NAME or NAME:GROUP",
  });
}
