import type { Spec } from "../config.ts";
import { parseList } from "../list.ts";
import { each, type Report } from "../problem.ts";

// process. Runtime-spec 1.3, config.md "Process" and "Linux Process".

export function checkArgs({ process }: Spec, report: Report): void {
  if (process === undefined || (process.args !== undefined && process.args.length > 0)) return;
  report("process.args", process.args, "a list that begins with the program to run");
}

export function checkCwd({ process }: Spec, report: Report): void {
  if (process === undefined || process.cwd.startsWith("/")) return;
  report("process.cwd", process.cwd, "an absolute path");
}

export function checkEnv({ process }: Spec, report: Report): void {
  checkEnvironment("process.env", process?.env, report);
}

/** Every entry of an environment is NAME=VALUE. */
export function checkEnvironment(path: string, env: readonly string[] | undefined, report: Report): void {
  each(env, (entry, i) => {
    if (entry.indexOf("=") < 1) report(`${path}[${i}]`, entry, "NAME=VALUE");
  });
}

export function checkRlimits({ process }: Spec, report: Report): void {
  const seen: string[] = [];
  each(process?.rlimits, ({ type, soft, hard }, i) => {
    if (seen.includes(type)) report(`process.rlimits[${i}].type`, type, "each type once");
    seen.push(type);
    if (soft > hard) report(`process.rlimits[${i}].soft`, soft, `at most hard, ${hard}`);
  });
}

/** What sched_setattr(2) would refuse. */
export function checkScheduler({ process }: Spec, report: Report): void {
  const scheduler = process?.scheduler;
  if (scheduler === undefined) return;
  const { policy, priority, runtime = 0, deadline = 0, period = 0 } = scheduler;
  const refuse = (key: keyof typeof scheduler, allowed: string) =>
    report(`process.scheduler.${key}`, scheduler[key], allowed);

  const isRealTime = policy === "SCHED_FIFO" || policy === "SCHED_RR";
  if (isRealTime && (priority ?? 0) < 1) refuse("priority", `1 to 99 with ${policy}`);
  if (!isRealTime && (priority ?? 0) !== 0) refuse("priority", "0, except with SCHED_FIFO and SCHED_RR");

  if (policy === "SCHED_DEADLINE") {
    if (runtime < 1024) refuse("runtime", "at least 1024 nanoseconds with SCHED_DEADLINE");
    if (deadline === 0 || deadline < runtime) refuse("deadline", "nanoseconds, not less than runtime");
    // A period of 0 is the kernel's way to say "the same as deadline".
    if (period !== 0 && period < deadline) refuse("period", "nanoseconds, not less than deadline");
  } else {
    for (const key of ["runtime", "deadline", "period"] as const) {
      if ((scheduler[key] ?? 0) !== 0) refuse(key, "only with SCHED_DEADLINE");
    }
  }
}

export function checkCpuAffinity({ process }: Spec, report: Report): void {
  const affinity = process?.execCPUAffinity;
  if (affinity === undefined) return;
  for (const key of ["initial", "final"] as const) {
    const cpus = affinity[key] ?? "";
    if (parseList(cpus) !== undefined) continue;
    report(`process.execCPUAffinity.${key}`, cpus, 'a list of CPUs such as "0-3,7"');
  }
}
