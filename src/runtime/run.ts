import { messageOf } from "../errors.ts";
import { PR_SET_CHILD_SUBREAPER } from "../linux/constants.ts";
import { check } from "../linux/errno.ts";
import { syscall } from "../linux/native.ts";
import { waitPidfd } from "../linux/process.ts";
import { copyWindowSize } from "../linux/terminal.ts";
import { closeState } from "../state/store.ts";
import { type Created, type CreateOptions, createContainer } from "./create.ts";
import { remove } from "./delete.ts";
import { awaitEnd, destroy, killAll } from "./destroy.ts";
import { awaitProcess, passSignalsOn } from "./foreground.ts";
import type { NotifyProxy } from "./notify.ts";
import { notifyProxy, startContainer } from "./start.ts";

const STDIN = 0;

/** What `run` is asked for beside what `create` is. */
export interface RunOptions extends CreateOptions {
  readonly detach: boolean;
  /** Keep the container's state when its process has ended. */
  readonly keep: boolean;
  /** Leave orphans of the container to the next subreaper above. */
  readonly noSubreaper: boolean;
  /** The arguments by which another berth deletes the container, should this one have made room for a smaller program by then. */
  readonly deletion: readonly string[];
}

/**
 * Creates and starts a container, waits for its end and deletes it.
 * @returns the exit status of its process, 128 + n when signal n ended it; 0 at once with `detach`
 * @throws BerthError; nothing is left then
 */
export async function run(options: RunOptions): Promise<number> {
  if (!options.detach && !options.noSubreaper) becomeSubreaper();
  let master: number | undefined;
  const foreground = options.detach
    ? undefined
    : (fd: number) => {
        master = fd;
        // Before the container starts: its first look at the size is the right one.
        copyWindowSize(STDIN, fd);
      };
  const container = await createContainer(options, foreground);
  const { directory, record, spec, child } = container;
  // Before the program can run: a signal that ended berth now would leave it behind.
  if (!options.detach) passSignalsOn(child.pidfd);
  let notify: NotifyProxy | undefined;
  try {
    notify = await notifyProxy(directory);
    await startContainer(directory, record, spec);
  } catch (error) {
    await discard(container, options.warn);
    throw error;
  }
  closeState(directory);
  if (options.detach) {
    notify?.forwardUntilReady(record);
    return 0;
  }

  const { pid, pidfd } = child;
  const afterwards = options.keep ? undefined : options.deletion;
  const status = awaitProcess({ pid, pidfd, master, notify, reap: !record.ownPidNamespace, afterwards });
  if (!options.keep) await remove(options.root, options.id, { force: true, warn: options.warn });
  return status;
}

function becomeSubreaper(): void {
  check(syscall("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become a subreaper");
}

/** Undoes a container that could not be started. */
async function discard(
  { directory, record, child }: Created,
  warn: (message: string) => void,
): Promise<void> {
  try {
    killAll(record);
    waitPidfd(child.pidfd);
    awaitEnd(record);
    await destroy(directory, record, warn);
  } catch (error) {
    warn(`after the failed start: ${messageOf(error)}`);
  }
  closeState(directory);
}
