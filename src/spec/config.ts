import { array, boolean, object, optional, type output, record, string } from "zod/mini";
import { idMappings, linux } from "./linux.ts";
import { process } from "./process.ts";
import { int64, strings } from "./scalars.ts";

// The whole config.json of runtime-spec 1.3, Linux and the parts common to all platforms: the one place that says
// what berth knows. accepts.gen.ts is generated from here, and types are inferred from here; only what fails the
// generated check is ever given to zod, which then says why (problems.ts).

const mount = object({
  destination: string(),
  type: optional(string()),
  source: optional(string()),
  options: optional(strings),
  uidMappings: idMappings,
  gidMappings: idMappings,
});

const hook = object({
  path: string(),
  args: optional(strings),
  env: optional(strings),
  timeout: optional(int64),
});
const hookList = optional(array(hook));

export const hooks = object({
  prestart: hookList,
  createRuntime: hookList,
  createContainer: hookList,
  startContainer: hookList,
  poststart: hookList,
  poststop: hookList,
});

export const config = object({
  ociVersion: string(),
  root: object({ path: string(), readonly: optional(boolean()) }),
  process: optional(process),
  hostname: optional(string()),
  domainname: optional(string()),
  mounts: optional(array(mount)),
  hooks: optional(hooks),
  annotations: optional(record(string(), string())),
  linux,
});

/** A config.json whose shape is right. Nulls are gone: an absent property is never null. */
export type Spec = output<typeof config>;
export type Mount = output<typeof mount>;
export type Hook = output<typeof hook>;
export type Hooks = output<typeof hooks>;
export type HookName = keyof Hooks;
