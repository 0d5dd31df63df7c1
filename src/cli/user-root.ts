import { BerthError } from "../errors.ts";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFDIR, S_IFMT } from "../linux/constants.ts";
import { exists, tryStat } from "../linux/status.ts";

/**
 * Where state is kept by default for a user without XDG_RUNTIME_DIR: below /run/user/UID, where a login makes that, or else in
 * /tmp/berth-UID. Anybody can make things in /tmp: what is there must be the user's alone; the store makes what is not.
 * @throws BerthError "root"
 */
export function userRoot(uid: number, runtime = `/run/user/${uid}`, temporary = "/tmp"): string {
  if (isOwn(runtime, uid)) return `${runtime}/berth`;
  const path = `${temporary}/berth-${uid}`;
  if (!exists(path) || isOwn(path, uid)) return path;
  throw new BerthError("root", `"${path}" is not a directory that belongs to user ${uid} alone`, {
    hint: "set XDG_RUNTIME_DIR, or say with --root where the state of containers is to be kept",
  });
}

function isOwn(path: string, uid: number): boolean {
  const status = tryStat(path, AT_FDCWD, AT_SYMLINK_NOFOLLOW);
  if (typeof status === "number") return false;
  return (status.mode & S_IFMT) === S_IFDIR && status.uid === uid && (status.mode & 0o077) === 0;
}
