import type { Spec } from "../config.ts";
import { each, type Report } from "../problem.ts";
import { checkEnvironment } from "./process.ts";

// What belongs to no larger section. Runtime-spec 1.3, config.md.

// semver.org: three numbers, a pre-release, a build.
const VERSION = /^(\d+)\.(\d+)\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;

/** "If a runtime does not support the major version, it MUST generate an error" is what config.md asks for. */
export function checkVersion({ ociVersion }: Spec, report: Report): void {
  if (VERSION.exec(ociVersion)?.[1] === "1") return;
  report("ociVersion", ociVersion, 'a version 1.x.y, such as "1.3.0"');
}

/** The minor number of a version that {@link checkVersion} accepts. */
export function minorVersion(ociVersion: string): number {
  return Number(VERSION.exec(ociVersion)?.[2]);
}

// Not the keys that are there: config.json may have properties that are no hooks.
const HOOK_NAMES = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

export function checkHooks({ hooks }: Spec, report: Report): void {
  if (hooks === undefined) return;
  for (const name of HOOK_NAMES) {
    each(hooks[name], (hook, i) => {
      const at = `hooks.${name}[${i}]`;
      if (!hook.path.startsWith("/")) report(`${at}.path`, hook.path, "an absolute path");
      checkEnvironment(`${at}.env`, hook.env, report);
      if ((hook.timeout ?? 1) <= 0) report(`${at}.timeout`, hook.timeout, "seconds, more than 0");
    });
  }
}

export function checkAnnotations({ annotations }: Spec, report: Report): void {
  if (annotations?.[""] !== undefined) report("annotations", "", "keys that are not empty");
}

export function checkPersonality({ linux: { personality } }: Spec, report: Report): void {
  const flags = personality?.flags;
  if (flags === undefined || flags.length === 0) return;
  report("linux.personality.flags", flags, "none: runtime-spec defines no flags yet");
}
