import { version } from "../../../package.json";
import { BerthError } from "../../errors.ts";
import {
  CAP_SYS_ADMIN,
  S_IFMT,
  S_IFSOCK,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
  SECCOMP_SET_MODE_FILTER,
} from "../../linux/constants.ts";
import { machine } from "../../linux/engine.ts";
import { EFAULT } from "../../linux/errno.ts";
import { syscall } from "../../linux/native.ts";
import { hasCapability } from "../../linux/process.ts";
import { tryStat } from "../../linux/status.ts";
import type { Spec } from "../../spec/config.ts";
import type { Seccomp } from "../../spec/seccomp.ts";
import { cacheKey, readCached, writeCached } from "./cache.ts";
import { type Compiled, compileFilter } from "./compile-filter.ts";
import { hasLongValues } from "./exact.ts";
import { openLibseccomp } from "./libseccomp.ts";
import type { SeccompFilter } from "./load.ts";
import { FLAGS } from "./names.ts";
import { readProfile } from "./profile.ts";
import { filterSteps } from "./steps.ts";

/** As loadSeccomp, for a config.json that has a profile. @throws BerthError */
export function prepareFilter(
  spec: Spec,
  text: string,
  root: string | undefined,
  noNewPrivileges: boolean,
  warn: (message: string) => void,
): SeccompFilter {
  const seccomp = spec.linux.seccomp ?? {};
  const library = openLibseccomp();
  const key = cacheKey([version, library.version, machine, contentOf(seccomp, text)]);
  const cached = root === undefined ? undefined : readCached(root, key);
  const compiled = cached ?? compileFilter(readProfile(seccomp, text), library);
  const { program, notifies, unknown } = compiled;
  if (unknown.length > 0) {
    warn(
      `linux.seccomp: left out are system calls that this host's libseccomp (${library.version}) does not know: ${unknown.join(", ")}`,
    );
  }
  checkListener(seccomp, notifies);
  if (!noNewPrivileges && !makesUserNamespace(spec) && !hasCapability(CAP_SYS_ADMIN)) {
    throw new BerthError(
      "invalid-config",
      "linux.seccomp: without CAP_SYS_ADMIN, berth cannot load a filter",
      {
        hint: "set process.noNewPrivileges to true: then it needs no privilege",
      },
    );
  }
  const flags = flagsOf(seccomp, notifies);
  return {
    program,
    flags,
    notifies,
    steps: (descriptors) => filterSteps({ program, flags, notifies }, descriptors),
    save: (at) => {
      if (cached === undefined) trySave(at, key, compiled);
    },
  };
}

function trySave(root: string, key: string, compiled: Compiled): void {
  try {
    writeCached(root, key, compiled);
  } catch {
    // The next start compiles it again.
  }
}

/** What a filter depends on, and nothing else: flags and listener do not change it. */
function contentOf(seccomp: Seccomp, text: string): string {
  const { defaultAction, defaultErrnoRet, architectures, syscalls } = seccomp;
  const content = JSON.stringify([defaultAction, defaultErrnoRet, architectures, syscalls]);
  return hasLongValues(seccomp) ? `${content} ${text}` : content;
}

function makesUserNamespace({ linux }: Spec): boolean {
  return linux.namespaces.some(({ type }) => type === "user");
}

/** Refuses a listener that is missing where it is needed, and the other way round; config-linux.md "Seccomp". */
function checkListener({ listenerPath = "", listenerMetadata = "" }: Seccomp, notifies: boolean): void {
  if (listenerMetadata !== "" && listenerPath === "") {
    throw new BerthError(
      "invalid-config",
      "linux.seccomp.listenerMetadata: set, without a listenerPath to send it to",
    );
  }
  if (!notifies) return;
  if (listenerPath === "") {
    throw new BerthError(
      "invalid-config",
      "linux.seccomp.listenerPath: missing, and the profile uses SCMP_ACT_NOTIFY",
      { hint: "name the Unix socket of the process that is to answer the notifications" },
    );
  }
  if (!listenerPath.startsWith("/")) {
    throw new BerthError(
      "invalid-config",
      `linux.seccomp.listenerPath: found "${listenerPath}"; allowed: an absolute path`,
    );
  }
  const status = tryStat(listenerPath);
  if (typeof status === "number" || (status.mode & S_IFMT) !== S_IFSOCK) {
    throw new BerthError(
      "invalid-config",
      `linux.seccomp.listenerPath: there is no socket "${listenerPath}"`,
      {
        hint: "the process that is to answer the notifications must listen there first",
      },
    );
  }
}

function flagsOf(seccomp: Seccomp, notifies: boolean): number {
  // Without an own choice the one of runc: the mitigation that the kernel would turn on with the filter costs a lot.
  const names = seccomp.flags ?? ["SECCOMP_FILTER_FLAG_SPEC_ALLOW" as const];
  let flags = 0;
  names.forEach((name, i) => {
    const flag = FLAGS[name];
    // It is about notifications, and the kernel takes it with a listener only.
    const alone =
      name === "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" ? flag | SECCOMP_FILTER_FLAG_NEW_LISTENER : flag;
    if (!kernelTakes(alone)) {
      if (seccomp.flags === undefined) return;
      throw new BerthError(
        "unsupported",
        `linux.seccomp.flags[${i}] "${name}": this kernel does not know it`,
      );
    }
    if (alone === flag || notifies) flags |= flag;
  });
  if (notifies) {
    flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // The result is the listener's descriptor, so that a thread which cannot take the filter must be told by an errno.
    if ((flags & SECCOMP_FILTER_FLAG_TSYNC) !== 0) flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  }
  if (!kernelTakes(flags)) {
    throw new BerthError(
      "unsupported",
      "linux.seccomp: this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)",
    );
  }
  return flags;
}

/** Asks without loading anything: only where all else is in order does the kernel look for the filter, at address 0. */
function kernelTakes(flags: number): boolean {
  return syscall("seccomp", SECCOMP_SET_MODE_FILTER, flags, 0) === -EFAULT;
}
