import { hasCode, messageOf } from "../errors.ts";
import { readTextIfThere } from "../linux/file.ts";
import { listIds } from "../state/store.ts";
import { type ContainerState, stateAndOwner } from "./state.ts";

/** All containers below a root. */
export interface Listing {
  readonly states: readonly ContainerState[];
  /** One message for each that could not be read. */
  readonly problems: readonly string[];
}

/** Lists the containers below a root; undefined when there is no such directory. @throws BerthError */
export function list(root: string): Listing | undefined {
  const ids = listIds(root);
  if (ids === undefined) return undefined;
  const states: ContainerState[] = [];
  const problems: string[] = [];
  const names = new Map<number, string>();
  for (const id of ids) {
    try {
      const found = stateAndOwner(root, id);
      if (found === undefined) continue;
      const { state, uid } = found;
      states.push({ ...state, owner: ownerName(uid, names) });
    } catch (error) {
      // Deleted since the directory was read.
      if (hasCode(error, "container-missing")) continue;
      problems.push(`load container ${id}: ${messageOf(error)}`);
    }
  }
  return { states, problems };
}

/** The name of a user by /etc/passwd, or "#uid". */
function ownerName(uid: number, known: Map<number, string>): string {
  if (known.size === 0) {
    for (const line of (readTextIfThere("/etc/passwd") ?? "").split("\n")) {
      const [name, , id] = line.split(":");
      if (name && id && !known.has(Number(id))) known.set(Number(id), name);
    }
  }
  return known.get(uid) ?? `#${uid}`;
}
