// generated from config.ts by scripts/compile-schema.ts; do not edit

import type { Spec } from "./config.ts";
import type { KeyTree } from "./unknown.ts";

/** Whether `value` has the shape of a config.json. What is wrong with one that has not: problems.ts. */
export function acceptsSpec(value: unknown): value is Spec {
  return isSpec(value);
}

/** The properties that runtime-spec knows. `null`: nothing below is looked at. `*`: any key. */
export const KNOWN_KEYS: KeyTree = {
  ociVersion: null,
  root: { path: null, readonly: null },
  process: {
    terminal: null,
    consoleSize: { height: null, width: null },
    user: { uid: null, gid: null, umask: null, additionalGids: null, username: null },
    args: null,
    commandLine: null,
    env: null,
    cwd: null,
    capabilities: { bounding: null, effective: null, inheritable: null, permitted: null, ambient: null },
    rlimits: { type: null, soft: null, hard: null },
    noNewPrivileges: null,
    apparmorProfile: null,
    selinuxLabel: null,
    oomScoreAdj: null,
    scheduler: {
      policy: null,
      nice: null,
      priority: null,
      flags: null,
      runtime: null,
      deadline: null,
      period: null,
    },
    ioPriority: { class: null, priority: null },
    execCPUAffinity: { initial: null, final: null },
  },
  hostname: null,
  domainname: null,
  mounts: {
    destination: null,
    type: null,
    source: null,
    options: null,
    uidMappings: { containerID: null, hostID: null, size: null },
    gidMappings: { containerID: null, hostID: null, size: null },
  },
  hooks: {
    prestart: { path: null, args: null, env: null, timeout: null },
    createRuntime: { path: null, args: null, env: null, timeout: null },
    createContainer: { path: null, args: null, env: null, timeout: null },
    startContainer: { path: null, args: null, env: null, timeout: null },
    poststart: { path: null, args: null, env: null, timeout: null },
    poststop: { path: null, args: null, env: null, timeout: null },
  },
  annotations: null,
  linux: {
    namespaces: { type: null, path: null },
    uidMappings: { containerID: null, hostID: null, size: null },
    gidMappings: { containerID: null, hostID: null, size: null },
    timeOffsets: { "*": { secs: null, nanosecs: null } },
    devices: { type: null, path: null, major: null, minor: null, fileMode: null, uid: null, gid: null },
    netDevices: { "*": { name: null } },
    cgroupsPath: null,
    resources: {
      devices: { allow: null, type: null, major: null, minor: null, access: null },
      memory: {
        limit: null,
        reservation: null,
        swap: null,
        kernel: null,
        kernelTCP: null,
        swappiness: null,
        disableOOMKiller: null,
        useHierarchy: null,
        checkBeforeUpdate: null,
      },
      cpu: {
        shares: null,
        quota: null,
        burst: null,
        period: null,
        realtimeRuntime: null,
        realtimePeriod: null,
        cpus: null,
        mems: null,
        idle: null,
      },
      pids: { limit: null },
      blockIO: {
        weight: null,
        leafWeight: null,
        weightDevice: { major: null, minor: null, weight: null, leafWeight: null },
        throttleReadBpsDevice: { major: null, minor: null, rate: null },
        throttleWriteBpsDevice: { major: null, minor: null, rate: null },
        throttleReadIOPSDevice: { major: null, minor: null, rate: null },
        throttleWriteIOPSDevice: { major: null, minor: null, rate: null },
      },
      hugepageLimits: { pageSize: null, limit: null },
      network: { classID: null, priorities: { name: null, priority: null } },
      rdma: { "*": { hcaHandles: null, hcaObjects: null } },
      unified: null,
    },
    intelRdt: {
      closID: null,
      schemata: null,
      l3CacheSchema: null,
      memBwSchema: null,
      enableMonitoring: null,
      enableCMT: null,
      enableMBM: null,
    },
    sysctl: null,
    seccomp: {
      defaultAction: null,
      defaultErrnoRet: null,
      architectures: null,
      flags: null,
      listenerPath: null,
      listenerMetadata: null,
      syscalls: {
        names: null,
        action: null,
        errnoRet: null,
        args: { index: null, value: null, valueTwo: null, op: null },
      },
    },
    rootfsPropagation: null,
    maskedPaths: null,
    readonlyPaths: null,
    mountLabel: null,
    personality: { domain: null, flags: null },
    memoryPolicy: { mode: null, nodes: null, flags: null },
  },
};

