import { AT_EMPTY_PATH, O_CLOEXEC, O_RDWR, RESOLVE_IN_ROOT, S_IFCHR, S_IFMT } from "../linux/constants.ts";
import { machine } from "../linux/engine.ts";
import { EACCES, EAGAIN, EINVAL, ENOENT, ENXIO, EPERM, EROFS } from "../linux/errno.ts";
import { type FileStatus, fstat } from "../linux/status.ts";
import { addressOf, label, mark, serving, slot, struct } from "../plan/build.ts";
import type { Descriptors } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";

/** What the runtime sees of one of the three standard descriptors. */
export interface Stdio {
  /** It is the host's /dev/null. */
  readonly null: boolean;
  readonly uid: number;
}

/** /dev/null: character device 1:3. */
const NULL_DEVICE = 0x103;

const isNull = ({ mode, rdev }: FileStatus) => (mode & S_IFMT) === S_IFCHR && rdev === NULL_DEVICE;

/** Looks at descriptors 0, 1 and 2 of the runtime, which the container inherits. */
export function inspectStdio(): Stdio[] {
  return [0, 1, 2].map((fd) => {
    const status = fstat(fd);
    return { null: isNull(status), uid: status.uid };
  });
}

const STAT_SIZE = 144;
const arm64 = machine === "aarch64";

/**
 * Steps that put the container's own /dev/null where the host's was inherited: a descriptor of the host's device would give
 * away a file of its /dev.
 * @param lenient a container that runs may have broken its /dev/null: the host's then stays
 */
export function nullSteps(stdio: readonly Stdio[], descriptors: Descriptors, lenient = false): Step[] {
  const inherited = [0, 1, 2].filter((fd) => stdio[fd]?.null === true);
  if (inherited.length === 0) return [];
  const { call, when, fail, jump } = serving("identity", "process", "/dev/null");
  const device = slot("null");
  const status = slot("null status", STAT_SIZE);
  const none = label("no /dev/null");
  const character = label("is a character device");
  const genuine = label("is 1:3");
  const how = struct(24, [
    { name: "flags", offset: 0, size: 8, value: O_RDWR | O_CLOEXEC },
    { name: "resolve", offset: 16, size: 8, value: RESOLVE_IN_ROOT },
  ]);
  const forged = lenient ? jump(none) : fail(EINVAL, "is not the null device");
  return [
    call("openat2", [descriptors.rootfs, "dev/null", how, 24], {
      store: device,
      on: {
        [ENOENT]: none,
        ...(lenient ? { [EACCES]: none, [EPERM]: none, [ENXIO]: none } : { [EAGAIN]: "again" as const }),
      },
    }),
    call("newfstatat", [device, "", addressOf(status), AT_EMPTY_PATH]),
    when({ slot: status, offset: arm64 ? 16 : 24, mask: S_IFMT, value: S_IFCHR }, character),
    forged,
    mark(character),
    when({ slot: status, offset: arm64 ? 32 : 40, mask: 0xffff_ffff, value: NULL_DEVICE }, genuine),
    forged,
    mark(genuine),
    ...inherited.map((fd) => call("dup3", [device, fd, 0])),
    call("close", [device]),
    mark(none),
  ];
}

/**
 * Steps that give the standard descriptors to the container's user, so that it can open /dev/stdout again. Never what is
 * /dev/null: that would change the owner of the host's device. Root needs none of it.
 * @param hostUid what `uid` is outside of the container's user namespace
 */
export function ownerSteps(stdio: readonly Stdio[], uid: number, hostUid: number, terminal: boolean): Step[] {
  if (uid === 0) return [];
  const { call } = serving("identity", "process.user.uid");
  // Not every descriptor has an owner that can be changed; those stay as they are, as with runc.
  const on = { [EPERM]: "next", [EINVAL]: "next", [EROFS]: "next" } as const;
  if (terminal) return [call("fchown", [0, uid, -1], { on, what: "give the terminal to the user" })];
  return [0, 1, 2]
    .filter((fd) => stdio[fd]?.null === false && stdio[fd]?.uid !== hostUid)
    .map((fd) => call("fchown", [fd, uid, -1], { on, what: `give descriptor ${fd} to the user` }));
}
