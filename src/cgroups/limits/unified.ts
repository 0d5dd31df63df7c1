import type { Resources } from "../../spec/resources.ts";
import type { LimitWrite } from "./limit.ts";

/** Files with a line for each device, or kind of thing, of which a write sets one. */
const KEYED: readonly string[] = ["io.max", "io.weight", "io.bfq.weight", "rdma.max", "misc.max"];

/** Files by their own names, as config.json has them; each line is a write of its own, for that is what the kernel takes. */
export function unifiedWrites(unified: Resources["unified"] = {}): LimitWrite[] {
  const writes: LimitWrite[] = [];
  for (const [file, text] of Object.entries(unified)) {
    const controller = file.slice(0, file.indexOf("."));
    const path = `linux.resources.unified["${file}"]`;
    for (const value of text.trimEnd().split("\n")) {
      const key = KEYED.includes(file) ? /^(\S+) /.exec(value)?.[1] : undefined;
      writes.push({ controller, file, value, path, ...(key === undefined ? {} : { key }) });
    }
  }
  return writes;
}
