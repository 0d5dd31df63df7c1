import { BerthError } from "../errors.ts";
import { findInPath } from "../linux/find.ts";
import { effectiveIds } from "../linux/process.ts";
import { mappedId } from "../namespaces/id-maps.ts";
import { automaticMappings, subordinateRanges } from "../namespaces/subordinate-ids.ts";
import { describeWriters, isOnly, planMapWriters, writeMaps } from "../namespaces/user-maps.ts";
import type { Action } from "../plan/explain.ts";
import { scoreKeeper } from "../process/own-score.ts";
import type { Spec } from "../spec/config.ts";
import type { IdMapping, Linux } from "../spec/linux.ts";
import { hasNewNamespace, namespaceOf } from "../spec/namespaces.ts";
import type { Bundle } from "./bundle.ts";

/*
 * What berth makes of a config.json when its caller is not root. Loaded only then.
 */

/** What is done in its own way for a caller who is not root. */
export interface User {
  /** Writes the id maps of the container's new user namespace, if it has one. @throws BerthError */
  writeMaps(pid: number): void;
  /** The same, for `berth explain`. */
  mapActions(): Action[];
  /**
   * Takes on the container's OOM score, for the process that is started next to inherit it: the files of a process whose user is
   * another are not the caller's to write. @param warn is told of one that only root may give
   */
  takeScore(score: number | undefined, warn: (message: string) => void): void;
  /** Takes back one's own score, once the container's process has executed: until then they share it. */
  resetScore(): void;
}

/**
 * The bundle as a caller who is not root can have it.
 * @throws BerthError "invalid-config", "id-maps"
 */
export function forUser({ path, text, spec: asked }: Bundle, warn: (message: string) => void): Bundle {
  const spec = adaptToUser(asked, warn);
  const writers = hasNewNamespace(spec, "user") ? planMapWriters(spec.linux) : undefined;
  const user: User = {
    writeMaps: (pid) => {
      if (writers !== undefined) writeMaps(pid, writers);
    },
    mapActions: () => (writers === undefined ? [] : describeWriters(writers)),
    ...scoreKeeper(),
  };
  // What is saved, and read for every later process of the container, is what it got.
  return { path, text: spec === asked ? text : JSON.stringify(spec), spec, user };
}

/**
 * Gives a config.json what a caller without root cannot do without: a user namespace, and mappings for it when it has none. Its
 * root is then the caller, and the ids after 0 are those that /etc/subuid and /etc/subgid lend.
 * @throws BerthError "invalid-config" for what can be told now to be refused by the kernel
 */
function adaptToUser(spec: Spec, warn: (message: string) => void): Spec {
  let { linux } = spec;
  if (namespaceOf(spec, "user") === undefined) {
    warn("linux.namespaces has no user namespace, which a caller other than root needs: it gets one");
    linux = { ...linux, namespaces: [...linux.namespaces, { type: "user" }] };
  }
  let adapted: Spec = linux === spec.linux ? spec : { ...spec, linux };
  if (!hasNewNamespace(adapted, "user")) return adapted;
  if ((linux.uidMappings?.length ?? 0) + (linux.gidMappings?.length ?? 0) === 0) {
    adapted = { ...spec, linux: { ...linux, ...automaticMaps() } };
  }
  refuseUnmapped(adapted);
  return adapted;
}

/** Without the two programs, a user can map no id but its own. */
function automaticMaps(): Pick<Linux, "uidMappings" | "gidMappings"> {
  const { uid, gid } = effectiveIds();
  const both = findInPath("newuidmap") !== undefined && findInPath("newgidmap") !== undefined;
  const [uids, gids] = both ? [subordinateRanges("uid", uid), subordinateRanges("gid", uid)] : [[], []];
  return { uidMappings: automaticMappings(uid, uids), gidMappings: automaticMappings(gid, gids) };
}

function refuseUnmapped({ process, mounts = [], linux: { uidMappings = [], gidMappings = [] } }: Spec): void {
  const { uid = 0, gid = 0, additionalGids = [] } = process?.user ?? {};
  check("process.user.uid", "uid", uid, uidMappings);
  check("process.user.gid", "gid", gid, gidMappings);
  if (additionalGids.length > 0 && isOnly(effectiveIds().gid, gidMappings)) {
    throw new BerthError(
      "invalid-config",
      "process.user.additionalGids: a user without newgidmap cannot set groups: its user namespace denies setgroups",
      { hint: "leave them out, or map more groups, which newgidmap does with those of /etc/subgid" },
    );
  }
  additionalGids.forEach((id, i) => {
    check(`process.user.additionalGids[${i}]`, "gid", id, gidMappings);
  });
  mounts.forEach(({ options = [] }, i) => {
    for (const option of options.flatMap((text) => text.split(","))) {
      const match = /^(uid|gid)=(\d+)$/.exec(option);
      if (match === null) continue;
      const kind = match[1] === "uid" ? "uid" : "gid";
      const mappings = kind === "uid" ? uidMappings : gidMappings;
      check(`mounts[${i}] option "${option}"`, kind, Number(match[2]), mappings);
    }
  });
}

function check(at: string, kind: "uid" | "gid", id: number, mappings: readonly IdMapping[]): void {
  if (mappedId(id, mappings) !== undefined) return;
  throw new BerthError("invalid-config", `${at}: ${kind} ${id} is not mapped in the container`, {
    hint: `linux.${kind}Mappings must cover it; with newuidmap, newgidmap and ids from /etc/sub${kind} a user can map more than one`,
  });
}
