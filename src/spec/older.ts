import type { Spec } from "./config.ts";
import type { Resources } from "./resources.ts";

/**
 * A Spec of an older version in the terms of 1.3. Until then `pids.limit` could not be left out, and those who wrote config.json had
 * 0 for "no limit", as Podman has to this day; since 1.3 it can, and 0 is a limit.
 */
export function inNewTerms(spec: Spec): Spec {
  const { resources } = spec.linux ?? {};
  if (resources?.pids?.limit !== 0 || isSince13(spec.ociVersion)) return spec;
  return { ...spec, linux: { ...spec.linux, resources: withoutPids(resources) } };
}

/** As {@link inNewTerms}, for what is to be changed of a container of that version: there 0 was "as it is". */
export function resourcesInNewTerms(resources: Resources, ociVersion: string): Resources {
  return resources.pids?.limit !== 0 || isSince13(ociVersion) ? resources : withoutPids(resources);
}

function withoutPids({ pids, ...others }: Resources): Resources {
  return others;
}

/** Of a valid version, by its first two numbers. */
function isSince13(ociVersion: string): boolean {
  const [major = 0, minor = 0] = ociVersion.split(".").map(Number);
  return major > 1 || (major === 1 && minor >= 3);
}
