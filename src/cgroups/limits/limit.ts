/** One write to a file of the container's cgroup; Documentation/admin-guide/cgroup-v2.rst "Controllers". */
export interface LimitWrite {
  /** Whose file it is; "cgroup" for the files that every cgroup has. */
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  /** The field of config.json that asks for it. */
  readonly path: string;
  /** In a file with a line for each device: the device whose line `value` sets. */
  readonly key?: string;
  /** Where the kernel has no `file`, it has this one. */
  readonly otherwise?: { readonly file: string; readonly value: string };
  /** Nothing is lost where the file is missing: it would say what holds then anyway. */
  readonly optional?: true;
  /** The same is written once more later, when it may work: a failure now is none. */
  readonly retried?: true;
}

/** A field that cgroup v2 has nothing for. */
export interface Ignored {
  readonly path: string;
  /** The controller of cgroup v1 that has it: a host that binds it there could carry it out. */
  readonly controller: string;
}

/** A limit that the container must not have reached already. */
export interface Ceiling {
  readonly path: string;
  /** In bytes. */
  readonly limit: number;
}

/** linux.resources, apart from devices, in the terms of cgroup v2. */
export interface Limits {
  /** In the order in which they are to be made. */
  readonly writes: readonly LimitWrite[];
  readonly ignored: readonly Ignored[];
  /** Those to compare with memory.current before anything is written. */
  readonly ceilings: readonly Ceiling[];
  /**
   * What to tell about a write that failed with `errno`, if there is anything to tell.
   * @param read gives the text of a file of the host, or undefined
   */
  readonly hint: (write: LimitWrite, errno: number, read: ReadHost) => string | undefined;
}

/** The text of a file by its absolute path, or undefined when it cannot be read. */
export type ReadHost = (path: string) => string | undefined;
