import { readTextIfThere } from "./file.ts";

/** What names this file where it is mounted; root alone may read it. */
const PROFILES = "/sys/kernel/security/apparmor/profiles";

/** Whether the kernel has AppArmor, and its boot options have not left it out. */
export function isAppArmorEnabled(): boolean {
  return readTextIfThere("/sys/module/apparmor/parameters/enabled")?.startsWith("Y") === true;
}

/** The AppArmor profiles that are loaded, or undefined when securityfs is not there to tell. */
export function loadedProfiles(): string[] | undefined {
  const text = readIfAllowed(PROFILES);
  // "name (mode)"; a name may hold blanks.
  return text?.split("\n").flatMap((line) => /^(.+) \([a-z]+\)$/.exec(line)?.[1] ?? []);
}

/** Whether the kernel has SELinux, and its boot options have not left it out: only then does it register its file system. */
export function isSelinuxEnabled(): boolean {
  return readTextIfThere("/proc/filesystems")?.includes("\tselinuxfs\n") === true;
}

function readIfAllowed(path: string): string | undefined {
  try {
    return readTextIfThere(path);
  } catch {
    return undefined;
  }
}
