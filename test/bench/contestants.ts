/** The runtimes that are compared: berth, and runc and crun when they are installed. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "../../src/spec/config.ts";
import { cgroupParent, must } from "./host.ts";

const project = join(import.meta.dirname, "../..");

/** The root file system of all containers. */
export const rootfs = join(project, "bundles/hello/rootfs");

export interface Contestant {
  readonly name: "berth" | "runc" | "crun";
  /** As it calls itself, "runc version 1.1.5+ds1". */
  readonly version: string;
  /** The program and the options that it always gets. */
  readonly command: readonly string[];
  /** What it does differently here from the others. */
  readonly note?: string;
}

/** Everything that can be compared on this machine. Makes what it needs under `work`. */
export function findContestants(work: string): Contestant[] {
  const paths = {
    berth: join(project, "dist/berth"),
    runc: Bun.which("runc"),
    crun: Bun.which("crun"),
  };
  const names = ["berth", "runc", "crun"] as const;
  return names.flatMap((name) => {
    const path = paths[name];
    if (path === null) return [];
    const version = must([path, "--version"]).split("\n")[0] ?? name;
    return [withCgroups(work, { name, version, command: [path] })];
  });
}

/**
 * crun before 1.9 raises RLIMIT_MEMLOCK to load its device program, which takes CAP_SYS_RESOURCE. Where that is missing it can
 * take part only without cgroups, that is with less to do.
 */
function withCgroups(work: string, contestant: Contestant): Contestant {
  if (contestant.name !== "crun") return contestant;
  const bundle = makeBundle(work, "probe", contestant);
  try {
    must([...contestant.command, "--root", join(work, "probe"), "run", "--bundle", bundle, "probe"]);
    return contestant;
  } catch (error) {
    if (!String(error).includes("RLIM_MEMLOCK")) throw error;
    return {
      ...contestant,
      command: [...contestant.command, "--cgroup-manager=disabled"],
      note: "without a cgroup: it cannot load a device program here (setrlimit RLIM_MEMLOCK needs CAP_SYS_RESOURCE)",
    };
  }
}

/**
 * A bundle of the default `spec` that runs a program, by default /bin/true. All contestants get the same one, from the first of them; each has its own
 * copy, as only the cgroup's path must differ between containers that exist at the same time.
 * @param change what else its config.json has
 */
export function makeBundle(
  work: string,
  name: string,
  first: Contestant,
  args: readonly string[] = ["/bin/true"],
  change: (spec: Spec) => void = () => {},
): string {
  const bundle = join(work, `bundle-${name}`);
  mkdirSync(bundle, { recursive: true });
  cpSync(rootfs, join(bundle, "rootfs"), {
    recursive: true,
    verbatimSymlinks: true,
  });
  must([...first.command, "spec", "--bundle", bundle]);
  const file = join(bundle, "config.json");
  const spec: Spec = JSON.parse(readFileSync(file, "utf8"));
  if (spec.process === undefined) throw new Error("the default spec has no process");
  spec.ociVersion = "1.0.2"; // crun 1.8 refuses newer ones
  spec.process.terminal = false;
  spec.process.args = [...args];
  spec.linux.cgroupsPath = `${cgroupParent}/${name}`;
  change(spec);
  writeFileSync(file, JSON.stringify(spec, null, 2));
  return bundle;
}
