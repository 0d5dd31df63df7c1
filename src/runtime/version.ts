import { devDependencies } from "../../package.json";

export { version } from "../../package.json";

/** The version of the interpreter that berth is compiled with. */
export const quickjs = devDependencies["@suchipi/quickjs"];

/** The version of the runtime-spec that berth carries out. */
export const SPEC_VERSION = "1.3.0";

/** Replaced when the engine is compiled, see scripts/bundle.ts. */
declare const BERTH_COMMIT: string | undefined;

/** The commit that this program was built from; "unknown" when it was not compiled. */
export function commit(): string {
  return typeof BERTH_COMMIT === "string" ? BERTH_COMMIT : "unknown";
}
