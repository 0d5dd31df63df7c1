import type { Mount, Spec } from "./config.ts";
import type { IdMapping } from "./linux.ts";

// How config.json asks for an id-mapped mount. Runtime-spec 1.3, config.md "Mounts" (uidMappings, gidMappings, the options
// idmap and ridmap), and crun's form of the option, which carries the mappings itself: "idmap=uids=0-1000-10;gids=0-1000-10".

/** That a mount shows other owners than its file system has. */
export interface MountIdMap {
  /** Its submounts too. */
  readonly recursive: boolean;
  /** Where the option stands in `options`; undefined: there is none, only mappings. */
  readonly option: number | undefined;
  /** What follows "idmap=". */
  readonly text: string | undefined;
}

/** One range of crun's form. */
export interface OptionMapping extends IdMapping {
  /** `hostID` is an id in the container, not on the host. */
  readonly relative: boolean;
}

/** The mappings of crun's form; a list that is not given is empty. */
export interface OptionMaps {
  readonly uids: readonly OptionMapping[];
  readonly gids: readonly OptionMapping[];
}

/** Whether any mount is to be id-mapped. */
export function asksForIdMaps({ mounts }: Spec): boolean {
  if (mounts === undefined) return false;
  for (const mount of mounts) if (idMapOf(mount) !== undefined) return true;
  return false;
}

/** Whether and how a mount is to be id-mapped. */
export function idMapOf({ options, uidMappings, gidMappings }: Mount): MountIdMap | undefined {
  let found: MountIdMap | undefined;
  if (options !== undefined) {
    let index = 0;
    for (const option of options) {
      if (option.includes("idmap")) found = lastOf(option, index) ?? found;
      index++;
    }
  }
  if (found !== undefined) return found;
  const mapped = (uidMappings?.length ?? 0) + (gidMappings?.length ?? 0) > 0;
  return mapped ? { recursive: false, option: undefined, text: undefined } : undefined;
}

/** The last one in a string that may hold several options. */
function lastOf(options: string, index: number): MountIdMap | undefined {
  let found: MountIdMap | undefined;
  for (const option of options.split(",")) {
    const match = /^(r?)idmap(?:=(.*))?$/.exec(option);
    if (match !== null) found = { recursive: match[1] === "r", option: index, text: match[2] };
  }
  return found;
}

/**
 * Reads crun's form: "uids=" and "gids=" with ranges FROM-TO-SIZE, joined by "#"; an "@" before a range makes TO an id in the
 * container.
 * @returns undefined for what is not of this form
 */
export function parseOptionMaps(text: string): OptionMaps | undefined {
  const lists: { uids: OptionMapping[]; gids: OptionMapping[] } = { uids: [], gids: [] };
  for (const part of text.split(";")) {
    const match = /^(uids|gids)=(.+)$/.exec(part);
    if (match === null) return undefined;
    const list = lists[match[1] as "uids" | "gids"];
    if (list.length > 0) return undefined;
    for (const range of (match[2] as string).split("#")) {
      const numbers = /^(@?)(\d{1,10})-(\d{1,10})-(\d{1,10})$/.exec(range);
      if (numbers === null) return undefined;
      const [containerID = 0, hostID = 0, size = 0] = numbers.slice(2).map(Number);
      if (size === 0) return undefined;
      list.push({ containerID, hostID, size, relative: numbers[1] === "@" });
    }
  }
  return lists;
}
