import { BerthError, isBerthError, messageOf } from "../errors.ts";
import type { Resources } from "../spec/resources.ts";
import {
  connectManager,
  type Manager,
  managerFacts,
  readProperty,
  refused,
  setProperties,
  unitObject,
} from "./connection.ts";
import { resourceProperties } from "./limits.ts";
import { explained, type Property, wire } from "./property.ts";
import type { Unit } from "./room.ts";

/**
 * Changes the properties of a container's unit, and then the files of its cgroup. When the files refuse, the properties are set
 * back.
 * @param write changes the files; those of the properties too, more exactly than these can
 * @throws BerthError when systemd refuses, or cannot be asked; and what `write` throws
 */
export function updateUnit(unit: Unit, resources: Resources, write: () => void): void {
  const manager = connectManager(unit.manager);
  try {
    const properties = resourceProperties(resources, managerFacts(manager).version);
    if (properties.length === 0) {
      write();
      return;
    }
    const update = new UnitUpdate(manager, unit, properties);
    update.apply();
    try {
      write();
    } catch (error) {
      throw update.setBack(error);
    }
  } finally {
    manager.bus.close();
  }
}

class UnitUpdate {
  readonly #manager: Manager;
  readonly #unit: Unit;
  readonly #properties: readonly Property[];
  #before: readonly Property[] = [];

  constructor(manager: Manager, unit: Unit, properties: readonly Property[]) {
    this.#manager = manager;
    this.#unit = unit;
    this.#properties = properties;
  }

  apply(): void {
    const subject = `change systemd unit "${this.#unit.name}"`;
    try {
      this.#before = this.#read();
      setProperties(this.#manager, this.#unit.name, wire(this.#properties));
    } catch (error) {
      const at = explained(messageOf(error), this.#properties);
      throw refused(error, at === undefined ? subject : `${at}: ${subject}`, this.#manager.kind);
    }
    this.#settle();
  }

  /** After a failure. @returns it, with what goes wrong here */
  setBack(failure: unknown): unknown {
    // An entry for a device replaces none but that device's: first all must go.
    const cleared = this.#before
      .filter(({ type }) => type.startsWith("a("))
      .map((property) => ({ ...property, value: [] }));
    try {
      setProperties(this.#manager, this.#unit.name, wire([...cleared, ...this.#before]));
      this.#settle();
      return failure;
    } catch (error) {
      if (!isBerthError(failure) || !isBerthError(error)) return failure;
      const also = `systemd unit "${this.#unit.name}" was not set back: ${error.message}`;
      return new BerthError(failure.code, `${failure.message}; ${also}`, {
        hint: failure.hint,
        cause: failure,
      });
    }
  }

  #read(): Property[] {
    const object = unitObject(this.#manager, this.#unit.name);
    return this.#properties.map(({ name, configPath }) => ({
      ...readProperty(this.#manager, object, kindOf(this.#unit.name), name),
      name,
      configPath,
    }));
  }

  /**
   * Waits until systemd has written the cgroup's files. It answers before it does, but does before it looks at the next message;
   * otherwise it would undo what is written to them now.
   */
  #settle(): void {
    managerFacts(this.#manager);
  }
}

function kindOf(unit: string): "Scope" | "Slice" {
  return unit.endsWith(".slice") ? "Slice" : "Scope";
}
