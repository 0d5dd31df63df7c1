/** What the suites know of an engine. */
import type { Operation, Outcome, Script } from "./operation.ts";
import type { Place } from "./scratch.ts";
import { runScript } from "./shell.ts";

/** An engine that has been started for one runtime. */
export interface Started<O extends Operation> {
  /** Carries out an operation, and takes away the containers that it left. @param signal ends what hangs */
  perform(operation: O, signal: AbortSignal): Promise<Outcome>;
  stop(): Promise<void>;
}

export interface Engine<O extends Operation> {
  readonly name: string;
  /** Which cgroups the engine itself makes and leaves, with runc too. */
  readonly keeps: RegExp;
  /** Starts it in this place, so that it uses the place's runtime. */
  start(place: Place): Promise<Started<O>>;
}

/**
 * How operations that are lines of bash are carried out.
 * @param env what the engine's command needs
 * @param tidy lines that take away the containers that an operation left
 */
export function performScripts(
  place: Place,
  env: Record<string, string>,
  tidy: string,
): Started<Script>["perform"] {
  return async (operation, signal) => {
    const outcome = await runScript(place, env, operation.script, signal);
    await runScript(place, env, `${operation.tidy ?? ""}\n${tidy}`);
    return outcome;
  };
}

/** @throws Error with what it wrote to stderr, if it fails */
export async function prepare(place: Place, env: Record<string, string>, lines: string): Promise<void> {
  const { exit, stderr } = await runScript(place, env, lines);
  if (exit !== 0) throw new Error(`${lines}: ${stderr}`);
}
