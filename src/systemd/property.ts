import type { Value } from "./marshal.ts";

/** A property of a unit, as StartTransientUnit takes it; man 5 org.freedesktop.systemd1. */
export interface Property {
  readonly name: string;
  /** Its D-Bus type. */
  readonly type: string;
  readonly value: Value;
  /** The part of config.json that asks for it, "" for none. */
  readonly configPath: string;
}

/** What systemd takes for "no limit". */
export const INFINITY = 0xffff_ffff_ffff_ffffn;

/** Joins lists of properties; of two with one name, the later one counts. */
export function mergeProperties(...lists: readonly (readonly Property[])[]): Property[] {
  const merged = new Map<string, Property>();
  for (const list of lists) for (const property of list) merged.set(property.name, property);
  return [...merged.values()];
}

/** Properties as StartTransientUnit and SetUnitProperties take them: "a(sv)". */
export function wire(properties: readonly Property[]): Value {
  return properties.map(({ name, type, value }) => [name, { type, value }]);
}

/** The part of config.json that systemd does not like, if what it says names the property. */
export function explained(message: string, properties: readonly Property[]): string | undefined {
  const said = new Set(message.split(/[^A-Za-z0-9]+/));
  return properties.find(({ name }) => said.has(name))?.configPath;
}

/** 'MemoryMax=67108864', for people. */
export function showProperty({ name, value }: Property): string {
  const show = (shown: Value): string => {
    if (Array.isArray(shown)) return shown.map(show).join(" ");
    return shown === INFINITY ? "infinity" : String(shown);
  };
  return `${name}=${show(value)}`;
}
