import { O_RDONLY } from "../linux/constants.ts";
import { check } from "../linux/errno.ts";
import { readAll, tryOpenInRoot, withDescriptor } from "../linux/file.ts";

/**
 * "HOME=..." for a user, from the container's own /etc/passwd; "HOME=/" when that does not know the user.
 * @param root a descriptor of the container's root
 */
export function homeEntry(root: number, uid: number): string {
  const fd = tryOpenInRoot(root, "etc/passwd", O_RDONLY);
  if (fd < 0) return "HOME=/";
  const passwd = withDescriptor(check(fd, "open /etc/passwd"), (file) =>
    new TextDecoder().decode(readAll(file, "read /etc/passwd of the container")),
  );
  for (const line of passwd.split("\n")) {
    const fields = line.split(":");
    if (fields[2] === String(uid)) return `HOME=${fields[5] || "/"}`;
  }
  return "HOME=/";
}
