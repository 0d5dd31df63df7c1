import { close } from "./file.ts";

/** Descriptors that are closed together, unless they were dropped before. */
export interface Scope {
  /** Closes `fd` when the scope ends. */
  keep(fd: number): number;
  /** Closes `fd` now. */
  drop(fd: number): void;
}

/** Runs `use`, and then closes all that it kept, whatever happened. */
export function scoped<T>(use: (scope: Scope) => T): T {
  const kept = new Set<number>();
  try {
    return use(scopeOf(kept));
  } finally {
    for (const fd of kept) close(fd);
  }
}

/** As {@link scoped}, for what waits for promises. */
export async function scopedAsync<T>(use: (scope: Scope) => Promise<T>): Promise<T> {
  const kept = new Set<number>();
  try {
    return await use(scopeOf(kept));
  } finally {
    for (const fd of kept) close(fd);
  }
}

function scopeOf(kept: Set<number>): Scope {
  return {
    keep(fd) {
      kept.add(fd);
      return fd;
    },
    drop(fd) {
      if (kept.delete(fd)) close(fd);
    },
  };
}
