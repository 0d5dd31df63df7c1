import type { Spec } from "../config.ts";
import { each, type Report } from "../problem.ts";
import type { Resources } from "../resources.ts";

// linux.resources, but for devices. Runtime-spec 1.3, config-linux.md "Control groups". Engines write 0 for what is not set.

const MEMORY = "linux.resources.memory";
const CPU = "linux.resources.cpu";
const BLOCK_IO = "linux.resources.blockIO";

export function checkMemory({ linux: { resources } }: Spec, report: Report): void {
  const memory = resources?.memory;
  if (memory === undefined) return;
  const { limit = 0, reservation = 0, swap = 0 } = memory;
  if (limit < -1) report(`${MEMORY}.limit`, limit, "a number of bytes, or -1 for no limit");
  if (reservation < -1) report(`${MEMORY}.reservation`, reservation, "a number of bytes, or -1");
  if (swap < -1) report(`${MEMORY}.swap`, swap, "a number of bytes, or -1 for no limit");
  if (swap <= 0 || limit < 0) return;
  // It limits memory and swap together.
  if (limit === 0) report(`${MEMORY}.swap`, swap, "only with a limit on memory");
  else if (swap < limit)
    report(`${MEMORY}.swap`, swap, `at least limit, ${limit}: it counts memory and swap`);
}

/** The bounds are the kernel's: kernel/sched/core.c, tg_set_cfs_bandwidth(). */
export function checkCpu({ linux: { resources } }: Spec, report: Report): void {
  const cpu = resources?.cpu;
  if (cpu === undefined) return;
  const { quota = 0, period = 0, burst = 0, cpus = "", mems = "" } = cpu;
  if (quota > 0 && quota < 1000)
    report(`${CPU}.quota`, quota, "at least 1000 microseconds, or -1 for no limit");
  if (period !== 0 && (period < 1000 || period > 1_000_000))
    report(`${CPU}.period`, period, "1000 to 1000000 microseconds");
  if (quota > 0 && burst > quota) report(`${CPU}.burst`, burst, `at most quota, ${quota}`);
  if (!isList(cpus)) report(`${CPU}.cpus`, cpus, 'a list of CPUs such as "0-3,7"');
  if (!isList(mems)) report(`${CPU}.mems`, mems, 'a list of memory nodes such as "0-1,3"');
}

/** What the kernel's bitmap_parselist() takes: numbers and ranges, "N" for the last, "all", "0-31:2/8" for 2 of each 8. */
const LIST =
  /^\s*(?:all|(?:\d+|N)(?:-(?:\d+|N)(?::\d+\/\d+)?)?)?(?:[\s,]+(?:(?:\d+|N)(?:-(?:\d+|N)(?::\d+\/\d+)?)?)?)*\s*$/;
const PLAIN_LIST = /^\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*$/;

function isList(list: string): boolean {
  if (list === "") return true;
  if (!PLAIN_LIST.test(list) && !LIST.test(list)) return false;
  for (const range of list.split(",")) {
    const [first, last] = range.split("-");
    if (last !== undefined && Number(first) > Number.parseInt(last, 10)) return false;
  }
  return true;
}

const MOST_PIDS = 4_194_304;

export function checkPids({ linux: { resources } }: Spec, report: Report): void {
  const limit = resources?.pids?.limit ?? -1;
  if (limit >= -1 && limit <= MOST_PIDS) return;
  report("linux.resources.pids.limit", limit, `0 to ${MOST_PIDS}, or -1 for no limit`);
}

const THROTTLES = [
  "throttleReadBpsDevice",
  "throttleWriteBpsDevice",
  "throttleReadIOPSDevice",
  "throttleWriteIOPSDevice",
] as const;

export function checkBlockIO({ linux: { resources } }: Spec, report: Report): void {
  const blockIO = resources?.blockIO;
  if (blockIO === undefined) return;
  checkWeights(BLOCK_IO, blockIO, report);
  each(blockIO.weightDevice, (device, i) => {
    const at = `${BLOCK_IO}.weightDevice[${i}]`;
    checkDevice(at, device, report);
    checkWeights(at, device, report);
  });
  for (const key of THROTTLES) {
    each(blockIO[key], (device, i) => checkDevice(`${BLOCK_IO}.${key}[${i}]`, device, report));
  }
}

interface Weights {
  readonly weight?: number | undefined;
  readonly leafWeight?: number | undefined;
}

function checkWeights(at: string, weights: Weights, report: Report): void {
  for (const key of ["weight", "leafWeight"] as const) {
    const weight = weights[key] ?? 0;
    if (weight !== 0 && weight < 10) report(`${at}.${key}`, weight, "10 to 1000, or 0 for none");
  }
}

/** Linux has 12 bits for the major number and 20 for the minor. */
function checkDevice(
  at: string,
  device: { readonly major: number; readonly minor: number },
  report: Report,
): void {
  for (const key of ["major", "minor"] as const) {
    const most = key === "major" ? 2 ** 12 - 1 : 2 ** 20 - 1;
    const number = device[key];
    if (number < 0 || number > most) report(`${at}.${key}`, number, `a whole number from 0 to ${most}`);
  }
}

export function checkHugepageLimits({ linux: { resources } }: Spec, report: Report): void {
  each(resources?.hugepageLimits, ({ pageSize }, i) => {
    const at = `linux.resources.hugepageLimits[${i}].pageSize`;
    if (!/^[1-9]\d*[KMG]B$/.test(pageSize)) report(at, pageSize, 'a size such as "64KB", "2MB" or "1GB"');
  });
}

export function checkNetwork({ linux: { resources } }: Spec, report: Report): void {
  each(resources?.network?.priorities, ({ name }, i) => {
    if (name !== "" && !/[\s/]/.test(name)) return;
    report(`linux.resources.network.priorities[${i}].name`, name, "the name of a network interface");
  });
}

export function checkRdma({ linux: { resources } }: Spec, report: Report): void {
  for (const name in resources?.rdma) {
    // It is written into a line of names and numbers.
    if (name === "" || /[\s/=]/.test(name)) report("linux.resources.rdma", name, "names of RDMA devices");
  }
}

/** Files by which one acts upon a cgroup's processes or its children. They belong to berth and to the container. */
const NO_LIMITS = [
  "cgroup.freeze",
  "cgroup.kill",
  "cgroup.procs",
  "cgroup.subtree_control",
  "cgroup.threads",
  "cgroup.type",
];

export function checkUnified({ linux: { resources } }: Spec, report: Report): void {
  for (const name in resources?.unified) checkUnifiedName(name, report);
}

function checkUnifiedName(name: keyof NonNullable<Resources["unified"]>, report: Report): void {
  if (!/^[A-Za-z0-9_]+(?:\.[A-Za-z0-9_-]+)+$/.test(name)) {
    report(
      "linux.resources.unified",
      name,
      'names of cgroup files, CONTROLLER.PARAMETER, without "/" or ".."',
    );
  } else if (NO_LIMITS.includes(name)) {
    report("linux.resources.unified", name, "files that set limits");
  }
}