function isRoot(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (typeof o.path !== "string") return false;
  if (o.readonly !== undefined && typeof o.readonly !== "boolean") return false;
  return true;
}

function isConsoleSize(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isWhole(o.height, 0, 65535)) return false;
  if (!isWhole(o.width, 0, 65535)) return false;
  return true;
}

function isAdditionalGids(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isWhole(item, 0, 4294967294)) return false;
  return true;
}

function isUser(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.uid !== undefined && !isWhole(o.uid, 0, 4294967294)) return false;
  if (o.gid !== undefined && !isWhole(o.gid, 0, 4294967294)) return false;
  if (o.umask !== undefined && !isWhole(o.umask, 0, 511)) return false;
  if (o.additionalGids !== undefined && !isAdditionalGids(o.additionalGids)) return false;
  if (o.username !== undefined && typeof o.username !== "string") return false;
  return true;
}

function isArgs(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (typeof item !== "string") return false;
  return true;
}

function isCapabilities(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.bounding !== undefined && !isArgs(o.bounding)) return false;
  if (o.effective !== undefined && !isArgs(o.effective)) return false;
  if (o.inheritable !== undefined && !isArgs(o.inheritable)) return false;
  if (o.permitted !== undefined && !isArgs(o.permitted)) return false;
  if (o.ambient !== undefined && !isArgs(o.ambient)) return false;
  return true;
}

function isType(value: unknown): boolean {
  switch (value) {
    case "RLIMIT_AS":
    case "RLIMIT_CORE":
    case "RLIMIT_CPU":
    case "RLIMIT_DATA":
    case "RLIMIT_FSIZE":
    case "RLIMIT_LOCKS":
    case "RLIMIT_MEMLOCK":
    case "RLIMIT_MSGQUEUE":
    case "RLIMIT_NICE":
    case "RLIMIT_NOFILE":
    case "RLIMIT_NPROC":
    case "RLIMIT_RSS":
    case "RLIMIT_RTPRIO":
    case "RLIMIT_RTTIME":
    case "RLIMIT_SIGPENDING":
    case "RLIMIT_STACK":
      return true;
    default:
      return false;
  }
}

function isRlimits2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isType(o.type)) return false;
  if (!isWhole(o.soft, 0, 18446744073709552000)) return false;
  if (!isWhole(o.hard, 0, 18446744073709552000)) return false;
  return true;
}

function isRlimits(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isRlimits2(item)) return false;
  return true;
}

function isPolicy(value: unknown): boolean {
  switch (value) {
    case "SCHED_OTHER":
    case "SCHED_FIFO":
    case "SCHED_RR":
    case "SCHED_BATCH":
    case "SCHED_ISO":
    case "SCHED_IDLE":
    case "SCHED_DEADLINE":
      return true;
    default:
      return false;
  }
}

function isFlags2(value: unknown): boolean {
  switch (value) {
    case "SCHED_FLAG_RESET_ON_FORK":
    case "SCHED_FLAG_RECLAIM":
    case "SCHED_FLAG_DL_OVERRUN":
    case "SCHED_FLAG_KEEP_POLICY":
    case "SCHED_FLAG_KEEP_PARAMS":
    case "SCHED_FLAG_UTIL_CLAMP_MIN":
    case "SCHED_FLAG_UTIL_CLAMP_MAX":
      return true;
    default:
      return false;
  }
}

function isFlags(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isFlags2(item)) return false;
  return true;
}

function isScheduler(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isPolicy(o.policy)) return false;
  if (o.nice !== undefined && !isWhole(o.nice, -20, 19)) return false;
  if (o.priority !== undefined && !isWhole(o.priority, 0, 99)) return false;
  if (o.flags !== undefined && !isFlags(o.flags)) return false;
  if (o.runtime !== undefined && !isWhole(o.runtime, 0, 18446744073709552000)) return false;
  if (o.deadline !== undefined && !isWhole(o.deadline, 0, 18446744073709552000)) return false;
  if (o.period !== undefined && !isWhole(o.period, 0, 18446744073709552000)) return false;
  return true;
}

function isClass(value: unknown): boolean {
  switch (value) {
    case "IOPRIO_CLASS_RT":
    case "IOPRIO_CLASS_BE":
    case "IOPRIO_CLASS_IDLE":
      return true;
    default:
      return false;
  }
}

