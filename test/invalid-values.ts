import { config as schema } from "../src/spec/config.ts";
import { defaultSpec } from "../src/spec/default.ts";
import { fieldsOf, type SchemaField, unwrap } from "./schema-fields.ts";
import { WHOLE_CONFIG } from "./whole-config.ts";

/* Values that config.json may not have, and what is said of each. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The default config.json with one value replaced: "linux.namespaces[0].path". A value of null removes the property. */
export function configWith(changes: Record<string, Json>): string {
  const config = JSON.parse(
    JSON.stringify(defaultSpec({ rootless: false, uid: 0, gid: 0, cgroup2: true })),
  ) as Json;
  for (const [path, value] of Object.entries(changes)) {
    const steps = path.split(/[.[\]]+/).filter((step) => step !== "");
    const last = steps.pop() ?? "";
    let at = config as { [key: string]: Json };
    for (const step of steps) {
      at[step] ??= {};
      at = at[step] as { [key: string]: Json };
    }
    at[last] = value;
  }
  return JSON.stringify(config);
}

const user = [{ type: "mount" }, { type: "user" }];
const map = (containerID: number, hostID: number, size: number) => ({ containerID, hostID, size });
const deadline = (runtime: number, deadline: number, period: number) => ({
  policy: "SCHED_DEADLINE",
  runtime,
  deadline,
  period,
});

const UNIFIED = 'allowed: names of cgroup files, CONTROLLER.PARAMETER, without "/" or ".."';

