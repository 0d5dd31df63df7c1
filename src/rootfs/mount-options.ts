import {
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_RELATIME,
  MOUNT_ATTR_STRICTATIME,
  MS_I_VERSION,
  MS_PRIVATE,
  MS_SHARED,
  MS_SILENT,
  MS_SLAVE,
  MS_UNBINDABLE,
} from "../linux/constants.ts";

/** What mount_setattr(2) is to change: bits of MOUNT_ATTR_*. */
export interface Attributes {
  readonly set: number;
  readonly clear: number;
}

/** A change of propagation: MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE. */
export interface Propagation {
  readonly type: number;
  readonly recursive: boolean;
}

/** A parameter of the file system itself: "size=64k", or a bare word. */
export interface DataOption {
  readonly text: string;
  readonly key: string;
  readonly value: string | undefined;
}

/** The options of one mount, sorted by who carries them out. */
export interface MountOptions {
  readonly bind: boolean;
  /** With `bind`: submounts too. */
  readonly recursive: boolean;
  readonly remount: boolean;
  readonly attributes: Attributes;
  /** For the mount and its submounts; applied after `attributes`, and so stronger. */
  readonly recursiveAttributes: Attributes;
  /** Flags of the superblock, as fsconfig(2) names them. */
  readonly superblock: readonly string[];
  /** MS_* that only mount(2) can pass on. */
  readonly mountFlags: number;
  readonly propagation: readonly Propagation[];
  readonly extensions: ReadonlySet<Extension>;
  readonly data: readonly DataOption[];
}

/** tmpcopyup as runc has it, the others as crun has them. */
export type Extension = "tmpcopyup" | "copy-symlink" | "src-nofollow" | "dest-nofollow" | "idmap" | "ridmap";

type Effect =
  | { readonly kind: "none" }
  | { readonly kind: "remount" }
  | { readonly kind: "bind"; readonly recursive: boolean }
  | ({ readonly kind: "attribute"; readonly recursive: boolean } & Attributes)
  | { readonly kind: "superblock"; readonly flag: string }
  | { readonly kind: "mount-flag"; readonly set: number; readonly clear: number }
  | ({ readonly kind: "propagation" } & Propagation)
  | { readonly kind: "extension"; readonly extension: Extension };

const set = (set: number, recursive = false): Effect => ({ kind: "attribute", set, clear: 0, recursive });
const clear = (clear: number, recursive = false): Effect => ({ kind: "attribute", set: 0, clear, recursive });
/** The access times are one field with three values, so that setting one clears the whole field. */
const atime = (set: number, recursive = false): Effect => ({
  kind: "attribute",
  set,
  clear: MOUNT_ATTR__ATIME,
  recursive,
});
const superblock = (flag: string): Effect => ({ kind: "superblock", flag });
const propagation = (type: number, recursive = false): Effect => ({ kind: "propagation", type, recursive });
const extension = (extension: Extension): Effect => ({ kind: "extension", extension });
const R = true;

/**
 * Every option with a meaning of its own (runtime-spec 1.3, config.md "Linux mount options", and the field's extensions).
 * All others are passed on to the file system.
 *
 * "atime", "norelatime" and "nostrictatime" go back to the kernel's default, which is relatime.
 */