function isIoPriority(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isClass(o.class)) return false;
  if (o.priority !== undefined && !isWhole(o.priority, 0, 7)) return false;
  return true;
}

function isExecCPUAffinity(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.initial !== undefined && typeof o.initial !== "string") return false;
  if (o.final !== undefined && typeof o.final !== "string") return false;
  return true;
}

function isProcess(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.terminal !== undefined && typeof o.terminal !== "boolean") return false;
  if (o.consoleSize !== undefined && !isConsoleSize(o.consoleSize)) return false;
  if (o.user !== undefined && !isUser(o.user)) return false;
  if (o.args !== undefined && !isArgs(o.args)) return false;
  if (o.commandLine !== undefined && typeof o.commandLine !== "string") return false;
  if (o.env !== undefined && !isArgs(o.env)) return false;
  if (typeof o.cwd !== "string") return false;
  if (o.capabilities !== undefined && !isCapabilities(o.capabilities)) return false;
  if (o.rlimits !== undefined && !isRlimits(o.rlimits)) return false;
  if (o.noNewPrivileges !== undefined && typeof o.noNewPrivileges !== "boolean") return false;
  if (o.apparmorProfile !== undefined && typeof o.apparmorProfile !== "string") return false;
  if (o.selinuxLabel !== undefined && typeof o.selinuxLabel !== "string") return false;
  if (o.oomScoreAdj !== undefined && !isWhole(o.oomScoreAdj, -1000, 1000)) return false;
  if (o.scheduler !== undefined && !isScheduler(o.scheduler)) return false;
  if (o.ioPriority !== undefined && !isIoPriority(o.ioPriority)) return false;
  if (o.execCPUAffinity !== undefined && !isExecCPUAffinity(o.execCPUAffinity)) return false;
  return true;
}

function isUidMappings2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isWhole(o.containerID, 0, 4294967294)) return false;
  if (!isWhole(o.hostID, 0, 4294967294)) return false;
  if (!isWhole(o.size, 1, 4294967295)) return false;
  return true;
}

function isUidMappings(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isUidMappings2(item)) return false;
  return true;
}

function isMounts2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (typeof o.destination !== "string") return false;
  if (o.type !== undefined && typeof o.type !== "string") return false;
  if (o.source !== undefined && typeof o.source !== "string") return false;
  if (o.options !== undefined && !isArgs(o.options)) return false;
  if (o.uidMappings !== undefined && !isUidMappings(o.uidMappings)) return false;
  if (o.gidMappings !== undefined && !isUidMappings(o.gidMappings)) return false;
  return true;
}

function isMounts(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isMounts2(item)) return false;
  return true;
}

function isPrestart2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (typeof o.path !== "string") return false;
  if (o.args !== undefined && !isArgs(o.args)) return false;
  if (o.env !== undefined && !isArgs(o.env)) return false;
  if (o.timeout !== undefined && !isWhole(o.timeout, -9223372036854776000, 9223372036854776000)) return false;
  return true;
}

function isPrestart(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isPrestart2(item)) return false;
  return true;
}

function isHooks(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.prestart !== undefined && !isPrestart(o.prestart)) return false;
  if (o.createRuntime !== undefined && !isPrestart(o.createRuntime)) return false;
  if (o.createContainer !== undefined && !isPrestart(o.createContainer)) return false;
  if (o.startContainer !== undefined && !isPrestart(o.startContainer)) return false;
  if (o.poststart !== undefined && !isPrestart(o.poststart)) return false;
  if (o.poststop !== undefined && !isPrestart(o.poststop)) return false;
  return true;
}

function isAnnotations(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const item of Object.values(value)) if (typeof item !== "string") return false;
  return true;
}

function isType2(value: unknown): boolean {
  switch (value) {
    case "pid":
    case "network":
    case "mount":
    case "ipc":
    case "uts":
    case "user":
    case "cgroup":
    case "time":
      return true;
    default:
      return false;
  }
}

function isNamespaces2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isType2(o.type)) return false;
  if (o.path !== undefined && typeof o.path !== "string") return false;
  return true;
}

function isNamespaces(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isNamespaces2(item)) return false;
  return true;
}

