import { BerthError, hasCode, isBerthError } from "../errors.ts";
import { SIGKILL } from "../linux/constants.ts";
import { errnoText } from "../linux/errno.ts";
import { environment } from "../linux/native.ts";
import { effectiveIds } from "../linux/process.ts";
import { isDirectory } from "../linux/status.ts";
import { hostUser } from "./account.ts";
import { type Bus, type MethodCall, tryBus } from "./bus.ts";
import type { Value, Variant } from "./marshal.ts";
import type { Message } from "./message.ts";
import type { ManagerKind } from "./unit.ts";

/*
 * Talking to systemd; man 5 org.freedesktop.systemd1.
 */

const SERVICE = "org.freedesktop.systemd1";
const OBJECT = "/org/freedesktop/systemd1";
const INTERFACE = "org.freedesktop.systemd1.Manager";

/** A connection to a systemd that tells of its jobs. */
export interface Manager {
  readonly bus: Bus;
  readonly kind: ManagerKind;
}

/**
 * Connects to systemd: over the bus, or where there is none over its own socket, which only its owner may use.
 * @throws BerthError "no-systemd" when it does not run here, "no-bus" when it cannot be reached
 */
export function connectManager(kind: ManagerKind): Manager {
  // sd_booted(3): the directory is there exactly when systemd is the init of this machine or container.
  if (!isDirectory("/run/systemd/system")) {
    throw new BerthError(
      "no-systemd",
      "systemd not running on this host, cannot use systemd cgroups manager",
      {
        hint: "set the engine's cgroup manager to cgroupfs: for Podman --cgroup-manager cgroupfs, for Docker native.cgroupdriver=cgroupfs",
      },
    );
  }
  const tried: string[] = [];
  for (const { socket, direct } of socketsOf(kind)) {
    const bus = tryBus(socket);
    if (typeof bus === "number") {
      tried.push(`"${socket}": ${errnoText(-bus)}`);
      continue;
    }
    try {
      greet(bus, direct);
    } catch (error) {
      bus.close();
      throw refused(error, `connect to the ${kind}'s systemd over "${socket}"`, kind);
    }
    return { bus, kind };
  }
  throw new BerthError("no-bus", `cannot connect to the ${kind}'s systemd: ${tried.join("; ")}`, {
    hint:
      kind === "system"
        ? "start D-Bus, or use --cgroup-manager cgroupfs"
        : 'log in so that systemd runs for this user ("loginctl enable-linger" keeps it), and set XDG_RUNTIME_DIR; or use --cgroup-manager cgroupfs',
  });
}

function socketsOf(kind: ManagerKind): { socket: string; direct: boolean }[] {
  const { DBUS_SYSTEM_BUS_ADDRESS, DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR } = environment;
  if (kind === "system") {
    return [
      { socket: socketOf(DBUS_SYSTEM_BUS_ADDRESS) ?? "/run/dbus/system_bus_socket", direct: false },
      { socket: "/run/systemd/private", direct: true },
    ];
  }
  const directory = XDG_RUNTIME_DIR || `/run/user/${hostUser(effectiveIds().uid)}`;
  return [
    { socket: socketOf(DBUS_SESSION_BUS_ADDRESS) ?? `${directory}/bus`, direct: false },
    { socket: `${directory}/systemd/private`, direct: true },
  ];
}

/** The path in the first D-Bus address that is one of a socket in the file system; "Server Addresses" of the specification. */
export function socketOf(addresses: string | undefined): string | undefined {
  const path = /(?:^|;)unix:(?:[^;]*,)?path=([^,;]+)/.exec(addresses ?? "")?.[1];
  return path === undefined ? undefined : decodeURIComponent(path);
}

/** Introduces us and asks for signals, all in one round trip. */
function greet(bus: Bus, direct: boolean): void {
  const toBus = (member: string, argument?: string): MethodCall => ({
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member,
    ...(argument === undefined ? {} : { signature: "s", body: [argument] }),
  });
  const rule = `type='signal',sender='${SERVICE}',interface='${INTERFACE}',member='JobRemoved'`;
  const calls = direct ? [] : [toBus("Hello"), toBus("AddMatch", rule)];
  const serials = [...calls, managerCall("Subscribe")].map((call) => bus.send(call));
  for (const serial of serials) bus.answer(serial);
}

function managerCall(member: string, signature = "", body: readonly Value[] = []): MethodCall {
  return { destination: SERVICE, path: OBJECT, interface: INTERFACE, member, signature, body };
}

function propertyCall(path: string, of: string, name: string): MethodCall {
  return {
    destination: SERVICE,
    path,
    interface: "org.freedesktop.DBus.Properties",
    member: "Get",
    signature: "ss",
    body: [of, name],
  };
}

/** What must be known of a systemd before a unit is asked for. */
export interface ManagerFacts {
  /** 252 */
  readonly version: number;
  /** The cgroup that all its units lie in; "" for the root. */
  readonly cgroup: string;
}

