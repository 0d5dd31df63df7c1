import { BerthError } from "../../errors.ts";
import { systemError } from "../../linux/errno.ts";
import { readAll, rewind, withDescriptor } from "../../linux/file.ts";
import { callFunction, findSymbol, openLibrary } from "../../linux/library.ts";
import { at, scratch } from "../../linux/memory.ts";
import { emptyMemfd } from "../../linux/spawn.ts";
import type { Comparison } from "./profile.ts";

/** The host's libseccomp. */
export interface Libseccomp {
  /** As "2.5.4". */
  readonly version: string;
  readonly handle: number;
}

/** Loads the host's libseccomp. @throws BerthError "no-libseccomp" */
export function openLibseccomp(): Libseccomp {
  const handle = openLibrary("libseccomp.so.2");
  if (handle === undefined) {
    throw new BerthError(
      "no-libseccomp",
      "linux.seccomp: cannot load libseccomp.so.2, which compiles the profile",
      {
        hint: 'install it ("apt-get install libseccomp2", "dnf install libseccomp"), or leave linux.seccomp out',
      },
    );
  }
  // const struct scmp_version { unsigned int major, minor, micro; } *, in the library's memory: copied to ours.
  const version = callFunction(findSymbol(handle, "seccomp_version"));
  const here = scratch().room(12);
  callFunction(findMemcpy(handle), here, version, 12);
  return { handle, version: `${at.u32(here)}.${at.u32(here + 4)}.${at.u32(here + 8)}` };
}

/** The C library's memcpy, by way of a library that needs it. */
function findMemcpy(handle: number): number {
  return findSymbol(handle, "memcpy");
}

/** A filter in the making: scmp_filter_ctx. Each throws a BerthError with the errno that libseccomp gave. */
export interface FilterBuilder {
  /** libseccomp's number of the machine's architecture. */
  readonly native: number;
  /** libseccomp's number of an architecture by its name there; 0: unknown. */
  architecture(name: string): number;
  /** Lets the filter be for another architecture too. Answers 0 or a negated errno. */
  addArchitecture(number: number): number;
  /** The number that a rule takes for a system call, which may be negative; undefined: no architecture has one of that name. */
  resolve(name: string): number | undefined;
  /** The number of a system call on one architecture; negative: it has none. */
  numberOn(architecture: number, name: string): number;
  /** Answers 0 or a negated errno. */
  addRule(action: number, systemCall: number, comparisons: readonly Comparison[]): number;
  /** For filters of many rules: decides by a binary search. */
  sort(): void;
  /** The whole as struct sock_filter[]. */
  export(): Uint8Array;
}

const UNKNOWN = -1;
/** enum scmp_filter_attr */
const SCMP_FLTATR_CTL_OPTIMIZE = 8;
const COMPARISON_SIZE = 24;

/** Runs `build` with a new filter of this default action. @throws BerthError */
export function buildFilter<T>(
  { handle }: Libseccomp,
  action: number,
  build: (builder: FilterBuilder) => T,
): T {
  const find = (name: string) => findSymbol(handle, `seccomp_${name}`);
  const context = callFunction(find("init"), action);
  if (context === 0) {
    throw new BerthError(
      "seccomp",
      "linux.seccomp.defaultAction: libseccomp does not take it (seccomp_init)",
    );
  }
  const addRule = find("rule_add_array");
  const resolve = find("syscall_resolve_name");
  const resolveOn = find("syscall_resolve_name_arch");
  try {
    return build({
      native: callFunction(find("arch_native")) >>> 0,
      architecture: (name) => callFunction(find("arch_resolve_name"), scratch().text(name)) >>> 0,
      addArchitecture: (number) => callFunction(find("arch_add"), context, number) | 0,
      resolve(name) {
        const number = callFunction(resolve, scratch().text(name)) | 0;
        return number === UNKNOWN ? undefined : number;
      },
      numberOn: (architecture, name) => callFunction(resolveOn, architecture, scratch().text(name)) | 0,
      addRule(action, systemCall, comparisons) {
        const array = scratch().space(COMPARISON_SIZE * comparisons.length);
        comparisons.forEach(({ index, operator, a, b }, i) => {
          // struct scmp_arg_cmp { unsigned int arg; enum scmp_compare op; uint64_t a, b; }
          const words = [index, operator, ...a, ...b];
          words.forEach((word, n) => {
            at.setU32(array + COMPARISON_SIZE * i + 4 * n, word);
          });
        });
        return callFunction(addRule, context, action, systemCall, comparisons.length, array) | 0;
      },
      sort: () => {
        // An older one that knows no such attribute makes a slower filter, and the same.
        callFunction(find("attr_set"), context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
      },
      export: () =>
        withDescriptor(emptyMemfd("berth-seccomp"), (fd) => {
          const result = callFunction(find("export_bpf"), context, fd) | 0;
          if (result < 0)
            throw systemError(-result, "linux.seccomp: compile the filter (seccomp_export_bpf)");
          rewind(fd);
          return readAll(fd, "read the compiled filter");
        }),
    });
  } finally {
    callFunction(find("release"), context);
  }
}
