import type { Spec } from "../config.ts";
import { parseList } from "../list.ts";
import { namespaceOf } from "../namespaces.ts";
import { each, type Report } from "../problem.ts";

// What few config.json ask for, and each for a part of the machine: linux.netDevices, linux.memoryPolicy, linux.intelRdt.
// Runtime-spec 1.3, config-linux.md.

/** A device's name is a file's name below /proc/sys/net, shorter than IFNAMSIZ; dev_valid_name() in the kernel. */
const DEVICE_NAME = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;
const NAME = '1 to 15 characters without "/", ":" and blanks';

export function checkNetDevices(spec: Spec, report: Report): void {
  const { netDevices } = spec.linux;
  if (netDevices === undefined) return;
  const taken: string[] = [];
  for (const host in netDevices) {
    const path = `linux.netDevices[${JSON.stringify(host)}]`;
    if (namespaceOf(spec, "network") === undefined) {
      report(path, netDevices[host], "only with a network namespace in linux.namespaces");
    }
    if (!DEVICE_NAME.test(host) || host.includes("%")) report(path, host, `a device's name: ${NAME}`);
    const name = netDevices[host]?.name ?? "";
    const inside = name === "" ? host : name;
    if (name !== "" && !isInsideName(name)) {
      report(`${path}.name`, name, `${NAME}; "%d" at most once, for a number that the kernel chooses`);
    }
    if (taken.includes(inside)) report(`${path}.name`, inside, "a name of its own for each device");
    if (!inside.includes("%")) taken.push(inside);
  }
}

function isInsideName(name: string): boolean {
  return DEVICE_NAME.test(name) && !name.replace("%d", "").includes("%");
}

/** What set_mempolicy(2) would refuse whatever the machine is. */
export function checkMemoryPolicy({ linux: { memoryPolicy } }: Spec, report: Report): void {
  if (memoryPolicy === undefined) return;
  const { mode, nodes = "", flags = [] } = memoryPolicy;
  const at = "linux.memoryPolicy";
  const ranges = parseList(nodes);
  if (ranges === undefined) report(`${at}.nodes`, nodes, 'a list of memory nodes such as "0-3,7"');
  const isLocal = mode === "MPOL_DEFAULT" || mode === "MPOL_LOCAL";
  const isEmpty = ranges !== undefined && ranges.length === 0;
  if (isLocal && ranges !== undefined && !isEmpty) report(`${at}.nodes`, nodes, `none with ${mode}`);
  if (!isLocal && isEmpty && mode !== "MPOL_PREFERRED") {
    report(`${at}.nodes`, memoryPolicy.nodes, `at least one memory node with ${mode}`);
  }
  const fixed = flags.includes("MPOL_F_STATIC_NODES");
  const relative = flags.includes("MPOL_F_RELATIVE_NODES");
  if (fixed && relative) {
    report(`${at}.flags`, flags, "MPOL_F_STATIC_NODES or MPOL_F_RELATIVE_NODES, not both");
  }
  if ((fixed || relative) && (isLocal || isEmpty)) {
    report(`${at}.flags`, flags, "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES only with nodes");
  }
  const mayBalance = mode === "MPOL_BIND" || mode === "MPOL_PREFERRED_MANY";
  if (flags.includes("MPOL_F_NUMA_BALANCING") && !mayBalance) {
    report(`${at}.flags`, flags, "MPOL_F_NUMA_BALANCING only with MPOL_BIND and MPOL_PREFERRED_MANY");
  }
}

/** closID names a directory of resctrl, where "/" is its root; a schema is one line. */
export function checkIntelRdt({ linux: { intelRdt } }: Spec, report: Report): void {
  if (intelRdt === undefined) return;
  const { closID = "", memBwSchema = "", schemata } = intelRdt;
  const at = "linux.intelRdt";
  const isName = !/[/\n]/.test(closID) && closID !== "." && closID !== "..";
  if (closID !== "/" && !isName) report(`${at}.closID`, closID, 'the name of a directory of resctrl, or "/"');
  if (["info", "mon_data", "mon_groups"].includes(closID)) {
    report(`${at}.closID`, closID, "a name that resctrl does not use itself");
  }
  if (memBwSchema !== "" && (!memBwSchema.startsWith("MB:") || memBwSchema.includes("\n"))) {
    report(`${at}.memBwSchema`, memBwSchema, 'one line that begins with "MB:"');
  }
  each(schemata, (line, i) => {
    if (line === "" || line.includes("\n"))
      report(`${at}.schemata[${i}]`, line, "one line of a schemata file");
  });
}