/** Each row: what is changed, and the one line that must come of it. */
export const INVALID_VALUES: readonly [Record<string, Json>, string][] = [
  [{ ociVersion: null }, "ociVersion: found nothing; allowed: a string"],
  [{ ociVersion: 1 }, "ociVersion: found 1; allowed: a string"],
  [{ ociVersion: "2.0.0" }, 'ociVersion: found "2.0.0"; allowed: a version 1.x.y, such as "1.3.0"'],
  [{ ociVersion: "1.0" }, 'ociVersion: found "1.0"; allowed: a version 1.x.y, such as "1.3.0"'],
  [{ ociVersion: "" }, 'ociVersion: found ""; allowed: a version 1.x.y, such as "1.3.0"'],
  [{ root: null }, "root: found nothing; allowed: an object"],
  [{ root: "rootfs" }, 'root: found "rootfs"; allowed: an object'],
  [{ "root.path": null }, "root.path: found nothing; allowed: a string"],
  [
    { "root.path": "" },
    'root.path: found ""; allowed: the path of the root filesystem, absolute or below the bundle',
  ],
  [{ "root.readonly": "yes" }, 'root.readonly: found "yes"; allowed: true or false'],

  [{ process: [] }, "process: found []; allowed: an object"],
  [{ "process.terminal": 1 }, "process.terminal: found 1; allowed: true or false"],
  [
    { "process.consoleSize": { height: 10 } },
    "process.consoleSize.width: found nothing; allowed: a whole number from 0 to 65535",
  ],
  [
    { "process.consoleSize": { height: -1, width: 1 } },
    "process.consoleSize.height: found -1; allowed: a whole number from 0 to 65535",
  ],
  [{ "process.user": "root" }, 'process.user: found "root"; allowed: an object'],
  [{ "process.user.uid": -1 }, "process.user.uid: found -1; allowed: a whole number from 0 to 4294967294"],
  [
    { "process.user.uid": 4294967295 },
    "process.user.uid: found 4294967295; allowed: a whole number from 0 to 4294967294",
  ],
  [{ "process.user.gid": 1.5 }, "process.user.gid: found 1.5; allowed: a whole number from 0 to 4294967294"],
  [
    { "process.user.umask": 512 },
    "process.user.umask: found 512; allowed: a whole number from 0 to 511 (octal 777)",
  ],
  [
    { "process.user.additionalGids": ["5"] },
    'process.user.additionalGids[0]: found "5"; allowed: a whole number from 0 to 4294967294',
  ],
  [{ "process.user.username": 0 }, "process.user.username: found 0; allowed: a string"],
  [{ "process.args": [] }, "process.args: found []; allowed: a list that begins with the program to run"],
  [
    { "process.args": null },
    "process.args: found nothing; allowed: a list that begins with the program to run",
  ],
  [{ "process.args": "sh" }, 'process.args: found "sh"; allowed: an array; each item a string'],
  [{ "process.args": ["sh", null] }, "process.args[1]: found null; allowed: a string"],
  [{ "process.commandLine": 1 }, "process.commandLine: found 1; allowed: a string"],
  [{ "process.env": ["A=1", "B"] }, 'process.env[1]: found "B"; allowed: NAME=VALUE'],
  [{ "process.env": ["=1"] }, 'process.env[0]: found "=1"; allowed: NAME=VALUE'],
  [
    { "process.env": ["A=\0"] },
    'process.env[0]: found "A=\\u0000"; allowed: a string without a NUL character',
  ],
  [{ "process.cwd": null }, "process.cwd: found nothing; allowed: a string"],
  [{ "process.cwd": "" }, 'process.cwd: found ""; allowed: an absolute path'],
  [{ "process.cwd": "tmp" }, 'process.cwd: found "tmp"; allowed: an absolute path'],
  [
    { "process.capabilities.bounding": "ALL" },
    'process.capabilities.bounding: found "ALL"; allowed: an array; each item a string',
  ],
  [{ "process.capabilities.ambient": [7] }, "process.capabilities.ambient[0]: found 7; allowed: a string"],
  [
    { "process.rlimits": [{ type: "RLIMIT_NOFILE", soft: 2, hard: 1 }] },
    "process.rlimits[0].soft: found 2; allowed: at most hard, 1",
  ],
  [
    { "process.rlimits[1]": { type: "RLIMIT_NOFILE", soft: 1, hard: 1 } },
    'process.rlimits[1].type: found "RLIMIT_NOFILE"; allowed: each type once',
  ],
  [
    { "process.rlimits[0].hard": -1 },
    "process.rlimits[0].hard: found -1; allowed: a whole number from 0 to 2^64 - 1",
  ],
  [{ "process.noNewPrivileges": "no" }, 'process.noNewPrivileges: found "no"; allowed: true or false'],
  [{ "process.apparmorProfile": 1 }, "process.apparmorProfile: found 1; allowed: a string"],
  [{ "process.selinuxLabel": 1 }, "process.selinuxLabel: found 1; allowed: a string"],
  [
    { "process.oomScoreAdj": 1001 },
    "process.oomScoreAdj: found 1001; allowed: a whole number from -1000 to 1000",
  ],
  [
    { "process.scheduler": { policy: "SCHED_OTHER", nice: 20 } },
    "process.scheduler.nice: found 20; allowed: a whole number from -20 to 19",
  ],
  [
    { "process.scheduler": { policy: "SCHED_FIFO" } },
    "process.scheduler.priority: found nothing; allowed: 1 to 99 with SCHED_FIFO",
  ],
  [
    { "process.scheduler": { policy: "SCHED_RR", priority: 100 } },
    "process.scheduler.priority: found 100; allowed: a whole number from 0 to 99",
  ],
  [
    { "process.scheduler": { policy: "SCHED_BATCH", priority: 1 } },
    "process.scheduler.priority: found 1; allowed: 0, except with SCHED_FIFO and SCHED_RR",
  ],
  [
    { "process.scheduler": { policy: "SCHED_OTHER", runtime: 5000 } },
    "process.scheduler.runtime: found 5000; allowed: only with SCHED_DEADLINE",
  ],
  [
    { "process.scheduler": deadline(0, 5000, 5000) },
    "process.scheduler.runtime: found 0; allowed: at least 1024 nanoseconds with SCHED_DEADLINE",
  ],
  [
    { "process.scheduler": deadline(6000, 5000, 5000) },
    "process.scheduler.deadline: found 5000; allowed: nanoseconds, not less than runtime",
  ],
  [
    { "process.scheduler": deadline(4000, 5000, 4500) },
    "process.scheduler.period: found 4500; allowed: nanoseconds, not less than deadline",
  ],
  [
    { "process.ioPriority": { class: "IOPRIO_CLASS_BE", priority: 8 } },
    "process.ioPriority.priority: found 8; allowed: a whole number from 0 to 7",
  ],
  [
    { "process.ioPriority": { class: "BE" } },
    'process.ioPriority.class: found "BE"; allowed: one of "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"',
  ],
  [
    { "process.execCPUAffinity": { initial: "all" } },
    'process.execCPUAffinity.initial: found "all"; allowed: a list of CPUs such as "0-3,7"',
  ],

  ...["3-1", "0,,1", "0-", "-1", "a"].map((cpus): [Record<string, Json>, string] => [
    { "process.execCPUAffinity": { final: cpus } },
    `process.execCPUAffinity.final: found "${cpus}"; allowed: a list of CPUs such as "0-3,7"`,
  ]),

  [{ hostname: 1 }, "hostname: found 1; allowed: a string"],
  [{ hostname: "x".repeat(65) }, `hostname: found "${"x".repeat(56)}...; allowed: at most 64 bytes`],
  [{ domainname: "é".repeat(33) }, `domainname: found "${"é".repeat(33)}"; allowed: at most 64 bytes`],
  [
    { "linux.namespaces": [{ type: "mount" }] },
    'hostname: found "berth"; allowed: only with a uts namespace in linux.namespaces',
  ],
  [{ annotations: { "": "x" } }, 'annotations: found ""; allowed: keys that are not empty'],
  [{ annotations: { "a.b": 1 } }, 'annotations["a.b"]: found 1; allowed: a string'],
  [{ annotations: ["x"] }, 'annotations: found ["x"]; allowed: an object'],

  [{ mounts: {} }, "mounts: found {}; allowed: an array; each item an object"],
  [{ "mounts[0].destination": null }, "mounts[0].destination: found nothing; allowed: a string"],
  [{ "mounts[0].destination": "" }, 'mounts[0].destination: found ""; allowed: a path in the container'],
  ...["/", "//", "/.", "/a/..", "/..", ".", "a/../.."].map((path): [Record<string, Json>, string] => [
    { "mounts[0].destination": path },
    `mounts[0].destination: found "${path}"; allowed: a path below /: a mount onto the root of the container would hide all of it`,
  ]),
  [
    { "mounts[0].type": null },
    'mounts[0].type: found nothing; allowed: a filesystem type, unless options has "bind" or "rbind"',
  ],
  [{ "mounts[0].source": 1 }, "mounts[0].source: found 1; allowed: a string"],
  [{ "mounts[0].options": "ro" }, 'mounts[0].options: found "ro"; allowed: an array; each item a string'],
  [
    { "mounts[0].options": ["bind", "size=1k"] },
    'mounts[0].options[1]: found "size=1k"; allowed: flags only: a bind mount has no filesystem of its own to give data to',
  ],
  [
    { "mounts[0].uidMappings": [map(0, 1, 1)] },
    "mounts[0].gidMappings: found nothing; allowed: mappings, as uidMappings has them",
  ],
  [
    { "mounts[0].gidMappings": [map(0, 1, 1)] },
    "mounts[0].uidMappings: found nothing; allowed: mappings, as gidMappings has them",
  ],
  [
    { "mounts[0].uidMappings": [map(0, 1, 2), map(1, 5, 1)], "mounts[0].gidMappings": [map(0, 1, 1)] },
    "mounts[0].uidMappings[1].containerID: found 1; allowed: a range that does not overlap that of mounts[0].uidMappings[0]",
  ],
  [
    { "mounts[0].uidMappings": [map(0, 1, 1)], "mounts[0].gidMappings": [map(0, 4294967290, 6)] },
    "mounts[0].gidMappings[0].size: found 6; allowed: a range of ids up to 4294967294",
  ],
  [
    { "mounts[0].options": ["bind", "idmap"] },
    'mounts[0].options[1]: found "idmap"; allowed: only with uidMappings and gidMappings, or in a user namespace, whose mappings it takes',
  ],
  ...[
    "idmap=",
    "ridmap=uids=0-1-1",
    "idmap=uids=0-1;gids=0-1-1",
    "idmap=uids=0-1-0;gids=0-1-1",
    "ridmap=on",
  ].map((option): [Record<string, Json>, string] => [
    { "mounts[0].options": ["bind", option] },
    `mounts[0].options[1]: found "${option}"; allowed: "idmap=uids=FROM-TO-SIZE;gids=FROM-TO-SIZE", more ranges after a "#"`,
  ]),
  [
    { "mounts[0].options": ["bind", "idmap=uids=@0-1-1;gids=0-1-1"] },
    'mounts[0].options[1]: found "idmap=uids=@0-1-1;gids=0-1-1"; allowed: "@" only in a user namespace',
  ],
  [
    { "mounts[0].options": ["bind", "idmap=uids=0-1-2#1-9-1;gids=0-1-1"] },
    "mounts[0].options[1] uids[1].containerID: found 1; allowed: a range that does not overlap that of mounts[0].options[1] uids[0]",
  ],
  [
    {
      "mounts[0].options": ["bind", "idmap=uids=0-1-1;gids=0-1-1"],
      "mounts[0].uidMappings": [map(0, 1, 1)],
      "mounts[0].gidMappings": [map(0, 1, 1)],
    },
    'mounts[0].options[1]: found "idmap=uids=0-1-1;gids=0-1-1"; allowed: mappings either here or in uidMappings and gidMappings',
  ],
  [
    { "mounts[0].options": ["remount", "idmap=uids=0-1-1;gids=0-1-1"] },
    'mounts[0].options: found ["remount","idmap=uids=0-1-1;gids=0-1-1"]; allowed: no id mappings with remount: a mount gets them when it is made',
  ],

  [{ hooks: [] }, "hooks: found []; allowed: an object"],
  ...["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"].map(
    (hook): [Record<string, Json>, string] => [
      { hooks: { [hook]: [{ path: "bin/x" }] } },
      `hooks.${hook}[0].path: found "bin/x"; allowed: an absolute path`,
    ],
  ),
  [{ hooks: { poststop: [{}] } }, "hooks.poststop[0].path: found nothing; allowed: a string"],
  [
    { hooks: { poststop: [{ path: "/x", timeout: 0 }] } },
    "hooks.poststop[0].timeout: found 0; allowed: seconds, more than 0",
  ],
  [
    { hooks: { poststop: [{ path: "/x", env: ["A"] }] } },
    'hooks.poststop[0].env[0]: found "A"; allowed: NAME=VALUE',
  ],

  [{ linux: null }, "linux: found nothing; allowed: an object"],
  [{ "linux.namespaces": null }, "linux.namespaces: found nothing; allowed: an array; each item an object"],
  [
    { "linux.namespaces[0].type": "net" },
    'linux.namespaces[0].type: found "net"; allowed: one of "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"',
  ],
  [{ "linux.namespaces[1].type": "pid" }, 'linux.namespaces[1].type: found "pid"; allowed: each type once'],
  [
    { "linux.namespaces[1].path": "ns/net" },
    'linux.namespaces[1].path: found "ns/net"; allowed: an absolute path',
  ],
  [
    { "linux.uidMappings": [map(0, 1, 1)] },
    'linux.uidMappings: found [{"containerID":0,"hostID":1,"size":1}]; allowed: only with a user namespace in linux.namespaces',
  ],
  [
    { hostname: null, "linux.namespaces": user, "linux.uidMappings": [map(0, 1, 1)] },
    "linux.gidMappings: found nothing; allowed: at least one mapping for the new user namespace",
  ],
  [
    {
      hostname: null,
      "linux.namespaces": user,
      "linux.uidMappings": [map(0, 1, 10), map(9, 100, 5)],
      "linux.gidMappings": [map(0, 1, 1)],
    },
    "linux.uidMappings[1].containerID: found 9; allowed: a range that does not overlap that of linux.uidMappings[0]",
  ],
  [
    {
      hostname: null,
      "linux.namespaces": user,
      "linux.uidMappings": [map(0, 1, 1)],
      "linux.gidMappings": [map(0, 100, 10), map(50, 95, 6)],
    },
    "linux.gidMappings[1].hostID: found 95; allowed: a range that does not overlap that of linux.gidMappings[0]",
  ],
  [
    {
      hostname: null,
      "linux.namespaces": user,
      "linux.uidMappings": [map(0, 4294967290, 6)],
      "linux.gidMappings": [map(0, 1, 1)],
    },
    "linux.uidMappings[0].size: found 6; allowed: a range of ids up to 4294967294",
  ],
  [
    { "linux.gidMappings": [map(0, 1, 0)] },
    "linux.gidMappings[0].size: found 0; allowed: a whole number from 1 to 4294967295",
  ],
  [
    { "linux.timeOffsets": { monotonic: { secs: 1 } } },
    'linux.timeOffsets.monotonic: found {"secs":1}; allowed: only with a new time namespace in linux.namespaces',
  ],
  [
    { "linux.namespaces[0].type": "time", "linux.timeOffsets": { realtime: { secs: 1 } } },
    'linux.timeOffsets.realtime: found {"secs":1}; allowed: the clocks "monotonic" and "boottime"',
  ],
  [
    { "linux.namespaces[0].type": "time", "linux.timeOffsets": { boottime: { nanosecs: 1e9 } } },
    "linux.timeOffsets.boottime.nanosecs: found 1000000000; allowed: a whole number from 0 to 999999999",
  ],
  [
    { "linux.devices": [{ type: "x", path: "/dev/a" }] },
    'linux.devices[0].type: found "x"; allowed: one of "b", "c", "u", "p"',
  ],
  [
    { "linux.devices": [{ type: "p", path: "dev/a" }] },
    'linux.devices[0].path: found "dev/a"; allowed: an absolute path',
  ],
  [
    { "linux.devices": [{ type: "c", path: "/dev/a", major: 1 }] },
    'linux.devices[0].minor: found nothing; allowed: a whole number from 0 to 1048575 for a device of type "c"',
  ],
  [
    { "linux.devices": [{ type: "b", path: "/dev/a", major: -1, minor: 1 }] },
    'linux.devices[0].major: found -1; allowed: a whole number from 0 to 4095 for a device of type "b"',
  ],
  [
    { "linux.devices": [{ type: "p", path: "/dev/a", fileMode: 4096 }] },
    "linux.devices[0].fileMode: found 4096; allowed: a whole number from 0 to 4095 (octal 7777)",
  ],
  [
    { "linux.devices": [{ type: "p", path: "/dev/a", uid: -1 }] },
    "linux.devices[0].uid: found -1; allowed: a whole number from 0 to 4294967294",
  ],
  [
    { "linux.devices": ["c", "u"].map((type) => ({ type, path: "/dev/a", major: 1, minor: 1 })) },
    'linux.devices[1].path: found "/dev/a"; allowed: one device for each path',
  ],
  [{ "linux.netDevices": { eth0: 1 } }, "linux.netDevices.eth0: found 1; allowed: an object"],
  ...["a/b", "a b", "a:b", ".", "..", "sixteencharacter", "eth%d"].map(
    (name): [Record<string, Json>, string] => [
      { "linux.netDevices": { [name]: {} } },
      `linux.netDevices["${name}"]: found "${name}"; allowed: a device's name: 1 to 15 characters without "/", ":" and blanks`,
    ],
  ),
  ...["a/b", "..", "sixteencharacter", "a%s", "%d%d"].map((name): [Record<string, Json>, string] => [
    { "linux.netDevices": { eth0: { name } } },
    `linux.netDevices["eth0"].name: found "${name}"; allowed: 1 to 15 characters without "/", ":" and blanks; "%d" at most once, for a number that the kernel chooses`,
  ]),
  [
    { "linux.netDevices": { eth0: { name: "lan" }, eth1: { name: "lan" } } },
    'linux.netDevices["eth1"].name: found "lan"; allowed: a name of its own for each device',
  ],
  [
    { hostname: null, "linux.namespaces": [{ type: "mount" }], "linux.netDevices": { eth0: {} } },
    'linux.netDevices["eth0"]: found {}; allowed: only with a network namespace in linux.namespaces',
  ],
  [{ "linux.cgroupsPath": "/a/../b" }, 'linux.cgroupsPath: found "/a/../b"; allowed: a path without ".."'],
  [{ "linux.resources": [] }, "linux.resources: found []; allowed: an object"],
  [
    { "linux.resources.devices[0].allow": null },
    "linux.resources.devices[0].allow: found nothing; allowed: true or false",
  ],
  [
    { "linux.resources.devices[0].type": "u" },
    'linux.resources.devices[0].type: found "u"; allowed: one of "a", "b", "c"',
  ],
  [
    { "linux.resources.devices[0].access": "" },
    'linux.resources.devices[0].access: found ""; allowed: "r", "w" and "m", one or more of them',
  ],
  [
    { "linux.resources.devices[0].access": "rx" },
    'linux.resources.devices[0].access: found "rx"; allowed: "r", "w" and "m", one or more of them',
  ],
  [
    { "linux.resources.devices[0].major": -2 },
    "linux.resources.devices[0].major: found -2; allowed: a whole number from 0 to 4294967295, or -1 for all",
  ],
  [
    { "linux.resources.memory": { limit: "1g" } },
    'linux.resources.memory.limit: found "1g"; allowed: a whole number from -2^63 to 2^63 - 1',
  ],
  [
    { "linux.resources.memory": { swappiness: 101 } },
    "linux.resources.memory.swappiness: found 101; allowed: a whole number from 0 to 100",
  ],
  [
    { "linux.resources.cpu": { shares: -1 } },
    "linux.resources.cpu.shares: found -1; allowed: a whole number from 0 to 2^64 - 1",
  ],
  [{ "linux.resources.cpu": { cpus: 0 } }, "linux.resources.cpu.cpus: found 0; allowed: a string"],
  [
    { "linux.resources.cpu": { idle: 2 } },
    "linux.resources.cpu.idle: found 2; allowed: a whole number from 0 to 1",
  ],
  [
    { "linux.resources.pids": { limit: 1.5 } },
    "linux.resources.pids.limit: found 1.5; allowed: a whole number from -2^63 to 2^63 - 1",
  ],
  [
    { "linux.resources.blockIO": { weight: 1001 } },
    "linux.resources.blockIO.weight: found 1001; allowed: a whole number from 0 to 1000",
  ],
  [
    { "linux.resources.blockIO": { throttleReadBpsDevice: [{ major: 8, minor: 0 }] } },
    "linux.resources.blockIO.throttleReadBpsDevice[0].rate: found nothing; allowed: a whole number from 0 to 2^64 - 1",
  ],
  [
    { "linux.resources.hugepageLimits": [{ pageSize: "2MB" }] },
    "linux.resources.hugepageLimits[0].limit: found nothing; allowed: a whole number from 0 to 2^64 - 1",
  ],
  [
    { "linux.resources.network": { classID: -1 } },
    "linux.resources.network.classID: found -1; allowed: a whole number from 0 to 4294967295",
  ],
  [
    { "linux.resources.rdma": { mlx5_0: { hcaHandles: "3" } } },
    'linux.resources.rdma.mlx5_0.hcaHandles: found "3"; allowed: a whole number from 0 to 4294967295',
  ],
  [
    { "linux.resources.unified": { "memory.max": 1 } },
    'linux.resources.unified["memory.max"]: found 1; allowed: a string',
  ],
  [{ "linux.resources.unified": { "../x": "1" } }, `linux.resources.unified: found "../x"; ${UNIFIED}`],
  [{ "linux.resources.unified": { "": "1" } }, `linux.resources.unified: found ""; ${UNIFIED}`],
  [{ "linux.resources.unified": { "..": "1" } }, `linux.resources.unified: found ".."; ${UNIFIED}`],
  [
    { "linux.resources.unified": { "memory..max": "1" } },
    `linux.resources.unified: found "memory..max"; ${UNIFIED}`,
  ],
  [{ "linux.resources.unified": { memory: "1" } }, `linux.resources.unified: found "memory"; ${UNIFIED}`],
  [
    { "linux.resources.unified": { "cgroup.freeze": "1" } },
    'linux.resources.unified: found "cgroup.freeze"; allowed: files that set limits',
  ],
  [
    { "linux.resources.memory": { limit: -2 } },
    "linux.resources.memory.limit: found -2; allowed: a number of bytes, or -1 for no limit",
  ],
  [
    { "linux.resources.memory": { reservation: -2 } },
    "linux.resources.memory.reservation: found -2; allowed: a number of bytes, or -1",
  ],
  [
    { "linux.resources.memory": { limit: 1, swap: -2 } },
    "linux.resources.memory.swap: found -2; allowed: a number of bytes, or -1 for no limit",
  ],
  [
    { "linux.resources.memory": { swap: 1 } },
    "linux.resources.memory.swap: found 1; allowed: only with a limit on memory",
  ],
  [
    { "linux.resources.memory": { limit: 2, swap: 1 } },
    "linux.resources.memory.swap: found 1; allowed: at least limit, 2: it counts memory and swap",
  ],
  [
    { "linux.resources.memory": { checkBeforeUpdate: 1 } },
    "linux.resources.memory.checkBeforeUpdate: found 1; allowed: true or false",
  ],
  [
    { "linux.resources.memory": { disableOOMKiller: "no" } },
    'linux.resources.memory.disableOOMKiller: found "no"; allowed: true or false',
  ],
  [
    { "linux.resources.memory": { kernel: 0.5 } },
    "linux.resources.memory.kernel: found 0.5; allowed: a whole number from -2^63 to 2^63 - 1",
  ],
  [
    { "linux.resources.cpu": { quota: 999 } },
    "linux.resources.cpu.quota: found 999; allowed: at least 1000 microseconds, or -1 for no limit",
  ],
  ...[999, 1_000_001].map((period): [Record<string, Json>, string] => [
    { "linux.resources.cpu": { period } },
    `linux.resources.cpu.period: found ${period}; allowed: 1000 to 1000000 microseconds`,
  ]),
  [
    { "linux.resources.cpu": { quota: 1000, burst: 1001 } },
    "linux.resources.cpu.burst: found 1001; allowed: at most quota, 1000",
  ],
  [
    { "linux.resources.cpu": { realtimePeriod: -1 } },
    "linux.resources.cpu.realtimePeriod: found -1; allowed: a whole number from 0 to 2^64 - 1",
  ],
  ...["x", "0-", "-1", "3-1", "0;1", "0-3:2", "1,,x"].map((cpus): [Record<string, Json>, string] => [
    { "linux.resources.cpu": { cpus } },
    `linux.resources.cpu.cpus: found "${cpus}"; allowed: a list of CPUs such as "0-3,7"`,
  ]),
  [
    { "linux.resources.cpu": { mems: "a" } },
    'linux.resources.cpu.mems: found "a"; allowed: a list of memory nodes such as "0-1,3"',
  ],
  ...[-2, 4_194_305].map((limit): [Record<string, Json>, string] => [
    { "linux.resources.pids": { limit } },
    `linux.resources.pids.limit: found ${limit}; allowed: 0 to 4194304, or -1 for no limit`,
  ]),
  [
    { "linux.resources.blockIO": { weight: 9 } },
    "linux.resources.blockIO.weight: found 9; allowed: 10 to 1000, or 0 for none",
  ],
  [
    { "linux.resources.blockIO": { leafWeight: 9 } },
    "linux.resources.blockIO.leafWeight: found 9; allowed: 10 to 1000, or 0 for none",
  ],
  [
    { "linux.resources.blockIO": { weightDevice: [{ major: 8, minor: 0, weight: 1 }] } },
    "linux.resources.blockIO.weightDevice[0].weight: found 1; allowed: 10 to 1000, or 0 for none",
  ],
  [
    { "linux.resources.blockIO": { weightDevice: [{ major: 4096, minor: 0, weight: 10 }] } },
    "linux.resources.blockIO.weightDevice[0].major: found 4096; allowed: a whole number from 0 to 4095",
  ],
  ...[
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
  ].map((key): [Record<string, Json>, string] => [
    { "linux.resources.blockIO": { [key]: [{ major: 8, minor: -1, rate: 1 }] } },
    `linux.resources.blockIO.${key}[0].minor: found -1; allowed: a whole number from 0 to 1048575`,
  ]),
  ...["2mb", "2M", "0KB", "", "../x"].map((pageSize): [Record<string, Json>, string] => [
    { "linux.resources.hugepageLimits": [{ pageSize, limit: 0 }] },
    `linux.resources.hugepageLimits[0].pageSize: found "${pageSize}"; allowed: a size such as "64KB", "2MB" or "1GB"`,
  ]),
  [
    { "linux.resources.network": { priorities: [{ name: "", priority: 1 }] } },
    'linux.resources.network.priorities[0].name: found ""; allowed: the name of a network interface',
  ],
  [
    { "linux.resources.rdma": { "a b": { hcaHandles: 1 } } },
    'linux.resources.rdma: found "a b"; allowed: names of RDMA devices',
  ],
  [
    { "linux.intelRdt": { schemata: "L3" } },
    'linux.intelRdt.schemata: found "L3"; allowed: an array; each item a string',
  ],
  [{ "linux.sysctl": { "kernel.sem": 1 } }, 'linux.sysctl["kernel.sem"]: found 1; allowed: a string'],
  [
    { "linux.seccomp": { defaultAction: "SCMP_ACT_ALOW" } },
    'linux.seccomp.defaultAction: found "SCMP_ACT_ALOW"; allowed: one of "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY" (did you mean "SCMP_ACT_ALLOW"?)',
  ],
  [
    { "linux.seccomp": { syscalls: [{ names: "open", action: "SCMP_ACT_LOG" }] } },
    'linux.seccomp.syscalls[0].names: found "open"; allowed: an array; each item a string',
  ],
  [
    { "linux.rootfsPropagation": "rsalve" },
    'linux.rootfsPropagation: found "rsalve"; allowed: one of "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable" (did you mean "rslave"?)',
  ],
  [{ "linux.maskedPaths[0]": "proc" }, 'linux.maskedPaths[0]: found "proc"; allowed: an absolute path'],
  [{ "linux.readonlyPaths[0]": "" }, 'linux.readonlyPaths[0]: found ""; allowed: an absolute path'],
  [{ "linux.mountLabel": 1 }, "linux.mountLabel: found 1; allowed: a string"],
  [
    { "linux.personality": { domain: "LINUX64" } },
    'linux.personality.domain: found "LINUX64"; allowed: one of "LINUX", "LINUX32" (did you mean "LINUX"?)',
  ],
  [
    { "linux.personality": { domain: "LINUX", flags: ["ADDR_NO_RANDOMIZE"] } },
    'linux.personality.flags: found ["ADDR_NO_RANDOMIZE"]; allowed: none: runtime-spec defines no flags yet',
  ],
  ...["a/b", "a\nb", ".", ".."].map((closID): [Record<string, Json>, string] => [
    { "linux.intelRdt": { closID } },
    `linux.intelRdt.closID: found ${JSON.stringify(closID)}; allowed: the name of a directory of resctrl, or "/"`,
  ]),
  [
    { "linux.intelRdt": { closID: "mon_groups" } },
    'linux.intelRdt.closID: found "mon_groups"; allowed: a name that resctrl does not use itself',
  ],
  ...["L3:0=f", "MB:0=1\nMB:1=2"].map((memBwSchema): [Record<string, Json>, string] => [
    { "linux.intelRdt": { memBwSchema } },
    `linux.intelRdt.memBwSchema: found ${JSON.stringify(memBwSchema)}; allowed: one line that begins with "MB:"`,
  ]),
  ...["", "L3:0=f\nMB:0=1"].map((line): [Record<string, Json>, string] => [
    { "linux.intelRdt": { schemata: [line] } },
    `linux.intelRdt.schemata[0]: found ${JSON.stringify(line)}; allowed: one line of a schemata file`,
  ]),
  [
    { "linux.memoryPolicy": { mode: "MPOL_BIND", nodes: "0-" } },
    'linux.memoryPolicy.nodes: found "0-"; allowed: a list of memory nodes such as "0-3,7"',
  ],
  [
    { "linux.memoryPolicy": { mode: "MPOL_BIND" } },
    "linux.memoryPolicy.nodes: found nothing; allowed: at least one memory node with MPOL_BIND",
  ],
  ...["MPOL_DEFAULT", "MPOL_LOCAL"].map((mode): [Record<string, Json>, string] => [
    { "linux.memoryPolicy": { mode, nodes: "0" } },
    `linux.memoryPolicy.nodes: found "0"; allowed: none with ${mode}`,
  ]),
  [
    {
      "linux.memoryPolicy": {
        mode: "MPOL_BIND",
        nodes: "0",
        flags: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
      },
    },
    'linux.memoryPolicy.flags: found ["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]; allowed: MPOL_F_STATIC_NODES or MPOL_F_RELATIVE_NODES, not both',
  ],
  [
    { "linux.memoryPolicy": { mode: "MPOL_PREFERRED", flags: ["MPOL_F_STATIC_NODES"] } },
    'linux.memoryPolicy.flags: found ["MPOL_F_STATIC_NODES"]; allowed: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES only with nodes',
  ],
  [
    { "linux.memoryPolicy": { mode: "MPOL_INTERLEAVE", nodes: "0", flags: ["MPOL_F_NUMA_BALANCING"] } },
    'linux.memoryPolicy.flags: found ["MPOL_F_NUMA_BALANCING"]; allowed: MPOL_F_NUMA_BALANCING only with MPOL_BIND and MPOL_PREFERRED_MANY',
  ],
  [
    { "linux.memoryPolicy": { mode: "MPOL_LOCAL", nodes: 1 } },
    "linux.memoryPolicy.nodes: found 1; allowed: a string",
  ],
];

