import { cgroup2Mount } from "../cgroups/hierarchy.ts";
import { BerthError, hasCode } from "../errors.ts";
import { O_CREAT, O_EXCL, O_WRONLY } from "../linux/constants.ts";
import { absolute } from "../linux/directory.ts";
import { check, EEXIST } from "../linux/errno.ts";
import { tryOpen, withDescriptor, writeAll } from "../linux/file.ts";
import { effectiveIds } from "../linux/process.ts";
import { defaultSpec } from "../spec/default.ts";
import { defineCommand } from "./command.ts";

export const command = defineCommand({
  name: "spec",
  summary: "write a config.json to start from",
  operands: "",
  description:
    'It describes a container that runs a shell, with its root filesystem in the directory "rootfs" of the bundle.',
  options: {
    bundle: { kind: "text", short: "b", default: ".", help: "the bundle's directory" },
    rootless: { kind: "flag", help: "for a caller who is not root: with a user namespace" },
  },
  takes: [0, 0],
  run({ values: { bundle, rootless } }) {
    const spec = defaultSpec({ rootless, ...effectiveIds(), cgroup2: hasCgroup2() });
    const path = `${absolute(bundle)}/config.json`;
    const fd = tryOpen(path, O_WRONLY | O_CREAT | O_EXCL, 0o666);
    if (fd === -EEXIST) {
      // These words are runc's; scripts wait for them.
      throw new BerthError("EEXIST", "File config.json exists. Remove it first", { hint: `it is "${path}"` });
    }
    check(fd, `write "${path}"`);
    withDescriptor(fd, () => writeAll(fd, JSON.stringify(spec, null, "\t"), `write "${path}"`));
  },
});

function hasCgroup2(): boolean {
  try {
    cgroup2Mount();
    return true;
  } catch (error) {
    if (hasCode(error, "no-cgroup2")) return false;
    throw error;
  }
}
