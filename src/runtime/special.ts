import { messageOf } from "../errors.ts";
import { O_RDONLY } from "../linux/constants.ts";
import { close, open } from "../linux/file.ts";
import { openNetlink } from "../linux/netlink.ts";
import { pidfdGetfd } from "../linux/process.ts";
import type { Spawned } from "../linux/spawn.ts";
import {
  checkNetDevices,
  type MovedDevice,
  moveNetDevices,
  netDeviceSteps,
  restoreNetDevices,
} from "../namespaces/net-devices.ts";
import { perform } from "../plan/perform.ts";
import type { Descriptors, Requests } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import { checkLabels, keyLabelSteps, labelSteps } from "../process/labels.ts";
import { checkMemoryPolicy, memoryPolicySteps } from "../process/memory-policy.ts";
import {
  joinSteps,
  makeStep,
  ownResctrlMount,
  planGroup,
  type ResctrlGroup,
  removeGroup,
} from "../resctrl/group.ts";
import type { Spec } from "../spec/config.ts";
import type { NetDevices } from "../spec/linux.ts";

/*
 * What few containers ask for: labels of security modules, a memory policy, a share of the cache, network devices. Loaded only
 * then, see asksForSpecial.
 */

/** Steps of init's, by their place in its Plan. */
export interface SpecialSteps {
  readonly beforeKeyring: readonly Step[];
  readonly beforeMounts: readonly Step[];
  readonly beforeUser: readonly Step[];
}

/** The steps of init's that `spec` needs beside those of all containers. Pure. */
export function specialSteps(spec: Spec, descriptors: Descriptors, requests: Requests): SpecialSteps {
  const { memoryPolicy, netDevices = {} } = spec.linux;
  return {
    beforeKeyring: keyLabelSteps(spec.process, descriptors.proc),
    beforeMounts: Object.keys(netDevices).length === 0 ? [] : netDeviceSteps(descriptors, requests),
    beforeUser: [
      ...(memoryPolicy === undefined ? [] : memoryPolicySteps(memoryPolicy)),
      ...labelSteps(spec.process, descriptors.proc),
    ],
  };
}

/** What is done for such a container beside its Plan. */
export interface Special {
  readonly steps: typeof specialSteps;
  /** The directories of resctrl that go with the container. */
  readonly resctrl: readonly string[];
  /** Puts init, which waits, where it belongs. @throws BerthError */
  place(child: Spawned): void;
  /** Serves the request of {@link netDeviceSteps}. @param socket its number in init @throws BerthError */
  moveDevices(child: Spawned, socket: number): void;
  /** Undoes what a failed creation did. */
  undo(warn: (message: string) => void): void;
  /** Closes what was kept open for the creation. */
  close(): void;
}

/**
 * Looks whether this host has what `spec` asks for, before anything is made.
 * @throws BerthError "unsupported", or of the part that cannot be had
 */
export function prepareSpecial(spec: Spec, id: string): Special {
  const { memoryPolicy, intelRdt, netDevices = {} } = spec.linux;
  checkLabels(spec.process, spec.linux.mountLabel);
  if (memoryPolicy !== undefined) checkMemoryPolicy(memoryPolicy);
  const group = intelRdt === undefined ? undefined : planGroup(intelRdt, id, ownResctrlMount());
  return new Preparation(netDevices, group);
}

/** What `berth explain` shows of the part that is done from outside. @throws BerthError */
export function specialOutside({ linux: { intelRdt } }: Spec, id: string): Step[] {
  if (intelRdt === undefined) return [];
  // A Plan can be looked at on any machine, though it could not be carried out on this one.
  const group = planGroup(intelRdt, id, ownResctrlMount() ?? "/sys/fs/resctrl");
  return [...[...group.made].reverse().map(makeStep), ...joinSteps(group, "PID")];
}

class Preparation implements Special {
  readonly steps = specialSteps;
  readonly #netDevices: NetDevices;
  readonly #group: ResctrlGroup | undefined;
  readonly #open: number[] = [];
  readonly #moved: MovedDevice[] = [];
  readonly #made: string[] = [];
  #host = -1;
  #inside = -1;

  constructor(netDevices: NetDevices, group: ResctrlGroup | undefined) {
    this.#netDevices = netDevices;
    this.#group = group;
    if (Object.keys(netDevices).length === 0) return;
    this.#host = this.#keep(openNetlink());
    checkNetDevices(netDevices, this.#host);
  }

  get resctrl(): readonly string[] {
    return this.#group?.owned ?? [];
  }

  place({ pid }: Spawned): void {
    if (this.#group === undefined) return;
    for (const directory of [...this.#group.made].reverse()) {
      perform([makeStep(directory)]);
      this.#made.unshift(directory);
    }
    perform(joinSteps(this.#group, String(pid)));
  }

  moveDevices({ pid, pidfd }: Spawned, socket: number): void {
    this.#inside = this.#keep(pidfdGetfd(pidfd, socket));
    const namespace = this.#keep(open(`/proc/${pid}/ns/net`, O_RDONLY));
    moveNetDevices(this.#netDevices, { host: this.#host, inside: this.#inside, namespace }, this.#moved);
  }

  undo(warn: (message: string) => void): void {
    const attempt = (what: string, act: () => void) => {
      try {
        act();
      } catch (error) {
        warn(`after the failed creation: ${what}: ${messageOf(error)}`);
      }
    };
    if (this.#moved.length > 0) {
      // The namespace is still there, for the socket in it is: init may be gone.
      attempt("move the network devices back", () => {
        const own = this.#keep(open("/proc/self/ns/net", O_RDONLY));
        restoreNetDevices(this.#moved, { host: this.#host, inside: this.#inside }, own);
      });
    }
    attempt("remove the resctrl group", () => removeGroup(this.#made));
  }

  close(): void {
    for (const fd of this.#open) close(fd);
  }

  #keep(fd: number): number {
    this.#open.push(fd);
    return fd;
  }
}
