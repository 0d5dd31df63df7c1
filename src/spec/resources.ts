import { array, boolean, object, enum as oneOf, optional, type output, record, string } from "zod/mini";
import { int64, uint32, uint64, whole } from "./scalars.ts";

// config.json: linux.resources. Runtime-spec 1.3, config-linux.md "Control groups".

const deviceRule = object({
  allow: boolean(),
  type: optional(oneOf(["a", "b", "c"])),
  // Absent or -1: every number.
  major: optional(int64),
  minor: optional(int64),
  access: optional(string()),
});

const memory = object({
  limit: optional(int64),
  reservation: optional(int64),
  swap: optional(int64),
  kernel: optional(int64),
  kernelTCP: optional(int64),
  swappiness: optional(whole(0, 100)),
  disableOOMKiller: optional(boolean()),
  useHierarchy: optional(boolean()),
  checkBeforeUpdate: optional(boolean()),
});

const cpu = object({
  shares: optional(uint64),
  quota: optional(int64),
  burst: optional(uint64),
  period: optional(uint64),
  realtimeRuntime: optional(int64),
  realtimePeriod: optional(uint64),
  cpus: optional(string()),
  mems: optional(string()),
  idle: optional(whole(0, 1)),
});

// The kernel takes 10 to 1000; engines write 0 for "not set".
const weight = optional(whole(0, 1000));
const throttles = optional(array(object({ major: int64, minor: int64, rate: uint64 })));

const blockIO = object({
  weight,
  leafWeight: weight,
  weightDevice: optional(array(object({ major: int64, minor: int64, weight, leafWeight: weight }))),
  throttleReadBpsDevice: throttles,
  throttleWriteBpsDevice: throttles,
  throttleReadIOPSDevice: throttles,
  throttleWriteIOPSDevice: throttles,
});

const hugepageLimit = object({ pageSize: string(), limit: uint64 });

const network = object({
  classID: optional(uint32),
  priorities: optional(array(object({ name: string(), priority: uint32 }))),
});

const rdma = object({ hcaHandles: optional(uint32), hcaObjects: optional(uint32) });

export const resources = object({
  devices: optional(array(deviceRule)),
  memory: optional(memory),
  cpu: optional(cpu),
  pids: optional(object({ limit: optional(int64) })),
  blockIO: optional(blockIO),
  hugepageLimits: optional(array(hugepageLimit)),
  network: optional(network),
  rdma: optional(record(string(), rdma)),
  unified: optional(record(string(), string())),
});

export type Resources = output<typeof resources>;
export type DeviceRule = output<typeof deviceRule>;
