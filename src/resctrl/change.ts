import { messageOf } from "../errors.ts";
import { readText } from "../linux/file.ts";
import { perform } from "../plan/perform.ts";
import type { IntelRdt } from "../spec/linux.ts";
import { classOf, ownResctrlMount, requireMount, schemataOf, schemataSteps } from "./group.ts";

/** The part of linux.intelRdt that an update can change. */
export type Schemas = Pick<IntelRdt, "l3CacheSchema" | "memBwSchema">;

/**
 * Changes the limits of a container's class of service, also of one that it shares with others.
 * @param rdt the container's own linux.intelRdt
 * @param warn is told when that does not work
 * @returns how to set them back
 * @throws BerthError "unsupported", or that of the line which the kernel refuses; all is as before then
 */
export function changeSchemata(
  rdt: IntelRdt,
  id: string,
  change: Schemas,
  warn: (message: string) => void,
  mount = ownResctrlMount(),
): () => void {
  const path = classOf(rdt, id, requireMount(mount));
  const lines = schemataOf(change);
  // Of the same resources only: a class of service may be shared, and others may change the rest.
  const before = readText(`${path}/schemata`)
    .split("\n")
    .filter((line) => lines.some((wanted) => resourceOf(wanted) === resourceOf(line)));
  const setBack = () => {
    try {
      perform(schemataSteps(path, before));
    } catch (error) {
      warn(`linux.intelRdt: the schemata are not set back: ${messageOf(error)}`);
    }
  };
  try {
    perform(schemataSteps(path, lines));
  } catch (error) {
    setBack();
    throw error;
  }
  return setBack;
}

/** "L3" of "L3:0=f;1=f". */
function resourceOf(line: string): string {
  return line.slice(0, line.indexOf(":")).trim();
}