function isTimeOffsets2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.secs !== undefined && !isWhole(o.secs, -9223372036854776000, 9223372036854776000)) return false;
  if (o.nanosecs !== undefined && !isWhole(o.nanosecs, 0, 4294967295)) return false;
  return true;
}

function isTimeOffsets(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const item of Object.values(value)) if (!isTimeOffsets2(item)) return false;
  return true;
}

function isType3(value: unknown): boolean {
  switch (value) {
    case "b":
    case "c":
    case "u":
    case "p":
      return true;
    default:
      return false;
  }
}

function isDevices2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isType3(o.type)) return false;
  if (typeof o.path !== "string") return false;
  if (o.major !== undefined && !isWhole(o.major, -9223372036854776000, 9223372036854776000)) return false;
  if (o.minor !== undefined && !isWhole(o.minor, -9223372036854776000, 9223372036854776000)) return false;
  if (o.fileMode !== undefined && !isWhole(o.fileMode, 0, 65535)) return false;
  if (o.uid !== undefined && !isWhole(o.uid, 0, 4294967294)) return false;
  if (o.gid !== undefined && !isWhole(o.gid, 0, 4294967294)) return false;
  return true;
}

function isDevices(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isDevices2(item)) return false;
  return true;
}

function isNetDevices2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.name !== undefined && typeof o.name !== "string") return false;
  return true;
}

function isNetDevices(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const item of Object.values(value)) if (!isNetDevices2(item)) return false;
  return true;
}

function isType4(value: unknown): boolean {
  switch (value) {
    case "a":
    case "b":
    case "c":
      return true;
    default:
      return false;
  }
}

function isDevices4(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (typeof o.allow !== "boolean") return false;
  if (o.type !== undefined && !isType4(o.type)) return false;
  if (o.major !== undefined && !isWhole(o.major, -9223372036854776000, 9223372036854776000)) return false;
  if (o.minor !== undefined && !isWhole(o.minor, -9223372036854776000, 9223372036854776000)) return false;
  if (o.access !== undefined && typeof o.access !== "string") return false;
  return true;
}

function isDevices3(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isDevices4(item)) return false;
  return true;
}

function isMemory(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.limit !== undefined && !isWhole(o.limit, -9223372036854776000, 9223372036854776000)) return false;
  if (o.reservation !== undefined && !isWhole(o.reservation, -9223372036854776000, 9223372036854776000))
    return false;
  if (o.swap !== undefined && !isWhole(o.swap, -9223372036854776000, 9223372036854776000)) return false;
  if (o.kernel !== undefined && !isWhole(o.kernel, -9223372036854776000, 9223372036854776000)) return false;
  if (o.kernelTCP !== undefined && !isWhole(o.kernelTCP, -9223372036854776000, 9223372036854776000))
    return false;
  if (o.swappiness !== undefined && !isWhole(o.swappiness, 0, 100)) return false;
  if (o.disableOOMKiller !== undefined && typeof o.disableOOMKiller !== "boolean") return false;
  if (o.useHierarchy !== undefined && typeof o.useHierarchy !== "boolean") return false;
  if (o.checkBeforeUpdate !== undefined && typeof o.checkBeforeUpdate !== "boolean") return false;
  return true;
}

function isCpu(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.shares !== undefined && !isWhole(o.shares, 0, 18446744073709552000)) return false;
  if (o.quota !== undefined && !isWhole(o.quota, -9223372036854776000, 9223372036854776000)) return false;
  if (o.burst !== undefined && !isWhole(o.burst, 0, 18446744073709552000)) return false;
  if (o.period !== undefined && !isWhole(o.period, 0, 18446744073709552000)) return false;
  if (
    o.realtimeRuntime !== undefined &&
    !isWhole(o.realtimeRuntime, -9223372036854776000, 9223372036854776000)
  )
    return false;
  if (o.realtimePeriod !== undefined && !isWhole(o.realtimePeriod, 0, 18446744073709552000)) return false;
  if (o.cpus !== undefined && typeof o.cpus !== "string") return false;
  if (o.mems !== undefined && typeof o.mems !== "string") return false;
  if (o.idle !== undefined && !isWhole(o.idle, 0, 1)) return false;
  return true;
}

function isPids(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.limit !== undefined && !isWhole(o.limit, -9223372036854776000, 9223372036854776000)) return false;
  return true;
}

