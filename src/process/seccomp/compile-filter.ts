import { BerthError } from "../../errors.ts";
import { EEXIST, systemError } from "../../linux/errno.ts";
import { answerOf, assemble, INSTRUCTION_SIZE, MAX_INSTRUCTIONS } from "./bpf.ts";
import { buildFilter, type FilterBuilder, type Libseccomp } from "./libseccomp.ts";
import { ACTION_MASK, ACTIONS } from "./names.ts";
import { answersNewer, newerPrologue } from "./newer.ts";
import type { Profile } from "./profile.ts";

/** A compiled profile: all that depends on it and on libseccomp alone, so that it can be kept. */
export interface Compiled {
  /** struct sock_filter[] */
  readonly program: Uint8Array;
  readonly notifies: boolean;
  /** System calls that the profile names and libseccomp does not know: no rule came of them. */
  readonly unknown: readonly string[];
}

/** System calls of a 64-bit machine as its own programs make them, by libseccomp's number of it: execve, read. */
const NEEDED: Readonly<Record<number, readonly [execve: number, read: number]>> = {
  3221225534: [59, 0],
  3221225655: [221, 63],
};
/** Where a linear search through the rules of a filter gets slower than a binary one. */
const MANY_RULES = 32;

/**
 * Compiles a profile.
 * @throws BerthError for what libseccomp refuses, and for a profile under which no container could start
 */
export function compileFilter(profile: Profile, library: Libseccomp): Compiled {
  return buildFilter(library, profile.defaultAction, (builder) => {
    const architectures = addArchitectures(profile, builder, library.version);
    const { unknown, count } = addRules(profile, builder);
    if (count > MANY_RULES) builder.sort();
    const last = answersNewer(profile.defaultAction)
      ? lastNumbers(profile, builder, architectures)
      : new Map();
    const prologue = assemble(newerPrologue(last));
    const filter = builder.export();
    const program = new Uint8Array(prologue.length + filter.length);
    program.set(prologue);
    program.set(filter, prologue.length);
    const instructions = program.length / INSTRUCTION_SIZE;
    if (instructions > MAX_INSTRUCTIONS) {
      throw new BerthError(
        "too-large",
        `linux.seccomp: the profile makes a filter of ${instructions} instructions, and the kernel takes ${MAX_INSTRUCTIONS}`,
        { hint: "fewer architectures or fewer comparisons of arguments make it smaller" },
      );
    }
    checkUsable(program, builder.native, profile.notifies);
    return { program, notifies: profile.notifies, unknown };
  });
}

function addArchitectures(profile: Profile, builder: FilterBuilder, version: string): number[] {
  const all = [builder.native];
  profile.architectures.forEach((name, i) => {
    const path = `linux.seccomp.architectures[${i}] "${name}"`;
    const number = builder.architecture(name.slice("SCMP_ARCH_".length).toLowerCase());
    if (number === 0) {
      throw new BerthError("unsupported", `${path}: unknown to this host's libseccomp, which is ${version}`);
    }
    if (all.includes(number)) return;
    const result = builder.addArchitecture(number);
    if (result < 0) {
      throw systemError(-result, `${path}: libseccomp does not add it to a filter of this machine`, {
        hint: "one filter is for architectures of the same byte order",
      });
    }
    all.push(number);
  });
  return all;
}

function addRules(profile: Profile, builder: FilterBuilder): { unknown: string[]; count: number } {
  const unknown: string[] = [];
  let count = 0;
  for (const { path, names, action, conditions } of profile.rules) {
    // libseccomp takes no rule that says what the default says.
    const redundant = action === profile.defaultAction;
    for (const name of names) {
      const number = builder.resolve(name);
      if (number === undefined) {
        if (!unknown.includes(name)) unknown.push(name);
        continue;
      }
      if (redundant) continue;
      for (const comparisons of conditions) {
        const result = builder.addRule(action, number, comparisons);
        if (result < 0 && result !== -EEXIST) {
          throw systemError(-result, `${path}: libseccomp does not take the rule for "${name}"`);
        }
        count++;
      }
    }
  }
  return { unknown, count };
}

function lastNumbers(
  { rules }: Profile,
  builder: FilterBuilder,
  architectures: readonly number[],
): Map<number, number> {
  const last = new Map<number, number>();
  for (const architecture of architectures) {
    let greatest = -1;
    for (const { names } of rules) {
      for (const name of names) {
        const number = builder.numberOn(architecture, name);
        if (number > greatest) greatest = number;
      }
    }
    if (greatest >= 0) last.set(architecture, greatest);
  }
  return last;
}

/** Refuses a profile under which nothing could be executed, before anything is made for it. */
function checkUsable(program: Uint8Array, architecture: number, notifies: boolean): void {
  const needed = NEEDED[architecture];
  if (needed === undefined) return;
  const [execve, read] = needed;
  if (forbids(program, architecture, execve)) {
    throw new BerthError(
      "invalid-config",
      "linux.seccomp: the profile forbids execve, so that nothing can start",
      {
        hint: "the container's own process is executed under it: allow execve",
      },
    );
  }
  if (notifies && forbids(program, architecture, read)) {
    throw new BerthError(
      "invalid-config",
      "linux.seccomp: a profile with SCMP_ACT_NOTIFY must not forbid read",
      {
        hint: "under it, the container's process waits until the listener has its descriptor",
      },
    );
  }
}

function forbids(program: Uint8Array, architecture: number, number: number): boolean {
  const answer = answerOf(program, architecture, number);
  if (answer === undefined) return false;
  const action = (answer & ACTION_MASK) >>> 0;
  return action <= ACTIONS.SCMP_ACT_ERRNO || action >= ACTIONS.SCMP_ACT_KILL_PROCESS;
}
