import type { Descriptors } from "../../plan/protocol.ts";
import type { Call, Slot, Step } from "../../plan/step.ts";
import type { Spec } from "../../spec/config.ts";

/** A process's seccomp filter: compiled, checked against this host, and not loaded yet. */
export interface SeccompFilter {
  /** struct sock_filter[], as the kernel takes it. */
  readonly program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*. */
  readonly flags: number;
  /** The profile has SCMP_ACT_NOTIFY: whoever listens gets a descriptor. */
  readonly notifies: boolean;
  /** The steps that load it into the process that owns these descriptors. */
  steps(descriptors: Descriptors): FilterSteps;
  /** Keeps what was compiled for the next start below this root of containers' states; a failure of that is of no importance. */
  save(root: string): void;
}

/** How a filter gets loaded. */
export interface FilterSteps {
  /** While everything is allowed: memory to report through once it is not. Leaves its descriptor at `Descriptors.notice`. */
  readonly before: readonly Step[];
  /** Holds the address of that memory, for {@link encode}. */
  readonly notice: Slot;
  /** The last of all: after them, only execve. */
  readonly last: readonly Step[];
  /** That one of `last` which loads it. */
  readonly load: Call;
}

/** Whether config.json asks for a filter: engines write an empty profile for none. */
export function asksForSeccomp({ linux: { seccomp } }: Spec): boolean {
  return (seccomp?.defaultAction ?? "") !== "" || (seccomp?.syscalls ?? []).length > 0;
}

/**
 * The filter of linux.seccomp; undefined without one: then nothing of all this is loaded. Makes nothing.
 * @param text config.json as it was read: a double does not hold every 64-bit number
 * @param root where compiled filters are kept; undefined: nothing is looked up
 * @param noNewPrivileges of the process that the filter is for
 * @throws BerthError "invalid-config", "unsupported", "no-libseccomp"
 */
export async function loadSeccomp(
  spec: Spec,
  text: string,
  root: string | undefined,
  noNewPrivileges: boolean,
  warn: (message: string) => void,
): Promise<SeccompFilter | undefined> {
  if (!asksForSeccomp(spec)) return undefined;
  const { prepareFilter } = await import("./prepare.ts");
  return prepareFilter(spec, text, root, noNewPrivileges, warn);
}
