import { readText } from "../linux/file.ts";
import { perform } from "../plan/perform.ts";
import type { IntelRdt } from "../spec/linux.ts";
import { classOf, ownResctrlMount, requireMount, schemataOf, schemataSteps } from "./group.ts";

/** The part of linux.intelRdt that an update can change. */
export type Schemas = Pick<IntelRdt, "l3CacheSchema" | "memBwSchema">;

/**
 * Changes the limits of a container's class of service, also of one that it shares with others.
 * @param rdt the container's own linux.intelRdt
 * @returns how to set them back
 * @throws BerthError "unsupported", or that of the line which the kernel refuses; all is as before then
 */
export function changeSchemata(
  rdt: IntelRdt,
  id: string,
  change: Schemas,
  mount = ownResctrlMount(),
): () => void {
  const path = classOf(rdt, id, requireMount(mount));
  const before = readText(`${path}/schemata`)
    .split("\n")
    .filter((line) => line !== "");
  const setBack = () => {
    perform(schemataSteps(path, before));
  };
  try {
    perform(schemataSteps(path, schemataOf(change)));
  } catch (error) {
    setBack();
    throw error;
  }
  return setBack;
}