/** For every property that there is: a config.json in which it alone is of a wrong type, and the line that must come of it. */
export function wrongTypes(): { readonly path: string; readonly text: string; readonly line: string }[] {
  return fieldsOf(schema).map(({ path, accepts }) => {
    // Not structuredClone, which keeps what two places share as one.
    const whole = JSON.parse(JSON.stringify(WHOLE_CONFIG)) as Json;
    const wrong: Json = accepts.type === "string" || accepts.type === "enum" ? 7 : "wrong";
    const place = replace(whole, path.split(/\.|(?=\[\])/), wrong);
    const line = `${place}: found ${JSON.stringify(wrong)}; allowed: ${inWords(accepts)}`;
    return { path, text: JSON.stringify(whole), line };
  });
}

/** Puts a value in the place of the first that a path of the schema leads to. @returns its path in the value */
function replace(value: Json, steps: readonly string[], by: Json): string {
  let at = value as { [key: string]: Json };
  let place = "";
  for (const [i, step] of steps.entries()) {
    const key = step === "[]" ? "0" : step === "*" ? (Object.keys(at)[0] ?? "") : step;
    if (at[key] === undefined) throw new Error(`the whole config has no ${steps.join(".")}`);
    if (step === "[]") place += "[0]";
    else place += /^[\w-]+$/.test(key) ? `${place === "" ? "" : "."}${key}` : `[${JSON.stringify(key)}]`;
    if (i === steps.length - 1) at[key] = by;
    at = at[key] as typeof at;
  }
  return place;
}

function inWords(accepts: SchemaField["accepts"]): string {
  switch (accepts.type) {
    case "object":
    case "record":
      return "an object";
    case "array":
      return `an array; each item ${inWords(unwrap(accepts.element))}`;
    case "string":
      return "a string";
    case "boolean":
      return "true or false";
    case "enum": {
      const choices = Object.values(accepts.entries).filter((choice) => choice !== "");
      return `one of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}`;
    }
    case "number": {
      const { lowest, highest } = accepts;
      if (highest === 2 ** 64) return "a whole number from 0 to 2^64 - 1";
      if (highest === 2 ** 63) return "a whole number from -2^63 to 2^63 - 1";
      const octal = [0o777, 0o7777].includes(highest) ? ` (octal ${highest.toString(8)})` : "";
      return `a whole number from ${lowest} to ${highest}${octal}`;
    }
  }
}
