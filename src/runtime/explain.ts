import { cgroupAction, cgroupSteps, describeWrite, locateCgroup } from "../cgroups/cgroup.ts";
import { limitsWithout, loadLimits } from "../cgroups/limits/load.ts";
import { loadV1, type V1Room } from "../cgroups/v1/load.ts";
import { hasCode } from "../errors.ts";
import { hookSteps } from "../hooks/run.ts";
import type { NamespacePlan } from "../namespaces/namespaces.ts";
import { showNumber } from "../plan/constant-names.ts";
import { type Action, type ExplainedGroup, explainPlan, type Part } from "../plan/explain.ts";
import type { Descriptors } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import type { HookName, Spec } from "../spec/config.ts";
import { asksForSpecial } from "../spec/special.ts";
import { type Bundle, locateRootfs, readBundle } from "./bundle.ts";
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
  const bundle = await readBundle(options.bundle, options.config, options.warn);
  const { spec, user } = bundle;
  const cgroup = options.cgroups ? cgroupOf(spec, options) : null;
  const v1 = await loadV1(spec, options.id, cgroup);
  const all = await loadLimits(spec);
  const limits = all === undefined ? undefined : limitsWithout(all, v1?.controllers ?? []);
  const special = asksForSpecial(spec) ? await import("./special.ts") : undefined;
  const context = compileContext(options, bundle, locateRootfs(bundle), cgroup, special?.specialSteps);
  const plan = compile(spec, context);
  const hooks = (name: HookName, where: string) => hookParts(bundle, name, where);
  const [beforeHooks, afterHooks] = splitAtHooks(plan.init);
  const parts: Part[] = [
    {
      by: "berth",
      steps: cgroup === null ? [] : cgroupSteps(spec, cgroup, { rootless: options.rootless, limits }),
    },
    { by: "berth", steps: v1 === undefined ? [] : v1Actions(v1) },
    {
      by: "berth",
      steps: [
        ...startActions(plan.namespaces, cgroup?.path),
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

function cgroupOf(
  spec: Spec,
  { id, rootless, warn }: ExplainOptions,
): ReturnType<typeof locateCgroup> | null {
  try {
    return locateCgroup(spec, id, rootless);
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
