import { EINVAL } from "../linux/errno.ts";

/** What the values of common file system parameters must look like. */
const VALUES: Readonly<Record<string, string>> = {
  size: "size takes a number with an optional k, m, g or % suffix",
  nr_blocks: "nr_blocks takes a number with an optional k, m or g suffix",
  nr_inodes: "nr_inodes takes a number with an optional k, m or g suffix",
  mode: "mode takes permission bits in octal, such as 1777",
  ptmxmode: "ptmxmode takes permission bits in octal, such as 0666",
  uid: "uid takes the number of a user that the container's user namespace maps",
  gid: "gid takes the number of a group that the container's user namespace maps",
  hidepid: "hidepid takes off, noaccess, invisible or ptraceable, or 0, 1, 2 or 4",
  subset: 'subset takes "pid"',
  huge: "huge takes never, always, within_size or advise",
  mpol: "mpol takes default, local, prefer:NODE, bind:NODES or interleave:NODES",
};

/** What may be wrong with one parameter of a file system. */
export function optionHints(type: string, key: string): Readonly<Record<number, string>> {
  return { [EINVAL]: VALUES[key] ?? `${type} does not know "${key}", or not with this value` };
}
