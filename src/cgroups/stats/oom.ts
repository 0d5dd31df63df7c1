import { now } from "../../linux/clock.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY, POLLIN, POLLPRI } from "../../linux/constants.ts";
import { check } from "../../linux/errno.ts";
import { open, readAt, tryOpen, tryRead, tryWrite } from "../../linux/file.ts";
import { syscall } from "../../linux/native.ts";
import type { Polled } from "../../linux/process.ts";
import type { Scope } from "../../linux/scope.ts";
import { fromUtf8, utf8 } from "../../linux/text.ts";
import { isGone } from "../members.ts";
import { type CgroupPlace, directoryOf } from "../path.ts";
import type { V1Place } from "../v1/place.ts";

/** Notices when the kernel kills a process of a container because memory has run out. */
export interface OomWatch {
  /** What to poll for it. */
  readonly polled: readonly Polled[];
  /** How many were killed since it was asked last. */
  takeKills(): number;
  /** When to ask again though nothing woke the caller, in milliseconds from now. */
  again(): number;
}

const NEVER = () => Number.POSITIVE_INFINITY;
const NOTHING: OomWatch = { polled: [], takeKills: () => 0, again: NEVER };

/** v1 tells that memory has run out before it kills, and not once it has: how long to look for that, and how often; milliseconds. */
const PATIENCE = 1000;
const INTERVAL = 20;

/** Begins to watch; where the host counts no such kills, nothing is ever noticed. */
export function openOomWatch(place: CgroupPlace, v1: readonly V1Place[], scope: Scope): OomWatch {
  const memory = v1.find(({ controllers }) => controllers.includes("memory"));
  return memory === undefined ? watchV2(place, scope) : watchV1(memory, scope);
}

/** memory.events wakes who polls it, until that one has read it again. */
function watchV2(place: CgroupPlace, scope: Scope): OomWatch {
  const fd = tryOpen(`${directoryOf(place)}/memory.events`, O_RDONLY);
  if (fd < 0) return NOTHING;
  scope.keep(fd);
  return { polled: [{ fd, events: POLLPRI }], takeKills: since(() => killsIn(fd)), again: NEVER };
}

/** An eventfd that the kernel is told of in cgroup.event_control wakes, until it is read; memory.oom_control counts. */
function watchV1(place: CgroupPlace, scope: Scope): OomWatch {
  const directory = directoryOf(place);
  const control = tryOpen(`${directory}/memory.oom_control`, O_RDONLY);
  if (control < 0) return NOTHING;
  scope.keep(control);
  const register = scope.keep(open(`${directory}/cgroup.event_control`, O_WRONLY));
  const event = scope.keep(check(syscall("eventfd2", 0, O_CLOEXEC | O_NONBLOCK), "make an event counter"));
  tryWrite(register, utf8(`${event} ${control}`));
  const kills = since(() => killsIn(control));
  let lookUntil = 0;
  return {
    polled: [{ fd: event, events: POLLIN }],
    takeKills() {
      if (typeof tryRead(event) !== "number") lookUntil = now() + PATIENCE;
      const grown = kills();
      if (grown > 0) lookUntil = 0;
      return grown;
    },
    again: () => (now() < lookUntil ? INTERVAL : Number.POSITIVE_INFINITY),
  };
}

/** 0 when the cgroup is gone: its container has ended. */
function killsIn(fd: number): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(fromUtf8(readAt(fd, 0, 4096)))?.[1] ?? 0);
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}

/** What a counter has grown by since the last call, or since now. */
function since(counter: () => number): () => number {
  let before = counter();
  return () => {
    const now = counter();
    const grown = Math.max(0, now - before);
    before = now;
    return grown;
  };
}
