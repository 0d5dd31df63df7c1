import { now } from "../linux/clock.ts";
import { O_RDONLY, POLLPRI } from "../linux/constants.ts";
import { check, EINTR, ENODEV, ENOENT } from "../linux/errno.ts";
import { close, tryOpen, withDescriptor } from "../linux/file.ts";
import { at, scratch } from "../linux/memory.ts";
import { syscall } from "../linux/native.ts";
import { poll } from "../linux/process.ts";
import { type CgroupPlace, directoryOf } from "./path.ts";

/** What cgroup.events tells of a cgroup and everything below it; cgroup-v2.rst "Core Interface Files". */
export interface CgroupEvents {
  /** A process that is not a zombie is in there. */
  readonly populated: boolean;
  /** Every process in there stands still. */
  readonly frozen: boolean;
}

const SIZE = 256;

/** How long it may stay unnoticed that the cgroup was removed, in milliseconds: the kernel wakes nobody then. */
const UNNOTIFIED = 50;

/** Reads cgroup.events; undefined when there is no such cgroup. @throws BerthError */
export function cgroupEvents(place: CgroupPlace): CgroupEvents | undefined {
  const path = `${directoryOf(place)}/cgroup.events`;
  const fd = tryOpen(path, O_RDONLY);
  if (fd === -ENOENT) return undefined;
  try {
    return readEvents(check(fd, `open "${path}"`), path);
  } finally {
    if (fd >= 0) close(fd);
  }
}

/**
 * Waits until cgroup.events says what is wanted; the kernel notifies of every change there.
 * @param wanted is given undefined when the cgroup is gone
 * @param milliseconds how long at most
 * @returns whether it came to that @throws BerthError
 */
export function waitForEvents(
  place: CgroupPlace,
  wanted: (events: CgroupEvents | undefined) => boolean,
  milliseconds: number,
): boolean {
  const path = `${directoryOf(place)}/cgroup.events`;
  const fd = tryOpen(path, O_RDONLY);
  if (fd === -ENOENT) return wanted(undefined);
  return withDescriptor(check(fd, `open "${path}"`), (fd) => {
    const end = now() + milliseconds;
    for (;;) {
      // Reading is also what arms the notification.
      if (wanted(readEvents(fd, path))) return true;
      const left = end - now();
      if (left <= 0) return false;
      poll([{ fd, events: POLLPRI }], Math.min(left, UNNOTIFIED));
    }
  });
}

function readEvents(fd: number, path: string): CgroupEvents | undefined {
  const buffer = scratch().space(SIZE);
  for (;;) {
    const length = syscall("pread64", fd, buffer, SIZE, 0);
    if (length === -EINTR) continue;
    // The cgroup was removed while the file was open.
    if (length === -ENODEV) return undefined;
    const text = at.text(buffer, check(length, `read "${path}"`));
    return { populated: text.includes("populated 1\n"), frozen: text.includes("frozen 1\n") };
  }
}
