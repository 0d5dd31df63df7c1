import { BerthError, hasCode } from "../errors.ts";
import { O_DIRECTORY, O_PATH } from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { errnoText } from "../linux/errno.ts";
import { close, readText, tryOpen, tryReadlink } from "../linux/file.ts";
import { effectiveIds } from "../linux/process.ts";
import type { Spec } from "../spec/config.ts";
import { hasNewNamespace } from "../spec/namespaces.ts";
import { parseConfig } from "../spec/parse.ts";
import type { User } from "./rootless.ts";

/** A bundle whose config.json was read and checked. */
export interface Bundle {
  /** Absolute. */
  readonly path: string;
  /** The text of config.json, as it was read. */
  readonly text: string;
  readonly spec: Spec;
  /** What is done in another way for a caller who is not root. */
  readonly user?: User;
}

/**
 * Reads and checks a bundle's config.json.
 * @param directory the bundle
 * @param config another file to read instead, relative to the working directory
 * @param warn is told what its author should know, also of a config.json that is then refused
 * @throws BerthError "invalid-config", "unsupported", or that of the file
 */
export async function readBundle(
  directory: string,
  config: string | undefined,
  warn: (message: string) => void,
): Promise<Bundle> {
  const path = absolute(directory);
  const file = config === undefined ? `${path}/config.json` : absolute(config);
  const text = readBundleFile(file, path);
  const { spec, warnings } = await parseConfig(text, file);
  for (const warning of warnings) warn(warning);
  return { path, text, spec };
}

/**
 * The bundle as whoever calls can have it: a caller who is not root gets a user namespace, and mappings for it.
 * @throws BerthError "invalid-config", "id-maps"
 */
export async function forCaller(bundle: Bundle, warn: (message: string) => void): Promise<Bundle> {
  if (effectiveIds().uid !== 0) return (await import("./rootless.ts")).forUser(bundle, warn);
  requireMappings(bundle.spec);
  return bundle;
}

/** For a caller who is not root, berth finds mappings itself. */
function requireMappings(spec: Spec): void {
  if (!hasNewNamespace(spec, "user") || (spec.linux.uidMappings?.length ?? 0) > 0) return;
  throw new BerthError(
    "invalid-config",
    "linux.uidMappings and linux.gidMappings: the new user namespace needs at least one mapping of each",
  );
}

function readBundleFile(file: string, bundle: string): string {
  try {
    return readText(file);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    throw new BerthError("ENOENT", error.message, {
      hint: `"${bundle}" is no bundle without a config.json: "berth spec --bundle ${bundle}" writes one`,
      cause: error,
    });
  }
}

/**
 * Where the rootfs of a bundle lies, absolute and with symlinks resolved.
 * @throws BerthError when it is no directory
 */
export function locateRootfs(bundle: Bundle): string {
  const wanted = bundle.spec.root.path;
  const path = absolute(wanted, bundle.path);
  const fd = tryOpen(path, O_PATH | O_DIRECTORY);
  if (fd < 0) {
    throw new BerthError("rootfs", `root.path "${wanted}": open "${path}": ${errnoText(-fd)}`, {
      hint: "root.path names the container's root directory, absolute or relative to the bundle",
    });
  }
  const real = tryReadlink(`/proc/self/fd/${fd}`);
  close(fd);
  return typeof real === "string" ? real : path;
}
