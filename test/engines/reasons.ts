/** Why an outcome may differ from runc's: reasons that several engines share. */
import type { Operation } from "./operation.ts";

/** Of the text of errors. Exit codes, and what engines make of the text, are compared all the same. */
export const WORDS = "berth says it in its own words, and names what of config.json it is about";

export const MASKS: NonNullable<Operation["improves"]> = {
  stdout:
    "a masked file is the host's own /dev/null, which no container can have faked; a masked directory has no room for anything",
};