const OPTIONS: Readonly<Record<string, Effect>> = {
  defaults: { kind: "none" },
  remount: { kind: "remount" },
  bind: { kind: "bind", recursive: false },
  rbind: { kind: "bind", recursive: true },

  ro: set(MOUNT_ATTR_RDONLY),
  rw: clear(MOUNT_ATTR_RDONLY),
  nosuid: set(MOUNT_ATTR_NOSUID),
  suid: clear(MOUNT_ATTR_NOSUID),
  nodev: set(MOUNT_ATTR_NODEV),
  dev: clear(MOUNT_ATTR_NODEV),
  noexec: set(MOUNT_ATTR_NOEXEC),
  exec: clear(MOUNT_ATTR_NOEXEC),
  nodiratime: set(MOUNT_ATTR_NODIRATIME),
  diratime: clear(MOUNT_ATTR_NODIRATIME),
  nosymfollow: set(MOUNT_ATTR_NOSYMFOLLOW),
  symfollow: clear(MOUNT_ATTR_NOSYMFOLLOW),
  relatime: atime(MOUNT_ATTR_RELATIME),
  norelatime: atime(MOUNT_ATTR_RELATIME),
  noatime: atime(MOUNT_ATTR_NOATIME),
  atime: atime(MOUNT_ATTR_RELATIME),
  strictatime: atime(MOUNT_ATTR_STRICTATIME),
  nostrictatime: atime(MOUNT_ATTR_RELATIME),

  rro: set(MOUNT_ATTR_RDONLY, R),
  rrw: clear(MOUNT_ATTR_RDONLY, R),
  rnosuid: set(MOUNT_ATTR_NOSUID, R),
  rsuid: clear(MOUNT_ATTR_NOSUID, R),
  rnodev: set(MOUNT_ATTR_NODEV, R),
  rdev: clear(MOUNT_ATTR_NODEV, R),
  rnoexec: set(MOUNT_ATTR_NOEXEC, R),
  rexec: clear(MOUNT_ATTR_NOEXEC, R),
  rnodiratime: set(MOUNT_ATTR_NODIRATIME, R),
  rdiratime: clear(MOUNT_ATTR_NODIRATIME, R),
  rnosymfollow: set(MOUNT_ATTR_NOSYMFOLLOW, R),
  rsymfollow: clear(MOUNT_ATTR_NOSYMFOLLOW, R),
  rrelatime: atime(MOUNT_ATTR_RELATIME, R),
  rnorelatime: atime(MOUNT_ATTR_RELATIME, R),
  rnoatime: atime(MOUNT_ATTR_NOATIME, R),
  ratime: atime(MOUNT_ATTR_RELATIME, R),
  rstrictatime: atime(MOUNT_ATTR_STRICTATIME, R),
  rnostrictatime: atime(MOUNT_ATTR_RELATIME, R),

  // A superblock has no submounts: the recursive spellings mean the same. On a bind the kernel takes none of these.
  sync: superblock("sync"),
  async: superblock("async"),
  dirsync: superblock("dirsync"),
  mand: superblock("mand"),
  nomand: superblock("nomand"),
  lazytime: superblock("lazytime"),
  nolazytime: superblock("nolazytime"),
  rsync: superblock("sync"),
  rasync: superblock("async"),
  rdirsync: superblock("dirsync"),
  rmand: superblock("mand"),
  rnomand: superblock("nomand"),
  iversion: { kind: "mount-flag", set: MS_I_VERSION, clear: 0 },
  noiversion: { kind: "mount-flag", set: 0, clear: MS_I_VERSION },
  silent: { kind: "mount-flag", set: MS_SILENT, clear: 0 },
  loud: { kind: "mount-flag", set: 0, clear: MS_SILENT },

  private: propagation(MS_PRIVATE),
  rprivate: propagation(MS_PRIVATE, R),
  slave: propagation(MS_SLAVE),
  rslave: propagation(MS_SLAVE, R),
  shared: propagation(MS_SHARED),
  rshared: propagation(MS_SHARED, R),
  unbindable: propagation(MS_UNBINDABLE),
  runbindable: propagation(MS_UNBINDABLE, R),

  tmpcopyup: extension("tmpcopyup"),
  "copy-symlink": extension("copy-symlink"),
  "src-nofollow": extension("src-nofollow"),
  "dest-nofollow": extension("dest-nofollow"),
  idmap: extension("idmap"),
  ridmap: extension("ridmap"),
};

/** The options that berth carries out, sorted, as `berth features` lists them. */
export function mountOptionNames(): string[] {
  return Object.keys(OPTIONS).sort();
}

/** `next` after `first`, as one change. */
export function afterwards(first: Attributes, next: Attributes): Attributes {
  return { set: (first.set & ~next.clear) | next.set, clear: first.clear | next.clear };
}

/** Whether a change changes nothing. */
export function isEmpty({ set, clear }: Attributes): boolean {
  return set === 0 && clear === 0;
}

const NONE: Attributes = { set: 0, clear: 0 };

/** Sorts the options of a mount. Among contradicting ones the last wins. */
export function parseMountOptions(options: readonly string[]): MountOptions {
  let bind = false;
  let recursive = false;
  let remount = false;
  let attributes = NONE;
  let recursiveAttributes = NONE;
  let mountFlags = 0;
  const superblock: string[] = [];
  const propagation: Propagation[] = [];
  const extensions = new Set<Extension>();
  const data: DataOption[] = [];
  for (const option of options.flatMap(splitOption)) {
    const effect = Object.hasOwn(OPTIONS, option) ? OPTIONS[option] : idMapped(option);
    switch (effect?.kind) {
      case undefined:
        data.push(parseData(option));
        break;
      case "none":
        break;
      case "remount":
        remount = true;
        break;
      case "bind":
        bind = true;
        recursive ||= effect.recursive;
        break;
      case "attribute":
        if (effect.recursive) recursiveAttributes = afterwards(recursiveAttributes, effect);
        else attributes = afterwards(attributes, effect);
        break;
      case "superblock":
        superblock.push(effect.flag);
        break;
      case "mount-flag":
        mountFlags = (mountFlags & ~effect.clear) | effect.set;
        break;
      case "propagation":
        propagation.push({ type: effect.type, recursive: effect.recursive });
        break;
      case "extension":
        extensions.add(effect.extension);
    }
  }
  return {
    bind,
    recursive,
    remount,
    attributes,
    recursiveAttributes,
    superblock,
    mountFlags,
    propagation,
    extensions,
    data,
  };
}

/** One string may hold several options, as the field joins them all with commas; "\," and quotes keep a comma. */
function splitOption(option: string): string[] {
  if (!option.includes(",")) return option === "" ? [] : [option];
  return option.match(/(?:\\.|"[^"]*"?|[^,])+/g) ?? [];
}

function idMapped(option: string): Effect | undefined {
  if (option.startsWith("idmap=")) return extension("idmap");
  if (option.startsWith("ridmap=")) return extension("ridmap");
  return undefined;
}

function parseData(text: string): DataOption {
  const equals = text.indexOf("=");
  if (equals <= 0) return { text, key: text, value: undefined };
  return { text, key: text.slice(0, equals), value: text.slice(equals + 1) };
}