function isWeightDevice2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isWhole(o.major, -9223372036854776000, 9223372036854776000)) return false;
  if (!isWhole(o.minor, -9223372036854776000, 9223372036854776000)) return false;
  if (o.weight !== undefined && !isWhole(o.weight, 0, 1000)) return false;
  if (o.leafWeight !== undefined && !isWhole(o.leafWeight, 0, 1000)) return false;
  return true;
}

function isWeightDevice(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isWeightDevice2(item)) return false;
  return true;
}

function isThrottleReadBpsDevice2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isWhole(o.major, -9223372036854776000, 9223372036854776000)) return false;
  if (!isWhole(o.minor, -9223372036854776000, 9223372036854776000)) return false;
  if (!isWhole(o.rate, 0, 18446744073709552000)) return false;
  return true;
}

function isThrottleReadBpsDevice(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isThrottleReadBpsDevice2(item)) return false;
  return true;
}

function isBlockIO(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.weight !== undefined && !isWhole(o.weight, 0, 1000)) return false;
  if (o.leafWeight !== undefined && !isWhole(o.leafWeight, 0, 1000)) return false;
  if (o.weightDevice !== undefined && !isWeightDevice(o.weightDevice)) return false;
  if (o.throttleReadBpsDevice !== undefined && !isThrottleReadBpsDevice(o.throttleReadBpsDevice))
    return false;
  if (o.throttleWriteBpsDevice !== undefined && !isThrottleReadBpsDevice(o.throttleWriteBpsDevice))
    return false;
  if (o.throttleReadIOPSDevice !== undefined && !isThrottleReadBpsDevice(o.throttleReadIOPSDevice))
    return false;
  if (o.throttleWriteIOPSDevice !== undefined && !isThrottleReadBpsDevice(o.throttleWriteIOPSDevice))
    return false;
  return true;
}

function isHugepageLimits2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (typeof o.pageSize !== "string") return false;
  if (!isWhole(o.limit, 0, 18446744073709552000)) return false;
  return true;
}

function isHugepageLimits(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isHugepageLimits2(item)) return false;
  return true;
}

function isPriorities2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (typeof o.name !== "string") return false;
  if (!isWhole(o.priority, 0, 4294967295)) return false;
  return true;
}

function isPriorities(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isPriorities2(item)) return false;
  return true;
}

function isNetwork(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.classID !== undefined && !isWhole(o.classID, 0, 4294967295)) return false;
  if (o.priorities !== undefined && !isPriorities(o.priorities)) return false;
  return true;
}

function isRdma2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.hcaHandles !== undefined && !isWhole(o.hcaHandles, 0, 4294967295)) return false;
  if (o.hcaObjects !== undefined && !isWhole(o.hcaObjects, 0, 4294967295)) return false;
  return true;
}

function isRdma(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const item of Object.values(value)) if (!isRdma2(item)) return false;
  return true;
}

function isUnified(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const item of Object.values(value)) if (typeof item !== "string") return false;
  return true;
}

function isResources(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.devices !== undefined && !isDevices3(o.devices)) return false;
  if (o.memory !== undefined && !isMemory(o.memory)) return false;
  if (o.cpu !== undefined && !isCpu(o.cpu)) return false;
  if (o.pids !== undefined && !isPids(o.pids)) return false;
  if (o.blockIO !== undefined && !isBlockIO(o.blockIO)) return false;
  if (o.hugepageLimits !== undefined && !isHugepageLimits(o.hugepageLimits)) return false;
  if (o.network !== undefined && !isNetwork(o.network)) return false;
  if (o.rdma !== undefined && !isRdma(o.rdma)) return false;
  if (o.unified !== undefined && !isUnified(o.unified)) return false;
  return true;
}

function isIntelRdt(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.closID !== undefined && typeof o.closID !== "string") return false;
  if (o.schemata !== undefined && !isArgs(o.schemata)) return false;
  if (o.l3CacheSchema !== undefined && typeof o.l3CacheSchema !== "string") return false;
  if (o.memBwSchema !== undefined && typeof o.memBwSchema !== "string") return false;
  if (o.enableMonitoring !== undefined && typeof o.enableMonitoring !== "boolean") return false;
  if (o.enableCMT !== undefined && typeof o.enableCMT !== "boolean") return false;
  if (o.enableMBM !== undefined && typeof o.enableMBM !== "boolean") return false;
  return true;
}

function isSysctl(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const item of Object.values(value)) if (typeof item !== "string") return false;
  return true;
}

