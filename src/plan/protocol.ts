import { ECONNRESET } from "../linux/errno.ts";
import { ALL32, addressOf, label, mark, rawBytes, type Serving, slot } from "./build.ts";
import type { Slot, Step } from "./step.ts";

/*
 * How init and the runtime talk, over one SOCK_SEQPACKET pair (init's end: `Descriptors.sync`):
 *
 *   init -> runtime   { step, errno }          a step failed; init waits until the socket closes, then exits
 *   init -> runtime   { 0xffffffff, n }        request n of the list below; init waits for the answer
 *   runtime -> init   one byte or an answer    done, go on
 *   end of file                                whoever sees it stops: the other side is gone
 *
 *   request    | when                               | the runtime then
 *   make-path  | a mount's target does not exist    | makes it inside the rootfs (it holds the rootfs by descriptor)
 *   copy-up    | a tmpfs covers a directory         | copies what the directory holds into the tmpfs (init's descriptors)
 *   offsets    | init may not write them itself     | writes linux.timeOffsets
 *   network    | its namespaces are there           | moves linux.netDevices there, by init's netlink socket
 *   mounted    | mounts are there, before the pivot | runs prestart, createRuntime and createContainer hooks
 *   limits     | init may not raise a limit itself  | sets process.rlimits with prlimit
 *   home       | process.env has no HOME            | answers with "HOME=..." from the container's /etc/passwd
 *   console    | the terminal is there              | fetches its master and passes it on
 *   ready      | all is done but execve             | saves the state, lets go; start.sock takes over
 *
 * After `ready`, init accepts one connection on start.sock (`Descriptors.listen`) and moves it onto `sync`:
 *
 *   start -> init     one byte                 go on to execve
 *   init -> start     { step, errno }          execve failed; init waits as above
 *   end of file                                execve succeeded: the connection is close-on-exec
 */

/** What init asks the runtime for. */
export type Request =
  | {
      readonly kind: "make-path";
      readonly path: string;
      readonly type: "directory" | "file";
      readonly of: string;
    }
  | {
      readonly kind: "copy-up";
      readonly path: string;
      readonly of: string;
      /** Init's descriptor of the directory that the tmpfs is going to cover. */
      readonly from: number;
      /** Init's descriptor of the tmpfs, not attached yet. */
      readonly to: number;
    }
  | { readonly kind: "mounted" }
  | { readonly kind: "limits" }
  | { readonly kind: "offsets" }
  | { readonly kind: "home"; readonly uid: number }
  | { readonly kind: "console" }
  | { readonly kind: "network"; readonly socket: number }
  | { readonly kind: "ready" };

/** In the first word of a message: a request follows, not a failed step. */
export const REQUEST = 0xffff_ffff;

/** The size of every message from init, in bytes. */
export const MESSAGE_SIZE = 8;

/** Descriptors that init finds at fixed numbers. */
export interface Descriptors {
  /** Descriptors 3 to 3 + preserved - 1 are the caller's, for the container. */
  readonly preserved: number;
  /** Init's end of the socket pair; later the connection from `start`. */
  readonly sync: number;
  /** The Plan; closed once it is mapped. */
  readonly plan: number;
  /** The listening start.sock. */
  readonly listen: number;
  /** An O_PATH descriptor of the rootfs, opened by the Plan. */
  readonly rootfs: number;
  /** An O_PATH descriptor of the host's /proc, checked to be one, opened by the Plan. */
  readonly proc: number;
  /** The time namespace to join, if any: setns refuses it to a process that shares its memory with another. */
  readonly time: number;
  /** The console's master, if any: the runtime fetches it from here. */
  readonly console: number;
  /** From here on, what the Plan opens is temporary: a block of steps ends with close_range(temporary, ~0). */
  readonly temporary: number;
}

/** The descriptor numbers for a container that inherits `preserved` descriptors beside its stdio. */
export function descriptors(preserved: number): Descriptors {
  const first = 3 + preserved;
  return {
    preserved,
    sync: first,
    listen: first + 1,
    plan: first + 2,
    rootfs: first + 3,
    proc: first + 4,
    time: first + 5,
    console: first + 6,
    temporary: first + 7,
  };
}

/** Collects the requests of a Plan: their place in `list` is their number in a message. */
export interface Requests {
  readonly list: readonly Request[];
  /** Steps that make this request and wait until it was served; `into` takes an answer of more than a byte. */
  ask(serving: Serving, request: Request, into?: Slot): Step[];
}

/** Requests over the descriptor `sync`. */
export function createRequests(sync: number): Requests {
  const list: Request[] = [];
  return {
    list,
    ask(serving, request, into = slot("answer")) {
      const number = list.push(request) - 1;
      const message = new Uint8Array(MESSAGE_SIZE);
      const view = new DataView(message.buffer);
      view.setUint32(0, REQUEST, true);
      view.setUint32(4, number, true);
      const got = slot("got");
      const served = label("served");
      const what = `ask the runtime: ${request.kind}`;
      return [
        serving.call("write", [sync, rawBytes(message, request.kind), MESSAGE_SIZE], { what }),
        serving.call("read", [sync, addressOf(into), into.size], { store: got, what }),
        serving.unless({ slot: got, mask: ALL32, value: 0 }, served),
        serving.fail(ECONNRESET, what),
        mark(served),
      ];
    },
  };
}
