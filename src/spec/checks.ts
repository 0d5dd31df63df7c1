import { checkCgroupsPath, checkDeviceRules, checkDevices } from "./checks/devices.ts";
import { checkMounts, checkProtectedPaths, checkRoot } from "./checks/filesystem.ts";
import { checkAnnotations, checkHooks, checkPersonality, checkVersion } from "./checks/general.ts";
import { checkIntelRdt, checkMemoryPolicy, checkNetDevices } from "./checks/hardware.ts";
import {
  checkIdMappings,
  checkNames,
  checkNamespaces,
  checkSysctl,
  checkTimeOffsets,
} from "./checks/namespaces.ts";
import {
  checkArgs,
  checkCpuAffinity,
  checkCwd,
  checkEnv,
  checkRlimits,
  checkScheduler,
} from "./checks/process.ts";
import {
  checkBlockIO,
  checkCpu,
  checkHugepageLimits,
  checkMemory,
  checkNetwork,
  checkPids,
  checkRdma,
  checkUnified,
} from "./checks/resources.ts";
import type { Spec } from "./config.ts";
import type { Problem, Report } from "./problem.ts";

/** What a shape cannot say: how the values of a config.json must fit together. */
interface Check {
  /** The parts of config.json that `check` looks at. */
  readonly reads: readonly string[];
  readonly check: (spec: Spec, report: Report) => void;
}

const CHECKS: readonly Check[] = [
  { reads: ["ociVersion"], check: checkVersion },
  { reads: ["root"], check: checkRoot },
  { reads: ["process.args"], check: checkArgs },
  { reads: ["process.cwd"], check: checkCwd },
  { reads: ["process.env"], check: checkEnv },
  { reads: ["process.rlimits"], check: checkRlimits },
  { reads: ["process.scheduler"], check: checkScheduler },
  { reads: ["process.execCPUAffinity"], check: checkCpuAffinity },
  { reads: ["hostname", "domainname", "linux.namespaces"], check: checkNames },
  { reads: ["mounts", "linux.namespaces"], check: checkMounts },
  { reads: ["hooks"], check: checkHooks },
  { reads: ["annotations"], check: checkAnnotations },
  { reads: ["linux.namespaces"], check: checkNamespaces },
  { reads: ["linux.uidMappings", "linux.gidMappings", "linux.namespaces"], check: checkIdMappings },
  { reads: ["linux.timeOffsets", "linux.namespaces"], check: checkTimeOffsets },
  { reads: ["linux.sysctl", "linux.namespaces"], check: checkSysctl },
  { reads: ["linux.devices"], check: checkDevices },
  { reads: ["linux.resources.devices"], check: checkDeviceRules },
  { reads: ["linux.resources.memory"], check: checkMemory },
  { reads: ["linux.resources.cpu"], check: checkCpu },
  { reads: ["linux.resources.pids"], check: checkPids },
  { reads: ["linux.resources.blockIO"], check: checkBlockIO },
  { reads: ["linux.resources.hugepageLimits"], check: checkHugepageLimits },
  { reads: ["linux.resources.network"], check: checkNetwork },
  { reads: ["linux.resources.rdma"], check: checkRdma },
  { reads: ["linux.resources.unified"], check: checkUnified },
  { reads: ["linux.cgroupsPath"], check: checkCgroupsPath },
  { reads: ["linux.maskedPaths", "linux.readonlyPaths"], check: checkProtectedPaths },
  { reads: ["linux.personality"], check: checkPersonality },
  { reads: ["linux.netDevices", "linux.namespaces"], check: checkNetDevices },
  { reads: ["linux.memoryPolicy"], check: checkMemoryPolicy },
  { reads: ["linux.intelRdt"], check: checkIntelRdt },
];

/**
 * The problems of all checks at once. `misshapen` are the places that do not have the shape of a Spec: a check that reads
 * one of them is left out, and all others still run, so that one mistake does not hide the rest.
 */
export function failedChecks(value: unknown, misshapen: readonly Problem[]): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, found, allowed) => problems.push({ path, found, allowed });
  for (const { reads, check } of CHECKS) {
    // What such a check reads has the type that Spec says; the rest of the value it does not touch.
    if (misshapen.length === 0 || !touches(reads, misshapen)) check(value as Spec, report);
  }
  return problems;
}

function touches(parts: readonly string[], places: readonly Problem[]): boolean {
  return parts.some((part) => places.some(({ path }) => isWithin(path, part) || isWithin(part, path)));
}

/** Whether `path` is `part` or below it. The empty path is the whole file. */
function isWithin(path: string, part: string): boolean {
  if (part === "" || path === part) return true;
  return path.startsWith(part) && (path[part.length] === "." || path[part.length] === "[");
}
