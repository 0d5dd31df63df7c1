/** What the engines are asked to do, as data, and what came of it. */

/** The runtimes that are compared. The first sets the standard. */
export const RUNTIMES = ["runc", "berth"] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** What can be seen of an operation. */
export interface Outcome {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A part of an {@link Outcome} whose text may differ. */
export type Part = "stdout" | "stderr";

/**
 * A difference from runc's that is meant: these texts stand for each other, as normalise.ts leaves them, and all around them is the
 * same. Both must be there.
 */
export interface Difference {
  readonly part: Part;
  readonly runc: string;
  readonly berth: string;
  /** Why berth's is the better. */
  readonly reason: string;
}

/** One row: it is carried out with each runtime in the same place, and the outcomes are compared. */
export interface Operation {
  readonly name: string;
  /** The exit code that a healthy runtime gives. 0 unless said. */
  readonly exit?: number;
  /** Why it fails on this host whatever the runtime is. Compared all the same. */
  readonly failsHere?: string;
  /** In the order of the output. */
  readonly improves?: readonly Difference[];
}

/** What is asked of an engine that has a command line. */
export interface Script extends Operation {
  /** Lines of bash. The engine's command is in PATH and works in the scratch directory; $RUNTIME is the runtime's path. */
  readonly script: string;
  /** Lines that run afterwards, whatever came of it. */
  readonly tidy?: string;
}
