import { CAP_SYS_PTRACE } from "../linux/constants.ts";
import { hasCapability } from "../linux/process.ts";
import type { Scope } from "../linux/scope.ts";
import { listenAt, pathThrough, socketPair } from "../linux/socket.ts";
import { beginSpawn, emptyMemfd, hideExecutor, openExecutor, type Starting } from "../linux/spawn.ts";
import { isExposed, openNamespaces, planNamespaces, userNamespaceFirst } from "../namespaces/namespaces.ts";
import { refuseOwnSettings } from "../namespaces/own.ts";
import { descriptors } from "../plan/protocol.ts";
import { START_SOCKET_CREATING } from "../state/store.ts";
import type { Making } from "./making.ts";

/** An init that is being started. */
export interface Beginning {
  readonly starting: Starting;
  /** The runtime's end of the socket pair. */
  readonly sync: number;
  /** To be filled with the Plan. */
  readonly planFd: number;
}

/** Begins to start init in its namespaces and cgroup. */
export function beginInit(making: Making, scope: Scope): Beginning {
  const { options, bundle } = making;
  const namespaces = planNamespaces(bundle.spec.linux.namespaces);
  const fds = descriptors(options.preserveFds);
  const [sync, syncOfInit] = socketPair().map(scope.keep) as [number, number];
  const planFd = scope.keep(emptyMemfd("berth-plan"));
  const listen = scope.keep(listenAt(pathThrough(making.directory.fd, START_SOCKET_CREATING)));
  const joined = openNamespaces(namespaces.joined);
  for (const { fd } of joined) scope.keep(fd);
  if (joined.length > 0) refuseOwnSettings(bundle.spec, joined);
  const time = joined.find((entry) => entry.joined.type === "time");
  const executor = scope.keep(openExecutor());
  bundle.user?.takeScore(bundle.spec.process?.oomScoreAdj, options.warn);
  const starting = beginSpawn({
    create: namespaces.cloneFlags,
    joins: (bundle.user === undefined ? joined : userNamespaceFirst(joined)).filter(
      (entry) => entry !== time,
    ),
    cgroup: making.cgroup?.directory,
    waits: namespaces.created.has("user"),
    becomeRoot: namespaces.has.has("user"),
    staysOpen: bundle.user !== undefined && namespaces.created.has("user"),
    executor: isExposed(namespaces, hasCapability(CAP_SYS_PTRACE)) ? hideExecutor(executor) : executor,
    argv: ["berth-init", String(fds.sync), String(fds.plan)],
    descriptors: [
      { from: syncOfInit, to: fds.sync },
      { from: planFd, to: fds.plan },
      { from: listen, to: fds.listen },
      ...(time === undefined ? [] : [{ from: time.fd, to: fds.time }]),
    ],
    closeFrom: fds.temporary,
  });
  scope.drop(syncOfInit);
  return { starting, sync, planFd };
}
