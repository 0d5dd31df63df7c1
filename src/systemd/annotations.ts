import { BerthError, messageOf } from "../errors.ts";
import type { Value, Variant } from "./marshal.ts";
import { INFINITY, type Property } from "./property.ts";
import { parseVariant } from "./variant-text.ts";

const PREFIX = "org.systemd.property.";
/** What makes the container's unit what berth takes it for. */
const OWN: ReadonlySet<string> = new Set(["PIDs", "PIDFDs", "Slice"]);

/**
 * The properties that annotations "org.systemd.property.NAME" ask for, each a value in GVariant's text format. NAMESec takes a
 * number of seconds, as unit files do, and stands for NAMEUSec.
 * @throws BerthError "invalid-config"
 */
export function annotationProperties(annotations: Readonly<Record<string, string>>): Property[] {
  const properties: Property[] = [];
  for (const [key, text] of Object.entries(annotations)) {
    if (!key.startsWith(PREFIX)) continue;
    const configPath = `annotations["${key}"]`;
    const name = key.slice(PREFIX.length);
    const refuse = (why: string, hint?: string) =>
      new BerthError("invalid-config", `${configPath}: ${why}`, { hint });
    if (!/^[A-Z][A-Za-z0-9]+$/.test(name)) throw refuse("it names no property of systemd");
    if (OWN.has(name)) throw refuse("berth sets this property itself");
    let variant: Variant;
    try {
      variant = parseVariant(text);
    } catch (error) {
      throw refuse(
        `${JSON.stringify(text)} is no value: ${messageOf(error)}`,
        "the format is GVariant's: 'text' in quotes, true, 5, uint64 5, ['a', 'b'], @as []",
      );
    }
    if (!/[^U]Sec$/.test(name)) {
      properties.push({ name, ...variant, configPath });
      continue;
    }
    const value = microseconds(variant.value);
    if (value === undefined) throw refuse(`${text} is no number of seconds`);
    properties.push({ name: name.replace(/Sec$/, "USec"), type: "t", value, configPath });
  }
  return properties;
}

function microseconds(seconds: Value): bigint | undefined {
  if (seconds === "infinity") return INFINITY;
  if (typeof seconds === "bigint") return seconds < 0n ? undefined : seconds * 1_000_000n;
  if (typeof seconds !== "number" || !(seconds >= 0)) return undefined;
  return Number.isFinite(seconds) ? BigInt(Math.round(seconds * 1e6)) : INFINITY;
}
