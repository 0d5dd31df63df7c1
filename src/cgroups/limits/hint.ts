import {
  EACCES,
  EBUSY,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  EROFS,
} from "../../linux/errno.ts";
import type { LimitWrite, ReadHost } from "./limit.ts";

interface Row {
  /** Which files it speaks of. */
  readonly file: RegExp;
  readonly errnos: readonly number[];
  readonly hint: string | ((write: LimitWrite, read: ReadHost) => string);
}

const NO_DEVICE = ({ key }: LimitWrite) =>
  `there is no whole block device ${key ?? "of that number"}: "lsblk" lists them by MAJ:MIN; a partition has no limits of its own`;

/** What the kernel means by an errno; the first row that fits counts. */
const ROWS: readonly Row[] = [
  {
    file: /\.(current|effective|events|local|numa_stat|peak|stat)$/,
    errnos: [EACCES, EINVAL, EPERM],
    hint: "this file can only be read",
  },
  {
    file: /^memory\.max$/,
    errnos: [EBUSY],
    hint: "the container uses more memory than that and cannot give back enough",
  },
  {
    file: /^(memory|hugetlb)\./,
    errnos: [EINVAL],
    hint: 'the kernel takes a number of bytes, with k, m or g behind it if you like, or "max"',
  },
  { file: /^pids\.max$/, errnos: [EINVAL], hint: 'the kernel takes 0 to 4194304, or "max"' },
  {
    file: /^cpu\.weight$/,
    errnos: [EINVAL],
    hint: "the cgroup is idle (its cpu.idle is 1), and an idle one has no weight",
  },
  { file: /^cpu\.weight$/, errnos: [ERANGE], hint: "the kernel takes 1 to 10000" },
  {
    file: /^cpu\.max$/,
    errnos: [EINVAL],
    hint: "the kernel takes a quota of 1000 or more and a period of 1000 to 1000000 microseconds, and no quota below cpu.max.burst",
  },
  {
    file: /^cpu\.max\.burst$/,
    errnos: [EINVAL],
    hint: "a burst can be as large as the quota, and no larger",
  },
  {
    file: /^cpuset\.cpus/,
    errnos: [EINVAL, ERANGE],
    hint: (_, read) => list("CPUs", read("/sys/devices/system/cpu/present")),
  },
  {
    file: /^cpuset\.mems/,
    errnos: [EINVAL, ERANGE],
    hint: (_, read) => list("memory nodes", read("/sys/devices/system/node/has_memory")),
  },
  {
    file: /^cpuset\./,
    errnos: [ENOSPC],
    hint: "processes in the cgroup would be left without a CPU or a memory node",
  },
  { file: /^io\./, errnos: [ENODEV], hint: NO_DEVICE },
  {
    file: /^io\.(bfq\.)?weight$/,
    errnos: [EOPNOTSUPP],
    hint: "the device has neither the bfq scheduler (/sys/block/*/queue/scheduler) nor io.cost (io.cost.qos of the root cgroup)",
  },
  {
    file: /^io\.max$/,
    errnos: [EOPNOTSUPP],
    hint: "the kernel does not throttle this device (CONFIG_BLK_DEV_THROTTLING)",
  },
  { file: /^io\.max$/, errnos: [EINVAL, ERANGE], hint: 'the kernel takes 1 or more, or "max"' },
  {
    file: /^rdma\.max$/,
    errnos: [EINVAL, ENODEV],
    hint: "there may be no such device: /sys/class/infiniband lists them",
  },
  {
    file: /^hugetlb\./,
    errnos: [ENOENT],
    hint: 'the kernel has no huge pages of this size: /sys/kernel/mm/hugepages lists them; write "2MB" or "1GB"',
  },
  { file: /./, errnos: [EACCES, EPERM], hint: "it takes root, or a cgroup that was delegated to this user" },
  { file: /./, errnos: [EROFS], hint: "the cgroup file system is mounted read-only" },
  { file: /./, errnos: [ENOENT], hint: "this kernel has no such file" },
];

/** See {@link import("./limit.ts").Limits}. */
export function hintFor(write: LimitWrite, errno: number, read: ReadHost): string | undefined {
  const row = ROWS.find(({ file, errnos }) => errnos.includes(errno) && file.test(write.file));
  return typeof row?.hint === "function" ? row.hint(write, read) : row?.hint;
}

function list(what: string, present: string | undefined): string {
  const form = 'write a list such as "0-3,7"';
  return present === undefined ? form : `the host has the ${what} ${present.trim()}; ${form}`;
}
