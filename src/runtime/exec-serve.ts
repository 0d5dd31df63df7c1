import { BerthError } from "../errors.ts";
import { EPIPE, systemError } from "../linux/errno.ts";
import { close, readSome, writeAll } from "../linux/file.ts";
import { receiveWithDescriptor } from "../linux/socket.ts";
import type { Spawned } from "../linux/spawn.ts";
import { slot } from "../plan/build.ts";
import { perform } from "../plan/perform.ts";
import { MESSAGE_SIZE, REQUEST, type Request } from "../plan/protocol.ts";
import { rlimitSteps } from "../process/limits.ts";
import type { Process } from "../spec/process.ts";
import type { ConsoleReceiver } from "./console.ts";
import type { FilteredStart } from "./filtered-start.ts";
import { DONE } from "./release.ts";

/** A process that is on its way into a container. */
export interface Joining {
  readonly process: Process;
  readonly requests: readonly Request[];
  readonly child: Spawned;
  /** The runtime's end of the socket pair. */
  readonly sync: number;
  /** Takes the master of its terminal, if it has one. */
  readonly console: ConsoleReceiver | undefined;
  /** Begins its start, if it has a seccomp filter. */
  readonly filtered: (() => FilteredStart) | undefined;
}

/** A step of its Plan that failed. */
export interface FailedStep {
  readonly step: number;
  readonly errno: number;
}

/**
 * Serves the process's requests until it has executed; see plan/protocol.ts.
 * @returns the step that failed, while the process still waits to be looked at; undefined: it has executed
 * @throws BerthError what a request came to; "EPIPE" when the process is gone
 */
export function serveUntilExecuted(joining: Joining): FailedStep | undefined {
  const { sync, process, requests, child } = joining;
  let executing = false;
  let filtered: FilteredStart | undefined;
  for (;;) {
    const { bytes, descriptor } =
      process.terminal === true
        ? receiveWithDescriptor(sync, MESSAGE_SIZE)
        : { bytes: readSome(sync, MESSAGE_SIZE), descriptor: undefined };
    if (bytes.length === 0) {
      const notice = filtered?.notice() ?? bytes;
      if (notice.length > 0) return failedStep(notice);
      if (executing) return undefined;
      throw systemError(EPIPE, "wait for the process");
    }
    const { step: first, errno: second } = failedStep(bytes);
    if (first !== REQUEST) return { step: first, errno: second };
    switch (requests[second]?.kind) {
      case "executing":
        executing = true;
        if (joining.filtered === undefined) continue;
        filtered = joining.filtered();
        writeAll(sync, DONE, "answer the process");
        filtered.handOver(sync);
        continue;
      case "limits": {
        const pid = slot("pid");
        perform(rlimitSteps(process.rlimits ?? [], pid), new Map([[pid, child.pid]]));
        break;
      }
      case "console":
        takeMaster(descriptor, joining.console);
        break;
      default:
        throw new BerthError("protocol", `the process asked for request ${second}, which its Plan has not`);
    }
    writeAll(sync, DONE, "answer the process");
  }
}

function failedStep(message: Uint8Array): FailedStep {
  const view = new DataView(message.buffer);
  return { step: view.getUint32(0, true), errno: view.getUint32(4, true) };
}

function takeMaster(master: number | undefined, console: ConsoleReceiver | undefined): void {
  if (master === undefined) throw new BerthError("protocol", "the process did not hand over its terminal");
  if (console === undefined) close(master);
  else console(master);
}