function isDefaultAction(value: unknown): boolean {
  switch (value) {
    case "SCMP_ACT_KILL":
    case "SCMP_ACT_KILL_PROCESS":
    case "SCMP_ACT_KILL_THREAD":
    case "SCMP_ACT_TRAP":
    case "SCMP_ACT_ERRNO":
    case "SCMP_ACT_TRACE":
    case "SCMP_ACT_ALLOW":
    case "SCMP_ACT_LOG":
    case "SCMP_ACT_NOTIFY":
    case "":
      return true;
    default:
      return false;
  }
}

function isArchitectures2(value: unknown): boolean {
  switch (value) {
    case "SCMP_ARCH_AARCH64":
    case "SCMP_ARCH_ARM":
    case "SCMP_ARCH_LOONGARCH64":
    case "SCMP_ARCH_M68K":
    case "SCMP_ARCH_MIPS":
    case "SCMP_ARCH_MIPS64":
    case "SCMP_ARCH_MIPS64N32":
    case "SCMP_ARCH_MIPSEL":
    case "SCMP_ARCH_MIPSEL64":
    case "SCMP_ARCH_MIPSEL64N32":
    case "SCMP_ARCH_PARISC":
    case "SCMP_ARCH_PARISC64":
    case "SCMP_ARCH_PPC":
    case "SCMP_ARCH_PPC64":
    case "SCMP_ARCH_PPC64LE":
    case "SCMP_ARCH_RISCV64":
    case "SCMP_ARCH_S390":
    case "SCMP_ARCH_S390X":
    case "SCMP_ARCH_SH":
    case "SCMP_ARCH_SHEB":
    case "SCMP_ARCH_X32":
    case "SCMP_ARCH_X86":
    case "SCMP_ARCH_X86_64":
      return true;
    default:
      return false;
  }
}

function isArchitectures(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isArchitectures2(item)) return false;
  return true;
}

function isFlags4(value: unknown): boolean {
  switch (value) {
    case "SECCOMP_FILTER_FLAG_TSYNC":
    case "SECCOMP_FILTER_FLAG_LOG":
    case "SECCOMP_FILTER_FLAG_SPEC_ALLOW":
    case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
      return true;
    default:
      return false;
  }
}

function isFlags3(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isFlags4(item)) return false;
  return true;
}

function isAction(value: unknown): boolean {
  switch (value) {
    case "SCMP_ACT_KILL":
    case "SCMP_ACT_KILL_PROCESS":
    case "SCMP_ACT_KILL_THREAD":
    case "SCMP_ACT_TRAP":
    case "SCMP_ACT_ERRNO":
    case "SCMP_ACT_TRACE":
    case "SCMP_ACT_ALLOW":
    case "SCMP_ACT_LOG":
    case "SCMP_ACT_NOTIFY":
      return true;
    default:
      return false;
  }
}

function isOp(value: unknown): boolean {
  switch (value) {
    case "SCMP_CMP_NE":
    case "SCMP_CMP_LT":
    case "SCMP_CMP_LE":
    case "SCMP_CMP_EQ":
    case "SCMP_CMP_GE":
    case "SCMP_CMP_GT":
    case "SCMP_CMP_MASKED_EQ":
      return true;
    default:
      return false;
  }
}

function isArgs3(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isWhole(o.index, 0, 4294967295)) return false;
  if (!isWhole(o.value, 0, 18446744073709552000)) return false;
  if (o.valueTwo !== undefined && !isWhole(o.valueTwo, 0, 18446744073709552000)) return false;
  if (!isOp(o.op)) return false;
  return true;
}

function isArgs2(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isArgs3(item)) return false;
  return true;
}

function isSyscalls2(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isArgs(o.names)) return false;
  if (!isAction(o.action)) return false;
  if (o.errnoRet !== undefined && !isWhole(o.errnoRet, 0, 4294967295)) return false;
  if (o.args !== undefined && !isArgs2(o.args)) return false;
  return true;
}

function isSyscalls(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isSyscalls2(item)) return false;
  return true;
}

