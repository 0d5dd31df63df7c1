import { BerthError } from "../errors.ts";
import { utf8 } from "../linux/text.ts";

/** Which systemd: the system's, or that of the user who calls. */
export type ManagerKind = "system" | "user";

/** A unit that a container becomes: a scope below a slice, or a slice itself. */
export interface UnitName {
  /** "libpod-abc.scope" */
  readonly name: string;
  /** The slice that it lies in: "machine.slice". */
  readonly slice: string;
  readonly kind: "scope" | "slice";
  /** Path of its cgroup below that of systemd: "/machine.slice/libpod-abc.scope". */
  readonly path: string;
}

const DEFAULT_SLICE: Readonly<Record<ManagerKind, string>> = { system: "system.slice", user: "user.slice" };
const PREFIX = "berth";
const ROOT_SLICE = "-.slice";
/** UNIT_NAME_MAX of systemd, without the NUL. */
const MAX_NAME = 255;

/**
 * The unit that `linux.cgroupsPath` names to the systemd driver, in its form "slice:prefix:name": "<prefix>-<name>.scope" in
 * that slice; a name that ends in ".slice" is a slice itself, whose place its own name says. Without a slice: system.slice,
 * or user.slice of a user's systemd. None at all: "berth-<id>.scope".
 * @throws BerthError "invalid-config"
 */
export function unitOf(cgroupsPath: string | undefined, id: string, manager: ManagerKind): UnitName {
  const given = cgroupsPath === undefined || cgroupsPath === "" ? `:${PREFIX}:${id}` : cgroupsPath;
  const refuse = (why: string, hint?: string) =>
    new BerthError("invalid-config", `linux.cgroupsPath "${given}": ${why}`, { hint });
  const parts = given.split(":");
  const [slice = "", prefix = "", name = ""] = parts;
  if (parts.length !== 3) {
    throw refuse(
      'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups',
      'such as "machine.slice:libpod:abc"; for the path of a cgroup, use --cgroup-manager cgroupfs',
    );
  }
  if (name === "") throw refuse('the name is empty, the last part of "slice:prefix:name"');
  if (/[/\0]/.test(given)) throw refuse('the parts of "slice:prefix:name" are names, without "/"');
  if (name.endsWith(".slice")) return sliceUnit(name, slice, refuse);
  const parent = slice === "" ? DEFAULT_SLICE[manager] : slice;
  const above = sliceParts(parent);
  if (above === undefined) throw refuse(`"${parent}" is no name of a slice`, SLICE_HINT);
  const unit = `${escapeUnit(prefix === "" ? name : `${prefix}-${name}`)}.scope`;
  if (unit.length > MAX_NAME) {
    throw refuse(`the unit's name would have ${unit.length} characters, and ${MAX_NAME} is the most`);
  }
  return { name: unit, slice: parent, kind: "scope", path: pathOf([...above, unit], refuse) };
}

const SLICE_HINT =
  'it ends in ".slice", and its parts lie between single dashes: "a-b.slice" is in "a.slice"; "-.slice" is the root';

type Refuse = (why: string, hint?: string) => BerthError;

function sliceUnit(name: string, slice: string, refuse: Refuse): UnitName {
  const parts = sliceParts(name);
  if (parts === undefined) throw refuse(`"${name}" is no name of a slice`, SLICE_HINT);
  if (parts.length === 0) throw refuse("the root slice cannot be a container");
  const parent = parts.at(-2) ?? ROOT_SLICE;
  if (slice !== "" && slice !== parent) {
    throw refuse(`"${name}" lies in "${parent}" by its name, not in "${slice}"`, SLICE_HINT);
  }
  return { name, slice: parent, kind: "slice", path: pathOf(parts, refuse) };
}

/**
 * The slices from the top down that a slice's name stands for: "a-b.slice" for "a.slice" and "a-b.slice"; none for "-.slice",
 * the root; man 5 systemd.slice. Undefined for what is no such name.
 */
export function sliceParts(slice: string): string[] | undefined {
  if (slice === ROOT_SLICE) return [];
  if (!/^[A-Za-z0-9:_.\\]+(-[A-Za-z0-9:_.\\]+)*\.slice$/.test(slice) || slice.length > MAX_NAME)
    return undefined;
  const parts = slice.slice(0, -".slice".length).split("-");
  return parts.map((_, i) => `${parts.slice(0, i + 1).join("-")}.slice`);
}

/** Replaces what a unit's name cannot have by "\x2b" and the like; man 5 systemd.unit, "String Escaping". */
function escapeUnit(name: string): string {
  let escaped = "";
  for (const byte of utf8(name)) {
    const character = String.fromCharCode(byte);
    escaped += /[A-Za-z0-9:_.\\-]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return escaped;
}

/** Names that the files of a cgroup could have; systemd puts "_" before them. */
const LIKE_FILES = /^[_.]|^(?:cgroup|cpu|cpuacct|cpuset|io|blkio|memory|devices|pids)\./;
/** Of these, some versions do so and others do not. */
const DOUBTFUL = /^[^_.][^.]*\..*\./;

function pathOf(units: readonly string[], refuse: Refuse): string {
  let path = "";
  for (const unit of units) {
    const isLikeFile = LIKE_FILES.test(unit);
    if (isLikeFile && DOUBTFUL.test(unit)) {
      throw refuse(
        `unit "${unit}" has another cgroup with each version of systemd, for it begins like a file of a cgroup`,
      );
    }
    path += `/${isLikeFile ? "_" : ""}${unit}`;
  }
  return path;
}
