import {
  cgroupAction,
  cgroupSteps,
  describeWrite,
  locateCgroup,
  restrictionSteps,
} from "../cgroups/cgroup.ts";
import { cgroup2Mount } from "../cgroups/hierarchy.ts";
import { limitsWithout, loadLimits } from "../cgroups/limits/load.ts";
import type { CgroupPlace } from "../cgroups/path.ts";
import { loadV1, type V1Room } from "../cgroups/v1/load.ts";
import { hasCode, isBerthError } from "../errors.ts";
import { hookSteps } from "../hooks/run.ts";
import { effectiveIds } from "../linux/process.ts";
import type { NamespacePlan } from "../namespaces/namespaces.ts";
import { showNumber } from "../plan/constant-names.ts";
import { type Action, type ExplainedGroup, explainPlan, type Part } from "../plan/explain.ts";
import type { Descriptors } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import { loadSeccomp } from "../process/seccomp/load.ts";
import type { HookName, Spec } from "../spec/config.ts";
import { namespaceOf } from "../spec/namespaces.ts";
import { asksForSpecial } from "../spec/special.ts";
import { type Bundle, forCaller, locateRootfs, readBundle } from "./bundle.ts";
import { compile } from "./compile.ts";
import { compileContext } from "./context.ts";
import type { CreateOptions } from "./create.ts";
import { stepsBeforeExecution, stepsBeforeStart } from "./init-actions.ts";

/** What `explain` is asked for: that part of `create`'s options of which the Plan depends. */
export type ExplainOptions = Pick<
  CreateOptions,
  "id" | "bundle" | "config" | "noPivot" | "noNewKeyring" | "preserveFds" | "cgroups" | "rootless" | "warn"
>;

/**
 * What creating and starting a container from this bundle would do, in its order. Does nothing of it, and needs no privilege.
 * @throws BerthError for what `create` would refuse before it does anything
 */
export async function explain(options: ExplainOptions): Promise<ExplainedGroup[]> {
  const bundle = await asCreated(
    await readBundle(options.bundle, options.config, options.warn),
    options.warn,
  );
  const { spec, user } = bundle;
  const unit =
    options.cgroups === "systemd"
      ? (await import("../systemd/explain.ts")).explainUnit(spec, options.id)
      : undefined;
  const cgroup = options.cgroups === "disabled" ? null : cgroupOf(spec, options, unit?.path);
  const v1 = unit === undefined ? await loadV1(spec, options.id, cgroup) : undefined;
  const all = await loadLimits(spec);
  const limits = all === undefined ? undefined : limitsWithout(all, v1?.controllers ?? []);
  const special = asksForSpecial(spec) ? await import("./special.ts") : undefined;
  const noNewPrivileges = spec.process?.noNewPrivileges === true;
  const seccomp = await loadSeccomp(spec, bundle.text, undefined, noNewPrivileges, options.warn);
  const context = compileContext(options, bundle, {
    rootfs: locateRootfs(bundle),
    cgroup,
    cgroupsOfV1: v1?.show(v1.places),
    special: special?.specialSteps,
    seccomp,
  });
  const plan = compile(spec, context);
  const hooks = (name: HookName, where: string) => hookParts(bundle, name, where);
  const [beforeHooks, afterHooks] = splitAtHooks(plan.init);
  const parts: Part[] = [
    {
      by: "berth",
      steps:
        cgroup === null || unit !== undefined
          ? []
          : cgroupSteps(spec, cgroup, { rootless: options.rootless, limits }),
    },
    { by: "berth", steps: v1 === undefined ? [] : v1Actions(v1) },
    {
      by: "berth",
      steps: [
        ...startActions(plan.namespaces, unit === undefined ? cgroup?.path : undefined),
        ...(unit?.actions ?? []),
        ...(cgroup === null || unit === undefined
          ? []
          : restrictionSteps(spec, cgroup, { rootless: options.rootless, limits })),
        ...(user?.mapActions() ?? stepsBeforeExecution(spec, plan.namespaces)),
      ],
    },
    { by: "berth", steps: special?.specialOutside(spec, options.id) ?? [] },
    { by: "init", steps: beforeHooks },
    ...hooks("prestart", "on the host"),
    ...hooks("createRuntime", "on the host"),
    ...hooks("createContainer", "in the container's namespaces"),
    { by: "init", steps: afterHooks },
    { by: "berth", steps: user === undefined ? stepsBeforeStart(spec) : [] },
    ...hooks("startContainer", "in the container, at start"),
    ...hooks("poststart", "on the host, after start"),
    ...hooks("poststop", "on the host, after delete"),
  ];
  return explainPlan(parts, descriptorNames(plan.descriptors));
}

