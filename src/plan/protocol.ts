import { F_DUPFD_CLOEXEC, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET } from "../linux/constants.ts";
import { ECONNRESET } from "../linux/errno.ts";
import { ALL32, addressOf, label, loadFrom, mark, rawBytes, type Serving, slot, struct } from "./build.ts";
import type { Bytes, Slot, Step, Struct } from "./step.ts";

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
 *   open-tree  | init may not reach a bind's source | opens it, and answers with a descriptor (SCM_RIGHTS)
 *   id-map     | a mount shows mapped owners        | maps the ids of that mount (init's descriptor, not attached yet)
 *   copy-up    | a tmpfs covers a directory         | copies what the directory holds into the tmpfs (init's descriptors)
 *   offsets    | init may not write them itself     | writes linux.timeOffsets
 *   network    | its namespaces are there           | moves linux.netDevices there, by init's netlink socket
 *   mounted    | mounts are there, before the pivot | runs prestart, createRuntime and createContainer hooks
 *   limits     | init may not raise a limit itself  | sets process.rlimits with prlimit
 *   home       | process.env has no HOME            | answers with "HOME=..." from the container's /etc/passwd
 *   console    | the terminal is there              | fetches its master and passes it on
 *   ready      | all is done but execve             | saves the state, lets go; start.sock takes over
 *
 * The process of an `exec` talks in the same way (requests: limits, console), and is not waited for at its end:
 *
 *   executing  | all is done but execve             | takes note, and gives no answer: end of file now means success
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
  | {
      readonly kind: "open-tree";
      readonly source: string;
      /** Of open_tree(2). */
      readonly flags: number;
      readonly of: string;
    }
  | {
      readonly kind: "id-map";
      /** Which of config.json's mounts. */
      readonly mount: number;
      /** Init's descriptor of the mount, not attached yet. */
      readonly fd: number;
      /** Its submounts too. */
      readonly recursive: boolean;
      readonly of: string;
    }
  | { readonly kind: "mounted" }
  | { readonly kind: "limits" }
  | { readonly kind: "offsets" }
  | { readonly kind: "home"; readonly uid: number }
  | { readonly kind: "console" }
  | { readonly kind: "network"; readonly socket: number }
  | { readonly kind: "ready" }
  | { readonly kind: "executing" };

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
  /** As {@link ask}, and gives the runtime a copy of a descriptor with it. */
  give(serving: Serving, request: Request, descriptor: number): Step[];
  /** A step that makes this request and goes on. */
  tell(serving: Serving, request: Request): Step;
  /** Steps that make this request and wait for the descriptor that answers it, in `into`. */
  askDescriptor(serving: Serving, request: Request, into: Slot): Step[];
}

/** One SCM_RIGHTS message with one descriptor; man 3 cmsg. */
const CONTROL_SIZE = 24;
const CONTROL_DATA = 16;

/** Requests over the descriptor `sync`. */
export function createRequests(sync: number): Requests {
  const list: Request[] = [];
  /** The bytes of a request, under the next number. */
  const register = (request: Request) => {
    const number = list.push(request) - 1;
    const message = new Uint8Array(MESSAGE_SIZE);
    const view = new DataView(message.buffer);
    view.setUint32(0, REQUEST, true);
    view.setUint32(4, number, true);
    return rawBytes(message, request.kind);
  };
  const detailOf = (request: Request) => ({ what: `ask the runtime: ${request.kind}` });
  const waitSteps = ({ call, unless, fail }: Serving, request: Request, into: Slot): Step[] => {
    const got = slot("got");
    const served = label("served");
    const { what } = detailOf(request);
    return [
      call("read", [sync, addressOf(into), into.size], { store: got, what }),
      unless({ slot: got, mask: ALL32, value: 0 }, served),
      fail(ECONNRESET, what),
      mark(served),
    ];
  };
  const tell = ({ call }: Serving, request: Request) =>
    call("write", [sync, register(request), MESSAGE_SIZE], detailOf(request));
  return {
    list,
    tell,
    ask: (serving, request, into = slot("answer")) => [
      tell(serving, request),
      ...waitSteps(serving, request, into),
    ],
    give: (serving, request, descriptor) => [
      serving.call("sendmsg", [sync, messageWith(register(request), descriptor), 0], detailOf(request)),
      ...waitSteps(serving, request, slot("answer")),
    ],
    askDescriptor(serving, request, into) {
      const detail = detailOf(request);
      const got = slot("got");
      const served = label("served");
      const control = slot("control", CONTROL_SIZE);
      const message = struct(56, [
        {
          name: "msg_iov",
          offset: 16,
          pointer: struct(16, [
            { name: "iov_base", offset: 0, pointer: slot("answer") },
            { name: "iov_len", offset: 8, size: 8, value: 1 },
          ]),
        },
        { name: "msg_iovlen", offset: 24, size: 8, value: 1 },
        { name: "msg_control", offset: 32, pointer: control },
        { name: "msg_controllen", offset: 40, size: 8, value: CONTROL_SIZE },
      ]);
      return [
        tell(serving, request),
        serving.call("recvmsg", [sync, message, MSG_CMSG_CLOEXEC], { store: got, ...detail }),
        serving.unless({ slot: got, mask: ALL32, value: 0 }, served),
        serving.fail(ECONNRESET, detail.what),
        mark(served),
        // The four bytes after the descriptor are padding, which the kernel leaves as they are: 0.
        serving.call("fcntl", [loadFrom(control, CONTROL_DATA), F_DUPFD_CLOEXEC, 0], {
          store: into,
          ...detail,
        }),
        serving.call("close", [loadFrom(control, CONTROL_DATA)]),
      ];
    },
  };
}

/** struct msghdr for one part of MESSAGE_SIZE bytes and one descriptor; man 7 unix, SCM_RIGHTS. */
function messageWith(payload: Bytes, descriptor: number): Struct {
  const vector = struct(16, [
    { name: "iov_base", offset: 0, pointer: payload },
    { name: "iov_len", offset: 8, size: 8, value: MESSAGE_SIZE },
  ]);
  const control = struct(24, [
    { name: "cmsg_len", offset: 0, size: 8, value: 20 },
    { name: "cmsg_level", offset: 8, size: 4, value: SOL_SOCKET },
    { name: "cmsg_type", offset: 12, size: 4, value: SCM_RIGHTS },
    { name: "fd", offset: 16, size: 4, value: descriptor },
  ]);
  return struct(56, [
    { name: "msg_iov", offset: 16, pointer: vector },
    { name: "msg_iovlen", offset: 24, size: 8, value: 1 },
    { name: "msg_control", offset: 32, pointer: control },
    { name: "msg_controllen", offset: 40, size: 8, value: 24 },
  ]);
}
