import { IOPRIO_WHO_PROCESS, O_CLOEXEC, O_WRONLY } from "../linux/constants.ts";
import { EACCES, EBUSY, EINVAL, EPERM } from "../linux/errno.ts";
import { setU64 } from "../linux/memory.ts";
import { rawBytes, serving, slot } from "../plan/build.ts";
import type { Slot, Step } from "../plan/step.ts";
import type { IoPriority, Process, Scheduler } from "../spec/process.ts";

/** SCHED_* of linux/sched.h. */
const POLICIES: Readonly<Record<Scheduler["policy"], number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};

/** SCHED_FLAG_* of linux/sched.h. */
const FLAGS: Readonly<Record<NonNullable<Scheduler["flags"]>[number], number>> = {
  SCHED_FLAG_RESET_ON_FORK: 0x01,
  SCHED_FLAG_RECLAIM: 0x02,
  SCHED_FLAG_DL_OVERRUN: 0x04,
  SCHED_FLAG_KEEP_POLICY: 0x08,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
};

/** IOPRIO_CLASS_* of linux/ioprio.h. */
const IO_CLASSES: Readonly<Record<IoPriority["class"], number>> = {
  IOPRIO_CLASS_RT: 1,
  IOPRIO_CLASS_BE: 2,
  IOPRIO_CLASS_IDLE: 3,
};

/**
 * Steps by which the runtime sets what it alone may set in a container without privilege: oom_score_adj, scheduler, I/O
 * priority.
 * @param pid init's
 * @param directory a descriptor of its /proc/PID
 */
export function schedulingSteps(process: Process, pid: Slot, directory: Slot): Step[] {
  return [...scoreSteps(process, directory), ...prioritySteps(process, pid)];
}

function scoreSteps(process: Process, directory: Slot): Step[] {
  const steps: Step[] = [];
  if (process.oomScoreAdj !== undefined) {
    const { call } = serving("identity", "process.oomScoreAdj");
    const file = slot("oom_score_adj");
    const value = String(process.oomScoreAdj);
    steps.push(
      call("openat", [directory, "oom_score_adj", O_WRONLY | O_CLOEXEC, 0], { store: file }),
      call("write", [file, value, value.length], {
        what: `write ${value} to /proc/PID/oom_score_adj`,
        hints: { [EACCES]: "lowering it needs CAP_SYS_RESOURCE, which berth does not have here" },
      }),
      call("close", [file]),
    );
  }
  return steps;
}

/** Steps for `process.scheduler` and `process.ioPriority`. @param pid 0: of the process that performs them */
export function prioritySteps(process: Process, pid: Slot | 0): Step[] {
  const steps: Step[] = [];
  if (process.scheduler !== undefined) steps.push(schedulerStep(process.scheduler, pid));
  if (process.ioPriority !== undefined) {
    const { class: name, priority = 0 } = process.ioPriority;
    const value = (IO_CLASSES[name] << 13) | priority;
    steps.push(
      serving("identity", "process.ioPriority").call("ioprio_set", [IOPRIO_WHO_PROCESS, pid, value], {
        what: `set ${name} ${priority}`,
        hints: { [EPERM]: "the real-time class needs CAP_SYS_ADMIN or CAP_SYS_NICE" },
      }),
    );
  }
  return steps;
}

function schedulerStep(scheduler: Scheduler, pid: Slot | 0): Step {
  const { policy, nice = 0, priority = 0, flags = [], runtime = 0, deadline = 0, period = 0 } = scheduler;
  // struct sched_attr with the utilization clamps, which no field of config.json sets.
  const bytes = new Uint8Array(56);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, POLICIES[policy], true);
  setU64(
    view,
    8,
    flags.reduce((bits, flag) => bits | FLAGS[flag], 0),
  );
  view.setInt32(16, nice, true);
  view.setUint32(20, priority, true);
  setU64(view, 24, runtime);
  setU64(view, 32, deadline);
  setU64(view, 40, period);
  return serving("identity", "process.scheduler").call(
    "sched_setattr",
    [pid, rawBytes(bytes, JSON.stringify(scheduler)), 0],
    {
      what: `set ${policy}`,
      hints: {
        [EPERM]:
          "this policy or nice value needs CAP_SYS_NICE; SCHED_DEADLINE also refuses a cpuset smaller than its root domain; on cgroup v1 SCHED_FIFO and SCHED_RR need linux.resources.cpu.realtimeRuntime",
        [EBUSY]: "the CPUs have not that much deadline bandwidth left",
        [EINVAL]:
          "the kernel does not take these values for this policy (SCHED_ISO is not implemented in it)",
      },
    },
  );
}