/** What is meant for root can be looked at by others too: what has no user namespace, or mappings that are not theirs. */
async function asCreated(bundle: Bundle, warn: (message: string) => void): Promise<Bundle> {
  if (effectiveIds().uid !== 0 && namespaceOf(bundle.spec, "user") === undefined) return bundle;
  try {
    return await forCaller(bundle, warn);
  } catch (error) {
    if (effectiveIds().uid === 0 || !isBerthError(error)) throw error;
    warn(`explained as for root: ${error.message}`);
    return bundle;
  }
}

/** @param path of the cgroup, when it is not berth that makes it */
function cgroupOf(
  spec: Spec,
  { id, rootless, warn }: ExplainOptions,
  path: string | undefined,
): CgroupPlace | null {
  try {
    return path === undefined ? locateCgroup(spec, id, rootless) : { mount: cgroup2Mount(), path };
  } catch (error) {
    // A Plan can be looked at on any machine, though it could not be carried out on this one.
    if (!hasCode(error, "no-cgroup2")) throw error;
    warn(`explained without a cgroup: ${error.message}`);
    return null;
  }
}

function v1Actions({ places, writes }: V1Room): Action[] {
  return [
    ...places.map(({ mount, path }) =>
      cgroupAction("linux.cgroupsPath", `${mount}${path}`, "make the cgroup of v1, for init to join"),
    ),
    ...writes.map(describeWrite),
  ];
}

/** What native/spawn.c does: it is no part of a Plan, because no Plan can run before it. */
function startActions({ joined, cloneFlags }: NamespacePlan, cgroup: string | undefined): Action[] {
  const action = (path: string, what: string): Action => ({
    kind: "action",
    phase: "namespaces",
    path,
    subject: "",
    what,
  });
  const into = cgroup === undefined ? "" : `, CLONE_INTO_CGROUP "${cgroup}"`;
  return [
    ...joined.map(({ type, path, configPath }) => action(configPath, `join the ${type} namespace "${path}"`)),
    action(
      "linux.namespaces",
      `start init: clone3 with ${showNumber(cloneFlags, { flags: ["CLONE_NEW*"] })}${into}, then execute the sealed executor`,
    ),
  ];
}

/** Where init waits for hooks to be run. */
function splitAtHooks(steps: readonly Step[]): [before: readonly Step[], after: readonly Step[]] {
  const first = steps.findIndex((step) => step.kind !== "mark" && step.phase === "hooks");
  if (first < 0) return [steps, []];
  const length = steps.slice(first).findIndex((step) => step.kind !== "mark" && step.phase !== "hooks");
  const end = length < 0 ? steps.length : first + length;
  return [steps.slice(0, end), steps.slice(end)];
}

function hookParts({ spec, path }: Bundle, name: HookName, where: string): Part[] {
  const directory = where.startsWith("in ") ? undefined : path;
  return (spec.hooks?.[name] ?? []).map((hook, i) => ({
    by: `hook, ${where}`,
    steps: hookSteps(`hooks.${name}[${i}]`, hook, directory),
  }));
}

function descriptorNames(descriptors: Descriptors): Map<number, string> {
  const { preserved, ...numbers } = descriptors;
  const names = new Map<number, string>([
    [0, "stdin"],
    [1, "stdout"],
    [2, "stderr"],
  ]);
  for (let fd = 3; fd < 3 + preserved; fd++) names.set(fd, "inherited");
  for (const [name, fd] of Object.entries(numbers)) names.set(fd, name);
  return names;
}
