import {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  S_IFREG,
} from "../../linux/constants.ts";
import { readDirectory, tryMkdir } from "../../linux/directory.ts";
import { open, readAll, rename, tryOpen, tryUnlink, withDescriptor, writeAll } from "../../linux/file.ts";
import { sha256, syscall } from "../../linux/native.ts";
import { effectiveIds } from "../../linux/process.ts";
import { fstat } from "../../linux/status.ts";
import { fromUtf8, utf8, writeUtf8 } from "../../linux/text.ts";
import type { Compiled } from "./compile-filter.ts";

/*
 * Compiled filters, kept below the root of the containers' states: to compile the usual profile takes longer than all else of
 * a start. A file is named by what it was compiled from, and holds
 *
 *   SHA-256 of its name and of all that follows
 *   length of the description, 32 bits
 *   description (JSON), program
 *
 * It is used only if nobody but berth's user can have written it, and if its content is what was written.
 */

/** No container can have this id. */
export const CACHE_DIRECTORY = "seccomp@cache";
/** A host has a handful of profiles. One that makes a new one for each container must not fill the disk. */
const MAX_FILES = 64;
const MAX_SIZE = 1 << 18;
const DIGEST_SIZE = 32;
const FILE_MODE = 0o600;

/** The name of what is compiled from these. */
export function cacheKey(parts: readonly string[]): string {
  return hex(sha256(utf8(parts.map((part) => `${part.length}:${part}`).join(""))));
}

/** A filter that was kept, or undefined when there is none that can be trusted. */
export function readCached(root: string, key: string): Compiled | undefined {
  const directory = openDirectory(root);
  if (directory === undefined) return undefined;
  return withDescriptor(directory, () => {
    const fd = tryOpen(key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, directory);
    if (fd < 0) return undefined;
    return withDescriptor(fd, () => {
      const { mode, uid, size } = fstat(fd);
      const trusted = mode === (S_IFREG | FILE_MODE) && uid === effectiveIds().uid && size <= MAX_SIZE;
      return trusted ? unpack(key, readAll(fd)) : undefined;
    });
  });
}

/** Keeps a filter. @throws BerthError when that is not possible */
export function writeCached(root: string, key: string, compiled: Compiled): void {
  tryMkdir(`${root}/${CACHE_DIRECTORY}`, 0o700);
  const directory = openDirectory(root);
  if (directory === undefined) return;
  withDescriptor(directory, () => {
    const kept = readDirectory(".", directory);
    // Begun afresh: what is in use is soon there again, and nobody need keep a record of use.
    if (kept.length >= MAX_FILES) for (const { name } of kept) tryUnlink(name, directory);
    // A name of its own: several creations may write the same filter at the same time.
    const temporary = `${key}.${syscall("getpid")}`;
    tryUnlink(temporary, directory);
    const fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE, directory);
    try {
      withDescriptor(fd, () => writeAll(fd, pack(key, compiled)));
      rename(temporary, key, directory);
    } catch (error) {
      tryUnlink(temporary, directory);
      throw error;
    }
  });
}

/** The directory of kept filters, if nobody else can write there. */
function openDirectory(root: string): number | undefined {
  const fd = tryOpen(`${root}/${CACHE_DIRECTORY}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd < 0) return undefined;
  const { mode, uid } = fstat(fd);
  if (uid === effectiveIds().uid && (mode & 0o077) === 0) return fd;
  withDescriptor(fd, () => undefined);
  return undefined;
}

/** The content of a file. */
export function pack(key: string, { program, notifies, unknown }: Compiled): Uint8Array {
  const description = utf8(JSON.stringify({ notifies, unknown }));
  const bytes = new Uint8Array(DIGEST_SIZE + 4 + description.length + program.length);
  new DataView(bytes.buffer).setUint32(DIGEST_SIZE, description.length, true);
  bytes.set(description, DIGEST_SIZE + 4);
  bytes.set(program, DIGEST_SIZE + 4 + description.length);
  bytes.set(digest(key, bytes));
  return bytes;
}

/** What {@link pack} packed; undefined when it is not that. */
export function unpack(key: string, bytes: Uint8Array): Compiled | undefined {
  if (bytes.length < DIGEST_SIZE + 4) return undefined;
  const expected = digest(key, bytes);
  for (let i = 0; i < DIGEST_SIZE; i++) if (bytes[i] !== expected[i]) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(DIGEST_SIZE, true);
  const start = DIGEST_SIZE + 4;
  const description = fromUtf8(bytes.subarray(start, start + length));
  // Written by berth, as the digest says.
  const { notifies, unknown } = JSON.parse(description) as Omit<Compiled, "program">;
  return { notifies, unknown, program: bytes.slice(start + length) };
}

function digest(key: string, bytes: Uint8Array): Uint8Array {
  const content = bytes.subarray(DIGEST_SIZE);
  const whole = new Uint8Array(key.length + content.length);
  writeUtf8(key, whole);
  whole.set(content, key.length);
  return sha256(whole);
}

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
