import type { Mount, Spec } from "../spec/config.ts";
import type { Bundle } from "./bundle.ts";
import type { CreateOptions } from "./create.ts";
import { notifyParts } from "./notify.ts";

/*
 * A container that is a service of systemd's: what its process gets from berth's own environment. Loaded only when that has
 * NOTIFY_SOCKET or LISTEN_FDS.
 */

/** The environment: NOTIFY_SOCKET, LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES. */
type Environment = Readonly<Record<string, string | undefined>>;

/** What of it concerns a container. */
export interface Service {
  /** With what its process needs to find the descriptors and the socket. */
  readonly bundle: Bundle;
  readonly options: CreateOptions;
  /** Whether the container gets a notification socket. */
  readonly notify: boolean;
}

/**
 * How many descriptors a service was given: those of LISTEN_FDS, unless LISTEN_PID says that they are another process's;
 * man 3 sd_listen_fds.
 */
export function listenFds({ LISTEN_FDS = "", LISTEN_PID = "" }: Environment, pid: number): number {
  if (LISTEN_PID !== String(pid) || !/^\d{1,6}$/.test(LISTEN_FDS)) return 0;
  return Number(LISTEN_FDS);
}

/** What a bundle and the options to create it become for a service. */
export function asService(
  bundle: Bundle,
  options: CreateOptions,
  environment: Environment,
  pid: number,
): Service {
  const count = listenFds(environment, pid);
  const env: string[] = [];
  if (count > 0) {
    // The container's first process, as it counts. Without a pid namespace of its own it is another number, which
    // nobody knows yet; runc says 1 too.
    env.push(`LISTEN_FDS=${count}`, "LISTEN_PID=1");
    if (environment.LISTEN_FDNAMES !== undefined) env.push(`LISTEN_FDNAMES=${environment.LISTEN_FDNAMES}`);
  }
  // Nothing can be shown to a container that has the host's mounts.
  const notify = (environment.NOTIFY_SOCKET ?? "") !== "" && hasMounts(bundle.spec);
  const parts = notify ? notifyParts(`${options.root}/${options.id}`) : undefined;
  if (parts !== undefined) env.push(parts.env);
  return {
    bundle: withParts(bundle, env, parts?.mount),
    // Those of --preserve-fds follow.
    options: { ...options, preserveFds: count + options.preserveFds },
    notify,
  };
}

function hasMounts({ linux }: Spec): boolean {
  return linux.namespaces.some(({ type }) => type === "mount");
}

function withParts(bundle: Bundle, env: readonly string[], mount: Mount | undefined): Bundle {
  const { spec } = bundle;
  const { process } = spec;
  return {
    ...bundle,
    spec: {
      ...spec,
      ...(process === undefined ? {} : { process: { ...process, env: [...(process.env ?? []), ...env] } }),
      ...(mount === undefined ? {} : { mounts: [...(spec.mounts ?? []), mount] }),
    },
  };
}