function isSeccomp(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (o.defaultAction !== undefined && !isDefaultAction(o.defaultAction)) return false;
  if (o.defaultErrnoRet !== undefined && !isWhole(o.defaultErrnoRet, 0, 4294967295)) return false;
  if (o.architectures !== undefined && !isArchitectures(o.architectures)) return false;
  if (o.flags !== undefined && !isFlags3(o.flags)) return false;
  if (o.listenerPath !== undefined && typeof o.listenerPath !== "string") return false;
  if (o.listenerMetadata !== undefined && typeof o.listenerMetadata !== "string") return false;
  if (o.syscalls !== undefined && !isSyscalls(o.syscalls)) return false;
  return true;
}

function isRootfsPropagation(value: unknown): boolean {
  switch (value) {
    case "private":
    case "rprivate":
    case "slave":
    case "rslave":
    case "shared":
    case "rshared":
    case "unbindable":
    case "runbindable":
      return true;
    default:
      return false;
  }
}

function isDomain(value: unknown): boolean {
  switch (value) {
    case "LINUX":
    case "LINUX32":
      return true;
    default:
      return false;
  }
}

function isPersonality(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isDomain(o.domain)) return false;
  if (o.flags !== undefined && !isArgs(o.flags)) return false;
  return true;
}

function isMode(value: unknown): boolean {
  switch (value) {
    case "MPOL_DEFAULT":
    case "MPOL_BIND":
    case "MPOL_INTERLEAVE":
    case "MPOL_WEIGHTED_INTERLEAVE":
    case "MPOL_PREFERRED":
    case "MPOL_PREFERRED_MANY":
    case "MPOL_LOCAL":
      return true;
    default:
      return false;
  }
}

function isFlags6(value: unknown): boolean {
  switch (value) {
    case "MPOL_F_NUMA_BALANCING":
    case "MPOL_F_RELATIVE_NODES":
    case "MPOL_F_STATIC_NODES":
      return true;
    default:
      return false;
  }
}

function isFlags5(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (!isFlags6(item)) return false;
  return true;
}

function isMemoryPolicy(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isMode(o.mode)) return false;
  if (o.nodes !== undefined && typeof o.nodes !== "string") return false;
  if (o.flags !== undefined && !isFlags5(o.flags)) return false;
  return true;
}

function isLinux(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (!isNamespaces(o.namespaces)) return false;
  if (o.uidMappings !== undefined && !isUidMappings(o.uidMappings)) return false;
  if (o.gidMappings !== undefined && !isUidMappings(o.gidMappings)) return false;
  if (o.timeOffsets !== undefined && !isTimeOffsets(o.timeOffsets)) return false;
  if (o.devices !== undefined && !isDevices(o.devices)) return false;
  if (o.netDevices !== undefined && !isNetDevices(o.netDevices)) return false;
  if (o.cgroupsPath !== undefined && typeof o.cgroupsPath !== "string") return false;
  if (o.resources !== undefined && !isResources(o.resources)) return false;
  if (o.intelRdt !== undefined && !isIntelRdt(o.intelRdt)) return false;
  if (o.sysctl !== undefined && !isSysctl(o.sysctl)) return false;
  if (o.seccomp !== undefined && !isSeccomp(o.seccomp)) return false;
  if (o.rootfsPropagation !== undefined && !isRootfsPropagation(o.rootfsPropagation)) return false;
  if (o.maskedPaths !== undefined && !isArgs(o.maskedPaths)) return false;
  if (o.readonlyPaths !== undefined && !isArgs(o.readonlyPaths)) return false;
  if (o.mountLabel !== undefined && typeof o.mountLabel !== "string") return false;
  if (o.personality !== undefined && !isPersonality(o.personality)) return false;
  if (o.memoryPolicy !== undefined && !isMemoryPolicy(o.memoryPolicy)) return false;
  return true;
}

function isSpec(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const o = value as Record<string, unknown>;
  if (typeof o.ociVersion !== "string") return false;
  if (!isRoot(o.root)) return false;
  if (o.process !== undefined && !isProcess(o.process)) return false;
  if (o.hostname !== undefined && typeof o.hostname !== "string") return false;
  if (o.domainname !== undefined && typeof o.domainname !== "string") return false;
  if (o.mounts !== undefined && !isMounts(o.mounts)) return false;
  if (o.hooks !== undefined && !isHooks(o.hooks)) return false;
  if (o.annotations !== undefined && !isAnnotations(o.annotations)) return false;
  if (!isLinux(o.linux)) return false;
  return true;
}

function isWhole(value: unknown, lowest: number, highest: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= lowest && value <= highest;
}
