import {
  LINUX_CAPABILITY_VERSION_3,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
} from "../linux/constants.ts";
import { EINVAL, EPERM } from "../linux/errno.ts";
import { hasCapability } from "../linux/process.ts";
import { label, mark, rawBytes, serving, struct } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import { CAPABILITIES } from "../spec/capabilities.ts";
import type { Capabilities, Process, User } from "../spec/process.ts";

/** What these steps depend on beside `process`. */
export interface IdentityContext {
  /** The process is in another user namespace than berth. */
  readonly userNamespace: boolean;
  /**
   * A seccomp filter is loaded before execve. Without no_new_privs that takes CAP_SYS_ADMIN, which then stays effective and
   * permitted until execve: that one computes both anew, from the bounding, inheritable and ambient sets.
   */
  readonly filtered: boolean;
  /** The highest capability that the kernel knows. */
  readonly lastCapability: number;
}

/** The capabilities that the process is to have, and berth has not. */
export function lackingCapabilities({ capabilities = {} }: Process): string[] {
  const { effective = [], permitted = [], inheritable = [] } = capabilities;
  return [...new Set([...effective, ...permitted, ...inheritable])].filter((name) => {
    const number = capabilityNumber(name);
    return number !== undefined && !hasCapability(number);
  });
}

/** Also "constructor" is a name that config.json may hold, and that every object knows. */
function capabilityNumber(name: string): number | undefined {
  return Object.hasOwn(CAPABILITIES, name) ? CAPABILITIES[name] : undefined;
}

/** Bits for capability names; unknown names were warned about when config.json was read. */
export function capabilityMask(names: readonly string[] = []): { low: number; high: number } {
  let low = 0;
  let high = 0;
  for (const name of names) {
    const number = capabilityNumber(name);
    if (number === undefined) continue;
    if (number < 32) low |= 1 << number;
    else high |= 1 << (number - 32);
  }
  return { low: low >>> 0, high: high >>> 0 };
}

/**
 * Steps by which init becomes the user of `process.user` with exactly `process.capabilities`; man 7 capabilities.
 * The bounding set is cut while CAP_SETPCAP is still there, and capabilities are kept over the change of user.
 * @param between steps that come after the change of user and before capabilities are cut
 */
export function identitySteps(
  process: Process,
  { userNamespace, filtered, lastCapability }: IdentityContext,
  between: readonly Step[],
): Step[] {
  const capabilities = process.capabilities ?? {};
  const keepsAdmin = filtered && process.noNewPrivileges !== true;
  const user = process.user ?? {};
  return [
    ...boundingSteps(capabilities, lastCapability),
    ...userSteps(user, userNamespace),
    ...between,
    ...capabilitySteps(capabilities, keepsAdmin),
    ...(process.noNewPrivileges === true
      ? [serving("identity", "process.noNewPrivileges").call("prctl", [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0])]
      : []),
  ];
}

function boundingSteps({ bounding }: Capabilities, last: number): Step[] {
  const { call } = serving("identity", "process.capabilities.bounding");
  const { low, high } = capabilityMask(bounding);
  const kept = (n: number) => ((n < 32 ? low >>> n : high >>> (n - 32)) & 1) === 1;
  const steps: Step[] = [];
  const beyondLast = label("no more capabilities");
  // The kernel may know more than berth has names for.
  for (let n = 0; n <= last; n++) {
    if (!kept(n)) steps.push(call("prctl", [PR_CAPBSET_DROP, n, 0, 0, 0], { on: { [EINVAL]: beyondLast } }));
  }
  return [...steps, mark(beyondLast)];
}

function userSteps(user: User, userNamespace: boolean): Step[] {
  const { uid = 0, gid = 0, additionalGids = [] } = user;
  const { call } = serving("identity", "process.user");
  const groups = serving("identity", "process.user.additionalGids");
  const hints = userNamespace ? { [EINVAL]: "the user namespace's mappings do not cover this id" } : {};
  const list = new Uint8Array(4 * (additionalGids.length || 1));
  const view = new DataView(list.buffer);
  additionalGids.forEach((id, i) => {
    view.setUint32(4 * i, id, true);
  });
  return [
    groups.call("setgroups", [additionalGids.length, rawBytes(list, JSON.stringify(additionalGids))], {
      hints: { ...hints, [EPERM]: "the user namespace forbids setgroups (/proc/PID/setgroups is deny)" },
      // A user namespace that was made without privilege denies setgroups; there is nothing to drop in it then.
      ...(userNamespace && additionalGids.length === 0 ? { on: { [EPERM]: "next" as const } } : {}),
    }),
    call("prctl", [PR_SET_KEEPCAPS, 1, 0, 0, 0]),
    call("setresgid", [gid, gid, gid], { what: `become group ${gid}`, hints }),
    call("setresuid", [uid, uid, uid], { what: `become user ${uid}`, hints }),
    call("prctl", [PR_SET_KEEPCAPS, 0, 0, 0, 0]),
  ];
}

function capabilitySteps(capabilities: Capabilities, keepsAdmin: boolean): Step[] {
  const { call } = serving("identity", "process.capabilities");
  const ambient = serving("identity", "process.capabilities.ambient");
  const admin = keepsAdmin ? ["CAP_SYS_ADMIN"] : [];
  const effective = capabilityMask([...(capabilities.effective ?? []), ...admin]);
  const permitted = capabilityMask([...(capabilities.permitted ?? []), ...admin]);
  const inheritable = capabilityMask(capabilities.inheritable);
  const header = struct(8, [{ name: "version", offset: 0, size: 4, value: LINUX_CAPABILITY_VERSION_3 }]);
  const word = (name: string, offset: number, value: number) => ({ name, offset, size: 4 as const, value });
  const data = struct(24, [
    word("effective", 0, effective.low),
    word("permitted", 4, permitted.low),
    word("inheritable", 8, inheritable.low),
    word("effective_high", 12, effective.high),
    word("permitted_high", 16, permitted.high),
    word("inheritable_high", 20, inheritable.high),
  ]);
  const steps: Step[] = [
    call("capset", [header, data], {
      what: "set effective, permitted and inheritable capabilities",
      hints: {
        [EPERM]:
          "berth can only give what it has itself (CapPrm in /proc/self/status), and effective only what is permitted",
      },
    }),
    ambient.call("prctl", [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]),
  ];
  for (const name of capabilities.ambient ?? []) {
    const number = capabilityNumber(name);
    if (number === undefined) continue;
    steps.push(
      ambient.call("prctl", [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0], {
        what: `raise ${name}`,
        // As config.md leaves it to the runtime and runc and crun do: what cannot be ambient was warned about.
        on: { [EPERM]: "next" },
      }),
    );
  }
  return steps;
}
