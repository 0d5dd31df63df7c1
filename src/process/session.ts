import { KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SETPERM, PR_SET_DUMPABLE } from "../linux/constants.ts";
import { EDQUOT, ENOSYS } from "../linux/errno.ts";
import { label, mark, serving, slot } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import type { Personality } from "../spec/linux.ts";

// <linux/keyctl.h>: what a session keyring is made with, and the right to search it, for its user or (in a user namespace,
// where the owner's id is not the one inside) for others.
const KEY_POS_ALL = 0x3f000000;
const KEY_USR_VIEW_READ_LINK = 0x00130000;
const KEY_USR_SEARCH = 0x00080000;
const KEY_OTH_SEARCH = 0x00000008;

/** PER_LINUX and PER_LINUX32 of linux/personality.h. */
const PERSONALITIES: Readonly<Record<Personality["domain"], number>> = { LINUX: 0, LINUX32: 8 };

/** A step that makes init the leader of a new session, so that no terminal of the caller's is its own. */
export function sessionStep(): Step {
  return serving("identity", "process").call("setsid", []);
}

/**
 * Steps that close init to processes that share its pid namespace, until it executes: they could reach through it what it still
 * has of the host (CVE-2016-9962). In a pid namespace of its own there are none, and a berth without CAP_SYS_PTRACE can
 * take descriptors from init only if it is left open.
 * @see man 2 PR_SET_DUMPABLE
 */
export function secludeSteps(sharesPidNamespace: boolean): Step[] {
  if (!sharesPidNamespace) return [];
  return [serving("identity", "linux.namespaces", "pid").call("prctl", [PR_SET_DUMPABLE, 0, 0, 0, 0])];
}

/**
 * Steps that give the container a session keyring of its own, as `_ses.ID`: without, it would share the caller's keys.
 * @see man 7 session-keyring
 */
export function keyringSteps(id: string, userNamespace: boolean): Step[] {
  const { call } = serving("identity", "", "session keyring");
  const keyring = slot("keyring");
  const none = label("no keyrings in this kernel");
  const permissions =
    KEY_POS_ALL | KEY_USR_VIEW_READ_LINK | (userNamespace ? KEY_OTH_SEARCH : KEY_USR_SEARCH);
  return [
    call("keyctl", [KEYCTL_JOIN_SESSION_KEYRING, `_ses.${id}`, 0, 0, 0], {
      store: keyring,
      on: { [ENOSYS]: none },
      hints: {
        [EDQUOT]: "the user has no keys left: raise kernel.keys.maxkeys, or run with --no-new-keyring",
      },
    }),
    call("keyctl", [KEYCTL_SETPERM, keyring, permissions, 0, 0]),
    mark(none),
  ];
}

/** Steps for `linux.personality`. */
export function personalitySteps(personality: Personality | undefined): Step[] {
  if (personality === undefined) return [];
  const { call } = serving("identity", "linux.personality");
  return [call("personality", [PERSONALITIES[personality.domain]], { what: `set ${personality.domain}` })];
}
