import { array, boolean, object, enum as oneOf, optional, type output, string } from "zod/mini";
import { id, strings, uint64, whole } from "./scalars.ts";

// config.json: process. Runtime-spec 1.3, config.md "Process".

const user = object({
  uid: optional(id),
  gid: optional(id),
  umask: optional(whole(0, 0o777)),
  additionalGids: optional(array(id)),
  username: optional(string()),
});

const capabilities = object({
  bounding: optional(strings),
  effective: optional(strings),
  inheritable: optional(strings),
  permitted: optional(strings),
  ambient: optional(strings),
});

const rlimit = object({
  // The sixteen of asm-generic/resource.h.
  type: oneOf([
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
  ]),
  soft: uint64,
  hard: uint64,
});

const scheduler = object({
  policy: oneOf([
    "SCHED_OTHER",
    "SCHED_FIFO",
    "SCHED_RR",
    "SCHED_BATCH",
    "SCHED_ISO",
    "SCHED_IDLE",
    "SCHED_DEADLINE",
  ]),
  nice: optional(whole(-20, 19)),
  priority: optional(whole(0, 99)),
  flags: optional(
    array(
      oneOf([
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
      ]),
    ),
  ),
  runtime: optional(uint64),
  deadline: optional(uint64),
  period: optional(uint64),
});

const ioPriority = object({
  class: oneOf(["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]),
  priority: optional(whole(0, 7)),
});

export const process = object({
  terminal: optional(boolean()),
  // struct winsize has 16 bits for each.
  consoleSize: optional(object({ height: whole(0, 0xffff), width: whole(0, 0xffff) })),
  user: optional(user),
  args: optional(strings),
  commandLine: optional(string()),
  env: optional(strings),
  cwd: string(),
  capabilities: optional(capabilities),
  rlimits: optional(array(rlimit)),
  noNewPrivileges: optional(boolean()),
  apparmorProfile: optional(string()),
  selinuxLabel: optional(string()),
  oomScoreAdj: optional(whole(-1000, 1000)),
  scheduler: optional(scheduler),
  ioPriority: optional(ioPriority),
  execCPUAffinity: optional(object({ initial: optional(string()), final: optional(string()) })),
});

export type Process = output<typeof process>;
export type User = output<typeof user>;
export type Capabilities = output<typeof capabilities>;
export type Rlimit = output<typeof rlimit>;
export type Scheduler = output<typeof scheduler>;
export type IoPriority = output<typeof ioPriority>;
