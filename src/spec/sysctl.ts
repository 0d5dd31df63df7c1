/**
 * The file below /proc/sys that a key of linux.sysctl names: "net.ipv4.ip_forward" is "net/ipv4/ip_forward".
 *
 * As in sysctl(8), the first separator decides what the other one means: in "net/ipv4/conf/eth0.100/forwarding" and in
 * "net.ipv4.conf.eth0/100.forwarding" the interface is the VLAN eth0.100.
 */
export function sysctlPath(key: string): string {
  const separator = /[./]/.exec(key)?.[0];
  if (separator !== ".") return key;
  return key.replace(/[./]/g, (each) => (each === "." ? "/" : "."));
}

const IPC_SYSCTLS = [
  "kernel/msgmax",
  "kernel/msgmnb",
  "kernel/msgmni",
  "kernel/sem",
  "kernel/shmall",
  "kernel/shmmax",
  "kernel/shmmni",
  "kernel/shm_rmid_forced",
];

/** The type of namespace that has a setting of its own, by the file below /proc/sys; undefined: the whole host has one. */
export function namespaceOfSysctl(path: string): "ipc" | "network" | "uts" | "user" | undefined {
  if (path.startsWith("net/")) return "network";
  if (path.startsWith("fs/mqueue/") || IPC_SYSCTLS.includes(path)) return "ipc";
  if (path === "kernel/domainname") return "uts";
  if (path.startsWith("user/")) return "user";
  return undefined;
}
