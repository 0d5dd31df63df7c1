import { O_WRONLY } from "../../linux/constants.ts";
import { systemError } from "../../linux/errno.ts";
import { close, tryOpen, tryWrite } from "../../linux/file.ts";
import { utf8 } from "../../linux/text.ts";
import { directoryOf } from "../path.ts";
import type { V1Place } from "./place.ts";

/** Moves a process, with all of its threads, into the cgroups. clone3 can make one only in a cgroup of v2. @throws BerthError */
export function joinV1(places: readonly V1Place[], pid: number): void {
  for (const place of places) {
    const file = `${directoryOf(place)}/cgroup.procs`;
    const fd = tryOpen(file, O_WRONLY);
    if (fd < 0) throw systemError(-fd, `open "${file}"`);
    const result = tryWrite(fd, utf8(String(pid)));
    close(fd);
    if (result < 0) throw systemError(-result, `write the process to "${file}"`);
  }
}