/** Asks systemd about itself. @throws BerthError */
export function managerFacts({ bus, kind }: Manager): ManagerFacts {
  try {
    const serials = ["Version", "ControlGroup"].map((name) =>
      bus.send(propertyCall(OBJECT, INTERFACE, name)),
    );
    const [version = "", cgroup = ""] = serials.map((serial) => variantText(bus.answer(serial)));
    return { version: Number(/\d+/.exec(version)?.[0] ?? 0), cgroup: cgroup.replace(/\/$/, "") };
  } catch (error) {
    throw refused(error, `ask the ${kind}'s systemd for its version`, kind);
  }
}

function variantText({ body }: Message): string {
  return String((body[0] as Variant | undefined)?.value ?? "");
}

/** The state of a unit ("active", "failed", man 1 systemctl), or undefined when there is none of that name. @throws BerthError */
export function unitState({ bus, kind }: Manager, name: string): string | undefined {
  try {
    const path = unitObject({ bus, kind }, name);
    return String(readProperty({ bus, kind }, path, "Unit", "ActiveState").value);
  } catch (error) {
    // It may also go away between the two questions.
    if (isNoUnit(error)) return undefined;
    throw refused(error, `ask the ${kind}'s systemd for unit "${name}"`, kind);
  }
}

/** The D-Bus object of a unit. @throws BerthError whose code is the name of the D-Bus error */
export function unitObject({ bus }: Manager, name: string): string {
  return String(bus.call(managerCall("GetUnit", "s", [name])).body[0]);
}

/** A property of a unit. @param of the interface that has it @throws BerthError whose code is the name of the D-Bus error */
export function readProperty(
  { bus }: Manager,
  object: string,
  of: "Unit" | "Scope" | "Slice",
  name: string,
): Variant {
  return bus.call(propertyCall(object, `${SERVICE}.${of}`, name)).body[0] as Variant;
}

/** Changes properties of a unit until it ends. @param list "a(sv)" @throws BerthError whose code is the name of the D-Bus error */
export function setProperties({ bus }: Manager, name: string, list: Value): void {
  const runtime = true;
  bus.call(managerCall("SetUnitProperties", "sba(sv)", [name, runtime, list]));
}

/** Moves a process to a unit's cgroup. @throws BerthError whose code is the name of the D-Bus error */
export function attachProcess({ bus }: Manager, name: string, pid: number): void {
  bus.call(managerCall("AttachProcessesToUnit", "ssau", [name, "/", [pid]]));
}

/** Whether systemd said that there is no such unit. */
export function isNoUnit(error: unknown): boolean {
  return (
    hasCode(error, `${SERVICE}.NoSuchUnit`) || hasCode(error, "org.freedesktop.DBus.Error.UnknownObject")
  );
}

/** Whether systemd said that there is a unit of that name already. */
export function isUnitThere(error: unknown): boolean {
  return hasCode(error, `${SERVICE}.UnitExists`);
}

/**
 * Asks systemd for something that it does by a job, and waits for the end of that.
 * @returns "done", or what else became of the job: "failed", "canceled", "timeout", "dependency" ...
 * @throws BerthError whose code is the name of the D-Bus error
 */
export function runJob({ bus }: Manager, member: string, signature: string, body: readonly Value[]): string {
  const started = bus.call(managerCall(member, signature, body));
  const [job] = started.body;
  const removed = bus.signal(
    // Only systemd's own word counts: anyone on a bus can send us a signal.
    ({ fields, body }) =>
      fields.member === "JobRemoved" && fields.sender === started.fields.sender && body[1] === job,
  );
  return String(removed.body[3]);
}

/** Sends SIGKILL to all processes of a unit. Nothing to do when there is none. */
export function killUnit({ bus }: Manager, name: string): void {
  try {
    bus.call(managerCall("KillUnit", "ssi", [name, "all", SIGKILL]));
  } catch (error) {
    if (!isBerthError(error)) throw error;
  }
}

/** Lets systemd forget that a unit failed, and with that the unit. Nothing to do when it did not. */
export function resetFailed({ bus }: Manager, name: string): void {
  try {
    bus.call(managerCall("ResetFailedUnit", "s", [name]));
  } catch (error) {
    if (!isBerthError(error)) throw error;
  }
}

const REFUSALS: Readonly<Record<string, (kind: ManagerKind) => string>> = {
  "org.freedesktop.DBus.Error.ServiceUnknown": () =>
    "systemd is not on that bus: see DBUS_SESSION_BUS_ADDRESS",
  "org.freedesktop.DBus.Error.NameHasNoOwner": () =>
    "systemd is not on that bus: see DBUS_SESSION_BUS_ADDRESS",
  "org.freedesktop.DBus.Error.AccessDenied": privilegeHint,
  "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": privilegeHint,
};

function privilegeHint(kind: ManagerKind): string {
  return kind === "system"
    ? "units of the system take root"
    : 'does systemd run for this user? See "systemctl --user status"; "loginctl enable-linger" keeps it running';
}

/** The error for something that systemd or the bus did not do, with what it was about. */
export function refused(error: unknown, subject: string, kind: ManagerKind, hint?: string): unknown {
  if (!isBerthError(error)) return error;
  return new BerthError(error.code, `${subject}: ${error.message}`, {
    hint: REFUSALS[error.code]?.(kind) ?? hint ?? error.hint,
    cause: error,
  });
}
