import {
  O_CLOEXEC,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../linux/constants.ts";
import { EACCES, EINVAL, ENOENT, EPERM, EROFS, EXDEV } from "../linux/errno.ts";
import { byteLength } from "../linux/text.ts";
import { serving, slot, struct } from "../plan/build.ts";
import type { Descriptors } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import type { Spec } from "../spec/config.ts";
import { sysctlPath } from "../spec/sysctl.ts";

/** Steps that set what the new namespaces have of the kernel's own: host name, domain name, sysctl. */
export function kernelSteps(spec: Spec, descriptors: Descriptors): Step[] {
  const steps: Step[] = [];
  const name = (path: "hostname" | "domainname", call: "sethostname" | "setdomainname") => {
    const value = spec[path];
    if (value === undefined || value === "") return;
    const length = byteLength(value);
    steps.push(serving("kernel", path).call(call, [value, length], { what: `set "${value}"` }));
  };
  name("hostname", "sethostname");
  name("domainname", "setdomainname");
  for (const [key, value] of Object.entries(spec.linux.sysctl ?? {})) {
    steps.push(...sysctlSteps(key, value, descriptors));
  }
  return steps;
}

function sysctlSteps(key: string, value: string, descriptors: Descriptors): Step[] {
  const { call } = serving("kernel", `linux.sysctl["${key}"]`);
  const file = slot("sysctl");
  // Only a procfs that was checked, and no way out of it: a write must not end up in another file (CVE-2025-52881).
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const how = struct(24, [
    { name: "flags", offset: 0, size: 8, value: O_WRONLY | O_CLOEXEC },
    { name: "resolve", offset: 16, size: 8, value: resolve },
  ]);
  const path = `sys/${sysctlPath(key)}`;
  const length = byteLength(value);
  return [
    call("openat2", [descriptors.proc, path, how, 24], {
      store: file,
      what: `open /proc/${path}`,
      hints: {
        [ENOENT]: "this kernel has no such parameter, or the module that brings it is not loaded",
        [EACCES]: "the namespace that owns this parameter gives init no right to write it",
        [EPERM]: "the namespace that owns this parameter gives init no right to write it",
        [EXDEV]: "/proc/sys is a mount of its own where berth itself runs, as in a container",
        [EROFS]: "/proc/sys is read-only where berth itself runs",
      },
    }),
    call("write", [file, value, length], {
      what: `write "${value}" to /proc/${path}`,
      hints: { [EINVAL]: "the kernel does not take this value for the parameter" },
    }),
    call("close", [file]),
  ];
}
