/** Where a container is in its life. "creating" is seen only by hooks; "paused" is berth's and runc's addition. */
export type Status = "creating" | "created" | "running" | "paused" | "stopped";

/** The state of a container as hooks and `berth state` give it. Runtime-spec 1.3, runtime.md "State". */
export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: Status;
  /** Of the container's first process, in the pid namespace of whoever asks. 0 when it has ended. */
  readonly pid: number;
  /** Absolute path. */
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}
