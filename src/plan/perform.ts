import type { BerthError } from "../errors.ts";
import { systemError } from "../linux/errno.ts";
import { setU64 } from "../linux/memory.ts";
import { runNative } from "../linux/native.ts";
import { encode, type RunStep } from "./encode.ts";
import type { Slot, Step } from "./step.ts";

/** What a slot held when the Plan ended. */
export type Results = (slot: Slot) => number;

/**
 * Runs steps in the runtime itself.
 * @param inputs slots that are filled before the first step
 * @returns what the slots hold in the end
 * @throws BerthError for the step that failed, see {@link stepError}
 */
export function perform(plan: readonly Step[], inputs: ReadonlyMap<Slot, number> = new Map()): Results {
  const encoded = encode(plan);
  const view = new DataView(encoded.bytes.buffer);
  for (const [slot, value] of inputs) {
    const offset = encoded.offsetOf(slot);
    if (offset !== undefined) setU64(view, offset, value);
  }
  const failure = new Uint32Array(2);
  runNative(encoded.bytes, failure);
  const [step = 0, errno = 0] = failure;
  if (errno !== 0) throw stepError(encoded.steps[step], errno);
  return (slot) => {
    const offset = encoded.offsetOf(slot);
    return offset === undefined ? 0 : view.getInt32(offset, true);
  };
}

/**
 * Turns "step n failed with this errno" back into a sentence: config path, what was being done to what, and why it failed.
 */
export function stepError(
  step: RunStep | undefined,
  errno: number,
  detail: { cause?: unknown; hint?: string } = {},
): BerthError {
  if (step === undefined || step.kind === "branch") {
    return systemError(errno, "the executor stopped at an unknown step", detail);
  }
  const what = step.what ?? (step.kind === "call" ? step.call : "");
  const where = [step.path, step.subject].filter((part) => part !== "").join(" ");
  const hint = detail.hint ?? step.hints?.[errno] ?? step.hints?.[0];
  return systemError(errno, where === "" ? what : `${where}: ${what}`, { ...detail, hint });
}
