import { BerthError } from "../errors.ts";
import { AT_EMPTY_PATH } from "../linux/constants.ts";
import { type FileStatus, tryStat } from "../linux/status.ts";
import type { Spec } from "../spec/config.ts";
import type { NamespaceType } from "../spec/linux.ts";
import { namespaceOfSysctl, sysctlPath } from "../spec/sysctl.ts";
import type { OpenNamespace } from "./namespaces.ts";

/** The files of /proc/self/ns for the namespaces that have settings. */
const FILES: Readonly<Partial<Record<NamespaceType, string>>> = { network: "net", ipc: "ipc", uts: "uts" };

/**
 * Refuses settings for a namespace that is joined by path and turns out to be berth's own: they would be the host's.
 * @throws BerthError "invalid-config"
 */
export function refuseOwnSettings(spec: Spec, opened: readonly OpenNamespace[]): void {
  for (const { path, type } of settings(spec)) {
    const namespace = opened.find((each) => each.joined.type === type);
    if (namespace === undefined || !isOwn(namespace)) continue;
    throw new BerthError("invalid-config", `${path}: ${namespace.subject} is berth's own`, {
      hint: `it would change the host: give the container ${type === "ipc" ? "an" : "a"} ${type} namespace of its own, or leave ${path} out`,
    });
  }
}

function settings({
  hostname,
  domainname,
  linux,
}: Spec): { path: string; type: NamespaceType | undefined }[] {
  const found: ReturnType<typeof settings> = [];
  if ((hostname ?? "") !== "") found.push({ path: "hostname", type: "uts" });
  if ((domainname ?? "") !== "") found.push({ path: "domainname", type: "uts" });
  for (const key in linux.sysctl) {
    found.push({ path: `linux.sysctl["${key}"]`, type: namespaceOfSysctl(sysctlPath(key)) });
  }
  return found;
}

function isOwn({ fd, joined }: OpenNamespace): boolean {
  const file = FILES[joined.type];
  if (file === undefined) return false;
  const [theirs, own] = [tryStat("", fd, AT_EMPTY_PATH), tryStat(`/proc/self/ns/${file}`)];
  return isStatus(theirs) && isStatus(own) && theirs.device === own.device && theirs.inode === own.inode;
}

const isStatus = (status: FileStatus | number): status is FileStatus => typeof status !== "number";
