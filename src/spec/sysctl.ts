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
