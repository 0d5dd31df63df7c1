import { BerthError } from "../errors.ts";
import { readAll, readText } from "../linux/file.ts";
import { fromUtf8 } from "../linux/text.ts";
import type { Schemas } from "../resctrl/change.ts";
import { update } from "../runtime/update.ts";
import type { Options } from "./arguments.ts";
import { defineCommand } from "./command.ts";
import { byteSize, wholeNumber } from "./quantities.ts";

/** Options that set one number or text, and where that goes in linux.resources. */
const FIELDS = {
  "blkio-weight": { at: ["blockIO", "weight"], as: wholeNumber, help: "weight of block I/O, 10 to 1000" },
  "cpu-period": { at: ["cpu", "period"], as: wholeNumber, help: "period of the CPU quota, in microseconds" },
  "cpu-quota": {
    at: ["cpu", "quota"],
    as: wholeNumber,
    help: "CPU time in each period, in microseconds; -1: no limit",
  },
  "cpu-burst": {
    at: ["cpu", "burst"],
    as: wholeNumber,
    help: "CPU time that can be saved up, in microseconds",
  },
  "cpu-share": { at: ["cpu", "shares"], as: wholeNumber, help: "share of CPU time, relative to others" },
  "cpu-rt-period": {
    at: ["cpu", "realtimePeriod"],
    as: wholeNumber,
    help: "real-time period, in microseconds (cgroup v1)",
  },
  "cpu-rt-runtime": {
    at: ["cpu", "realtimeRuntime"],
    as: wholeNumber,
    help: "real-time in each period, in microseconds (cgroup v1)",
  },
  "cpuset-cpus": { at: ["cpu", "cpus"], as: asIs, help: 'CPUs to run on: "0-3,7"' },
  "cpuset-mems": { at: ["cpu", "mems"], as: asIs, help: "memory nodes to use" },
  "cpu-idle": {
    at: ["cpu", "idle"],
    as: wholeNumber,
    help: "1: run only when nothing else does; 0: as others",
  },
  memory: {
    at: ["memory", "limit"],
    as: byteSize,
    help: "memory limit, in bytes or with k, m, g; -1: no limit",
  },
  "memory-reservation": {
    at: ["memory", "reservation"],
    as: byteSize,
    help: "memory that is kept when memory is short",
  },
  "memory-swap": {
    at: ["memory", "swap"],
    as: byteSize,
    help: "limit of memory and swap together; -1: no limit on swap",
  },
  "pids-limit": {
    at: ["pids", "limit"],
    as: wholeNumber,
    help: "how many processes there may be; -1: no limit",
  },
} as const;

type Field = keyof typeof FIELDS;

const FIELD_OPTIONS = Object.fromEntries(
  Object.entries(FIELDS).map(([name, { help }]) => [name, { kind: "text", help }]),
) as { readonly [Name in Field]: { readonly kind: "text"; readonly help: string } };

const OPTIONS = {
  resources: {
    kind: "text",
    short: "r",
    help: 'file with linux.resources as JSON, "-" for standard input; the other options are not looked at then, but for the two schemas',
  },
  ...FIELD_OPTIONS,
  "l3-cache-schema": { kind: "text", help: 'shares of the L3 cache: "L3:0=7f;1=f"' },
  "mem-bw-schema": { kind: "text", help: 'shares of memory bandwidth: "MB:0=20;1=70"' },
  "kernel-memory": { kind: "text", help: "accepted, and of no effect" },
  "kernel-memory-tcp": { kind: "text", help: "accepted, and of no effect" },
} as const satisfies Options;

export const command = defineCommand({
  name: "update",
  summary: "change the limits of a container",
  operands: "<container-id>",
  description:
    'What is not named stays as it is. When the kernel refuses one of the limits, all are set back.\nWith --resources: {"memory": {"limit": 1048576}, "pids": {"limit": 10}}, as in config.json.',
  options: OPTIONS,
  takes: [1, 1],
  async run({ positionals: [id = ""], values, globals: { root, log } }) {
    const { resources: file } = values;
    const resources = file === undefined ? fromOptions(values) : fromFile(file);
    const source = file === undefined || file === "-" ? "--resources" : file;
    const schemas = schemasOf(values["l3-cache-schema"], values["mem-bw-schema"]);
    await update({ root, id, resources, schemas, source, warn: (message) => log.write("warning", message) });
  },
});

function fromOptions(values: { readonly [Name in Field]: string | undefined }): unknown {
  const resources: Record<string, Record<string, number | string>> = {};
  for (const [
    name,
    {
      at: [section, key],
      as,
    },
  ] of Object.entries(FIELDS)) {
    const text = values[name as Field];
    // Scripts hand over what they have not got as an empty text.
    if (text === undefined || text === "") continue;
    resources[section] ??= {};
    (resources[section] as Record<string, number | string>)[key] = as(text, name);
  }
  return resources;
}

/** What was not given, or as an empty text, stays as it is. */
function schemasOf(l3CacheSchema = "", memBwSchema = ""): Schemas | undefined {
  if (l3CacheSchema === "" && memBwSchema === "") return undefined;
  return {
    ...(l3CacheSchema === "" ? {} : { l3CacheSchema }),
    ...(memBwSchema === "" ? {} : { memBwSchema }),
  };
}

function fromFile(file: string): unknown {
  const text = file === "-" ? fromUtf8(readAll(0, "read standard input")) : readText(file);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BerthError("invalid-option", `--resources ${file}: is not JSON`, { cause });
  }
}

function asIs(text: string): string {
  return text;
}
