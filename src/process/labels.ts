import { BerthError } from "../errors.ts";
import {
  O_CLOEXEC,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_XDEV,
} from "../linux/constants.ts";
import { EACCES, EINVAL, ENOENT, EPERM } from "../linux/errno.ts";
import { isAppArmorEnabled, isSelinuxEnabled, loadedProfiles } from "../linux/security.ts";
import { utf8 } from "../linux/text.ts";
import { rawBytes, serving, slot, struct } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import type { Process } from "../spec/process.ts";

/*
 * What a security module puts the container's process under: process.apparmorProfile and process.selinuxLabel. Both are written
 * by init for itself and take effect when it executes; apparmor_parser(8), "change_onexec", and man 5 proc_pid_attr.
 */

/**
 * Refuses labels that no module of this kernel would take.
 * @throws BerthError "unsupported"
 */
export function checkLabels(process: Process | undefined, mountLabel: string | undefined): void {
  const profile = process?.apparmorProfile ?? "";
  if (profile !== "") checkProfile(profile);
  for (const [path, label] of [
    ["process.selinuxLabel", process?.selinuxLabel],
    ["linux.mountLabel", mountLabel],
  ] as const) {
    if ((label ?? "") === "" || isSelinuxEnabled()) continue;
    throw new BerthError("unsupported", `${path} "${label}": SELinux is not enabled on this host`, {
      hint: `leave ${path} out, or boot a kernel that has SELinux with security=selinux`,
    });
  }
}

function checkProfile(profile: string): void {
  const subject = `process.apparmorProfile "${profile}"`;
  if (!isAppArmorEnabled()) {
    throw new BerthError("unsupported", `${subject}: AppArmor is not enabled on this host`, {
      hint: "leave process.apparmorProfile out, or boot a kernel that has AppArmor with security=apparmor",
    });
  }
  // Names of other policy namespaces, and stacks of several profiles, are the kernel's to understand.
  if (profile === "unconfined" || profile.startsWith(":") || profile.includes("//&")) return;
  const loaded = loadedProfiles();
  if (loaded === undefined || loaded.includes(profile)) return;
  throw new BerthError("apparmor", `${subject}: ${EXEC_APPARMOR}: no such profile is loaded`, { hint: LOAD });
}

/** In these quotes, by which engines tell such an error from others. */
const EXEC_APPARMOR = "`/proc/self/attr/apparmor/exec`";
const EXEC = "`/proc/self/attr/exec`";
const LOAD = "load it: apparmor_parser -r FILE; aa-status lists what is loaded";

/**
 * Steps by which init sets what its next execve puts it under. Not later than no_new_privs, which forbids transitions.
 * @param proc a descriptor of a procfs that was checked to be one
 */
export function labelSteps(process: Process | undefined, proc: number): Step[] {
  const steps: Step[] = [];
  const profile = process?.apparmorProfile ?? "";
  const label = process?.selinuxLabel ?? "";
  if (profile !== "") {
    steps.push(
      ...attributeSteps("process.apparmorProfile", "apparmor/exec", `exec ${profile}`, proc, {
        what: `set the profile "${profile}" in ${EXEC_APPARMOR}`,
        hints: {
          [ENOENT]: LOAD,
          [EACCES]: "the profile that confines berth does not allow the change to it",
          [EPERM]: "the profile that confines berth does not allow the change to it",
        },
      }),
    );
  }
  if (label !== "") {
    steps.push(
      ...attributeSteps("process.selinuxLabel", "exec", label, proc, {
        what: `set the label "${label}" in ${EXEC}`,
        hints: SELINUX_HINTS,
      }),
    );
  }
  return steps;
}

const SELINUX_HINTS = {
  [EINVAL]: "the policy that is loaded has no such context",
  [EACCES]: "the policy does not allow it to berth's own context (see ausearch -m avc)",
};

/**
 * Steps that label the session keyring which init makes next, so that the process may use it under process.selinuxLabel. What
 * is written holds until init executes.
 */
export function keyLabelSteps(process: Process | undefined, proc: number): Step[] {
  const label = process?.selinuxLabel ?? "";
  if (label === "") return [];
  return attributeSteps("process.selinuxLabel", "keycreate", label, proc, {
    what: `label the session keyring "${label}"`,
    hints: SELINUX_HINTS,
  });
}

function attributeSteps(
  path: string,
  file: string,
  value: string,
  proc: number,
  detail: { what: string; hints: Readonly<Record<number, string>> },
): Step[] {
  const { call } = serving("identity", path);
  const fd = slot("attribute");
  // Of a procfs that was checked, and by no way out of it: a write elsewhere would leave the process without its label
  // (CVE-2019-19921, CVE-2025-52881).
  const how = struct(24, [
    { name: "flags", offset: 0, size: 8, value: O_WRONLY | O_CLOEXEC },
    {
      name: "resolve",
      offset: 16,
      size: 8,
      value: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    },
  ]);
  const bytes = utf8(value);
  return [
    call("openat2", [proc, `self/attr/${file}`, how, 24], {
      store: fd,
      what: `open /proc/self/attr/${file}`,
    }),
    call("write", [fd, rawBytes(bytes, JSON.stringify(value)), bytes.length], detail),
    call("close", [fd]),
  ];
}
