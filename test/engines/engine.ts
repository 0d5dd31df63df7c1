/** What the suites know of an engine. */
import type { Place } from "./scratch.ts";

/** An engine that has been started for one runtime. */
export interface Started {
  /** What its command needs in the environment. */
  readonly env: Record<string, string>;
  /** Lines of bash that take away the containers that an operation left. */
  readonly tidy: string;
  stop(): Promise<void>;
}

export interface Engine {
  readonly name: string;
  /** Which cgroups the engine itself makes and leaves, with runc too. */
  readonly keeps: RegExp;
  /** Starts it in this place, so that it uses the place's runtime. */
  start(place: Place): Promise<Started>;
}
