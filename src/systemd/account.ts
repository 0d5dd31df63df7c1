import { readTextIfThere } from "../linux/file.ts";
import { effectiveIds } from "../linux/process.ts";
import type { ManagerKind } from "./unit.ts";

/** The systemd that makes units for this process: only the host's root may ask the system's. */
export function ownManager(): ManagerKind {
  return effectiveIds().uid === 0 && hostUser(0) === 0 ? "system" : "user";
}

/** The user outside of this user namespace who is `uid` in here; man 7 user_namespaces. One that nobody is stays itself. */
export function hostUser(uid: number, map = readTextIfThere("/proc/self/uid_map") ?? ""): number {
  for (const line of map.split("\n")) {
    const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (uid >= inside && uid < inside + count) return outside + uid - inside;
  }
  return uid;
}
