import { readDirectory } from "../linux/directory.ts";
import { readSome, tryReadlink, withDescriptor } from "../linux/file.ts";
import { pidfdGetfd } from "../linux/process.ts";
import { fromUtf8 } from "../linux/text.ts";

const CONTEXT = "anon_inode:[fscontext]";
/** The kernel keeps at most eight messages, each shorter than this. */
const MESSAGES = 8;
const MESSAGE_SIZE = 4096;
/**
 * Why the kernel refused to make a file system: an errno says little, but each fsopen context keeps a log. Takes it from the
 * contexts that init has open after a step failed, so that it can be read only once; Documentation/filesystems/mount_api.rst.
 * @param pid the process of `pidfd`, as /proc here names it
 * @returns errors and warnings, oldest first; none as well when init is gone or may not be looked into
 */
export function readMountLog(pidfd: number, pid: number): string[] {
  const messages: string[] = [];
  try {
    const directory = `/proc/${pid}/fd`;
    for (const { name } of readDirectory(directory)) {
      if (tryReadlink(`${directory}/${name}`) !== CONTEXT) continue;
      const context = pidfdGetfd(pidfd, Number(name));
      messages.push(...withDescriptor(context, drain));
    }
  } catch {
    // Only a hint: what failed is being told already.
  }
  return messages;
}

function drain(context: number): string[] {
  const messages: string[] = [];
  try {
    for (let i = 0; i < MESSAGES; i++) {
      const text = fromUtf8(readSome(context, MESSAGE_SIZE)).trimEnd();
      // "e": error, "w": warning, "i": information
      if (text.startsWith("e ") || text.startsWith("w ")) messages.push(text.slice(2));
    }
  } catch {
    // ENODATA ends the log; after any other failure there is nothing to read either.
  }
  return messages;
}
