import { CAPABILITIES } from "./capabilities.ts";
import { minorVersion } from "./checks/general.ts";
import type { Spec } from "./config.ts";
import { namespaceOf } from "./namespaces.ts";
import { each } from "./problem.ts";

type Warn = (warning: string) => void;

/** Warns of what is valid in `spec` and yet most likely not what its author means. */
export function warnOf(spec: Spec, warn: Warn): void {
  warnOfVersion(spec, warn);
  warnOfCapabilities(spec, warn);
  warnOfAmbient(spec, warn);
  warnOfUserName(spec, warn);
  warnOfRelativeDestinations(spec, warn);
  warnOfMappings(spec, warn);
}

function warnOfVersion({ ociVersion }: Spec, warn: Warn): void {
  if (minorVersion(ociVersion) <= 3) return;
  warn(
    `ociVersion is ${JSON.stringify(ociVersion)}: berth knows runtime-spec up to 1.3, what is newer is ignored`,
  );
}

const SETS = ["bounding", "effective", "inheritable", "permitted", "ambient"] as const;

function warnOfCapabilities({ process }: Spec, warn: Warn): void {
  const unknown: string[] = [];
  for (const set of SETS) {
    for (const name of process?.capabilities?.[set] ?? []) {
      if (!Object.hasOwn(CAPABILITIES, name) && !unknown.includes(name)) unknown.push(name);
    }
  }
  if (unknown.length === 0) return;
  warn(`process.capabilities has names that berth does not know, which are not given: ${unknown.join(", ")}`);
}

/**
 * capabilities(7): a capability can be ambient only while it is both permitted and inheritable. buildah writes one list into every set but
 * the inheritable, for each command that it runs, and nobody could do anything about it: that is not worth a word.
 */
function warnOfAmbient({ process }: Spec, warn: Warn): void {
  const { ambient = [], inheritable = [], permitted = [], effective = [] } = process?.capabilities ?? {};
  if (ambient.length === 0) return;
  if (inheritable.length === 0 && ambient.join() === effective.join()) return;
  const useless = ambient.filter((name) => !inheritable.includes(name) || !permitted.includes(name));
  if (useless.length === 0) return;
  const names = useless.join(", ");
  warn(
    `process.capabilities.ambient has what is not both inheritable and permitted, and is not given: ${names}`,
  );
}

function warnOfUserName({ process }: Spec, warn: Warn): void {
  if ((process?.user?.username ?? "") === "") return;
  warn("process.user.username is not for Linux: ignored, uid and gid count");
}

function warnOfRelativeDestinations({ mounts }: Spec, warn: Warn): void {
  each(mounts, ({ destination }, i) => {
    if (destination.startsWith("/")) return;
    warn(`mounts[${i}].destination is relative: taken as ${JSON.stringify(`/${destination}`)}`);
  });
}

/**
 * A user namespace that is joined has its mappings already. containerd and CRI-O write them into the config.json of every
 * container of a pod all the same, so it is no error. Those of the namespace count; whether the two agree is not looked at.
 */
function warnOfMappings(spec: Spec, warn: Warn): void {
  const { uidMappings = [], gidMappings = [] } = spec.linux;
  if (uidMappings.length + gidMappings.length === 0 || namespaceOf(spec, "user")?.path === undefined) return;
  warn("linux.uidMappings and linux.gidMappings must be those of the user namespace that is joined");
}
