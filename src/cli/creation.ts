import { BerthError } from "../errors.ts";
import { absolute } from "../linux/directory.ts";
import type { CreateOptions } from "../runtime/create.ts";
import type { Options } from "./arguments.ts";
import type { Invocation } from "./command.ts";
import { isRootless } from "./globals.ts";

/** The options that create and run have in common. */
export const CREATION_OPTIONS = {
  bundle: { kind: "text", short: "b", default: ".", help: "the bundle's directory" },
  config: { kind: "text", short: "f", help: "another file than the bundle's config.json" },
  "console-socket": {
    kind: "text",
    help: "AF_UNIX socket that gets the master of the container's terminal",
  },
  "pidfd-socket": { kind: "text", help: "AF_UNIX socket that gets a pidfd of the container's first process" },
  "pid-file": { kind: "text", help: "file to write the process id to" },
  "no-pivot": {
    kind: "flag",
    help: "move the root instead of pivot_root, which does not work on a ramdisk; less is hidden from the container then",
  },
  "no-new-keyring": { kind: "flag", help: "keep the caller's session keyring in the container" },
  "preserve-fds": {
    kind: "count",
    default: 0,
    help: "pass this many descriptors to the container, from 3 on",
  },
} as const satisfies Options;

/** What the arguments of create and run mean. @throws BerthError "unsupported" */
export function creationOptions({
  values,
  positionals: [id = ""],
  globals: { root, cgroupManager, rootless, log },
}: Pick<Invocation<typeof CREATION_OPTIONS>, "values" | "positionals" | "globals">): CreateOptions {
  if (cgroupManager === "systemd") {
    throw new BerthError(
      "unsupported",
      "the systemd cgroup manager is not carried out by this version of berth",
      {
        hint: "set the engine's cgroup manager to cgroupfs: for Podman --cgroup-manager cgroupfs, for Docker native.cgroupdriver=cgroupfs",
      },
    );
  }
  const path = (value: string | undefined) => (value === undefined ? undefined : absolute(value));
  return {
    root,
    id,
    bundle: absolute(values.bundle),
    config: path(values.config),
    pidFile: path(values["pid-file"]),
    consoleSocket: path(values["console-socket"]),
    pidfdSocket: path(values["pidfd-socket"]),
    noPivot: values["no-pivot"],
    noNewKeyring: values["no-new-keyring"],
    preserveFds: values["preserve-fds"],
    cgroups: cgroupManager !== "disabled",
    rootless: isRootless(rootless),
    warn: (message) => log.write("warning", message),
  };
}
