import { O_CLOEXEC, O_DIRECTORY, O_PATH, RESOLVE_IN_ROOT } from "../linux/constants.ts";
import { EACCES, EAGAIN, ENOENT, EPERM } from "../linux/errno.ts";
import { addressOf, label, mark, serving, slot, struct } from "../plan/build.ts";
import type { Descriptors, Requests } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";

const CWD = "process.cwd";
const PATH_MAX = 4096;

/** Steps that make the working directory if it is missing, while the rootfs can be written. */
export function makeCwdSteps(cwd: string, descriptors: Descriptors, requests: Requests): Step[] {
  const at = serving("identity", CWD, cwd);
  const { call } = at;
  const there = label("cwd is there");
  const missing = label("cwd is missing");
  const directory = slot("cwd");
  const how = struct(24, [
    { name: "flags", offset: 0, size: 8, value: O_PATH | O_DIRECTORY | O_CLOEXEC },
    { name: "resolve", offset: 16, size: 8, value: RESOLVE_IN_ROOT },
  ]);
  return [
    call("openat2", [descriptors.rootfs, cwd, how, 24], {
      store: directory,
      // Whatever else is wrong with it, chdir will say.
      // EAGAIN: mounts changed on the host meanwhile; the runtime's walk is as good as a second try.
      on: { [ENOENT]: missing, [EAGAIN]: missing, [EACCES]: there, [EPERM]: there },
    }),
    call("close", [directory]),
    at.jump(there),
    mark(missing),
    ...requests.ask(at, { kind: "make-path", path: cwd, type: "directory", of: CWD }),
    mark(there),
  ];
}

/** The steps for `process.cwd`, which fall before and after the change of user. */
export interface CwdSteps {
  readonly beforeUser: readonly Step[];
  readonly afterUser: readonly Step[];
}

/**
 * Steps that make `cwd` the working directory, and fail when it lies outside of the container's root: a path such as
 * /proc/self/fd/7 may lead through a descriptor of the host's (CVE-2024-21626).
 */
export function cwdSteps(cwd: string): CwdSteps {
  const { call, when, fail } = serving("identity", CWD, cwd);
  const entered = slot("chdir");
  const inside = label("cwd is inside");
  const done = label("cwd is set");
  const path = slot("getcwd", PATH_MAX);
  return {
    // The user may lack the right that root has, or root the right that the user has (NFS, FUSE): one of them is enough.
    beforeUser: [call("chdir", [cwd], { store: entered, on: { [EACCES]: "next", [EPERM]: "next" } })],
    afterUser: [
      when({ slot: entered, mask: 0xffff_ffff, value: 0 }, done),
      call("chdir", [cwd], {
        hints: { [EACCES]: "the user of process.user must be able to enter every directory on the way" },
      }),
      mark(done),
      call("getcwd", [addressOf(path), PATH_MAX], {
        hints: { [ENOENT]: "the working directory lies outside of the container's mount namespace" },
      }),
      when({ slot: path, mask: 0xff, value: "/".charCodeAt(0) }, inside),
      fail(EACCES, "the working directory lies outside of the container's root"),
      mark(inside),
    ],
  };
}
