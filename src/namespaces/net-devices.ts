import { BerthError } from "../errors.ts";
import {
  AF_NETLINK,
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_F_NODAD,
  IFA_F_PERMANENT,
  IFA_FLAGS,
  IFA_LOCAL,
  IFF_UP,
  IFLA_IFNAME,
  IFLA_NET_NS_FD,
  NETLINK_ROUTE,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RT_SCOPE_UNIVERSE,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_NEWADDR,
  RTM_NEWLINK,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from "../linux/constants.ts";
import { EBUSY, EEXIST, EINVAL, EOPNOTSUPP, EPERM, systemError } from "../linux/errno.ts";
import { type Attribute, attributesOf, command, list } from "../linux/netlink.ts";
import { fromUtf8, utf8 } from "../linux/text.ts";
import { serving, slot } from "../plan/build.ts";
import type { Descriptors, Requests } from "../plan/protocol.ts";
import type { Step } from "../plan/step.ts";
import type { NetDevices } from "../spec/linux.ts";

/*
 * linux.netDevices: devices of the host's that go into the container's network namespace, under the name and with the addresses
 * that they had, or another name. When the namespace ends, the kernel gives physical ones back to the host, and removes others.
 */

/** A device to be moved. */
interface Device {
  /** Its part of config.json. */
  readonly path: string;
  readonly host: string;
  /** In the container; with "%d" the kernel chooses a number. */
  readonly inside: string;
}

function devicesOf(netDevices: NetDevices): Device[] {
  return Object.entries(netDevices).map(([host, { name = "" }]) => ({
    path: `linux.netDevices[${JSON.stringify(host)}]`,
    host,
    inside: name === "" ? host : name,
  }));
}

/**
 * Refuses devices that are not there.
 * @param socket a netlink socket in the host's namespace
 * @throws BerthError "net-device"
 */
export function checkNetDevices(netDevices: NetDevices, socket: number): void {
  const links = linksOf(socket);
  for (const { path, host } of devicesOf(netDevices)) {
    if (links.some(({ name }) => name === host)) continue;
    throw new BerthError("net-device", `${path}: there is no network device "${host}"`, {
      hint: `in the network namespace of berth there are: ${links.map(({ name }) => name).join(", ")}`,
    });
  }
}

/**
 * Steps by which init makes a netlink socket in its namespace, for the runtime to fetch, and waits until it has moved the
 * devices. Berth itself enters no namespace.
 */
export function netDeviceSteps(descriptors: Descriptors, requests: Requests): Step[] {
  const at = serving("namespaces", "linux.netDevices");
  const made = slot("netlink");
  const socket = descriptors.temporary + 8;
  return [
    at.call("socket", [AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE], { store: made }),
    at.call("dup3", [made, socket, 0]),
    ...requests.ask(at, { kind: "network", socket }),
    at.call("close", [socket]),
    at.call("close", [made]),
  ];
}

/** Sockets and namespaces between which devices go. */
export interface Networks {
  /** A netlink socket in the host's network namespace. */
  readonly host: number;
  /** A netlink socket in the container's. */
  readonly inside: number;
  /** The container's network namespace itself. */
  readonly namespace: number;
}

/** A device that was moved, and how it was on the host. */
export interface MovedDevice {
  readonly path: string;
  readonly host: string;
  readonly up: boolean;
  readonly addresses: readonly Address[];
  /** In the container. */
  readonly index: number;
}

/**
 * Moves all devices.
 * @param moved gets each that was moved, also when a later one cannot be
 * @throws BerthError for the first that cannot be moved
 */
export function moveNetDevices(netDevices: NetDevices, networks: Networks, moved: MovedDevice[]): void {
  for (const device of devicesOf(netDevices)) move(device, networks, moved);
}

/**
 * Moves devices back, for a container that did not come to be: the kernel would remove the virtual ones with its namespace.
 * @param host the host's network namespace
 * @throws BerthError
 */
export function restoreNetDevices(
  moved: readonly MovedDevice[],
  networks: Pick<Networks, "host" | "inside">,
  host: number,
): void {
  for (const { path, host: name, up, addresses, index } of moved) {
    const back = command(networks.inside, RTM_NEWLINK, 0, linkHead(index, 0, 0), [
      [IFLA_NET_NS_FD, number32(host)],
      [IFLA_IFNAME, textOf(name)],
    ]);
    if (back < 0) throw systemError(-back, `${path}: move the device back`);
    const link = linksOf(networks.host).find((each) => each.name === name);
    if (link === undefined) continue;
    for (const address of addresses) addAddress(path, address, link.index, networks.host);
    if (up) command(networks.host, RTM_NEWLINK, 0, linkHead(link.index, IFF_UP, IFF_UP), []);
  }
}

function move({ path, host, inside }: Device, networks: Networks, done: MovedDevice[]): void {
  const link = linksOf(networks.host).find(({ name }) => name === host);
  if (link === undefined) throw new BerthError("net-device", `${path}: there is no network device "${host}"`);
  const before = linksOf(networks.inside);
  if (before.some(({ name }) => name === inside)) {
    throw new BerthError("net-device", `${path}: the container has a network device "${inside}" already`, {
      hint: 'give it another name in the container with "name"',
    });
  }
  const addresses = addressesOf(networks.host, link.index);
  // Both in one message, so that no name is taken in between.
  const moved = command(networks.host, RTM_NEWLINK, 0, linkHead(link.index, 0, 0), [
    [IFLA_NET_NS_FD, number32(networks.namespace)],
    [IFLA_IFNAME, textOf(inside)],
  ]);
  if (moved < 0) throw systemError(-moved, `${path}: move the device`, { hint: MOVE_HINTS[-moved] });
  // Its index may be another one there, and its name the kernel's choice.
  const now = linksOf(networks.inside).find(({ index }) => !before.some((old) => old.index === index));
  if (now === undefined) throw new BerthError("net-device", `${path}: the device is gone after its move`);
  done.push({ path, host, up: link.up, addresses, index: now.index });
  for (const address of addresses) addAddress(path, address, now.index, networks.inside);
  const up = command(networks.inside, RTM_NEWLINK, 0, linkHead(now.index, IFF_UP, IFF_UP), []);
  if (up < 0) throw systemError(-up, `${path}: set the device up`);
}

const MOVE_HINTS: Readonly<Record<number, string>> = {
  [EINVAL]: "some devices belong to their namespace for good: lo, and many tunnels and bridges",
  [EOPNOTSUPP]: "this device cannot be moved",
  [EPERM]: "to move a device needs CAP_NET_ADMIN in both namespaces",
  [EEXIST]: "a device with this name is there already",
  [EBUSY]: "the device is in use",
};

interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
}

/** sizeof(struct ifinfomsg): family, type, index, flags, change. */
const LINK_HEAD = 16;

function linkHead(index: number, flags: number, change: number): Uint8Array {
  const bytes = new Uint8Array(LINK_HEAD);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return bytes;
}

function linksOf(socket: number): Link[] {
  return list(socket, RTM_GETLINK, linkHead(0, 0, 0), "list network devices").map((message) => ({
    index: message.body.getInt32(4, true),
    up: (message.body.getUint32(8, true) & IFF_UP) !== 0,
    name: fromUtf8(attributesOf(message, LINK_HEAD).get(IFLA_IFNAME) ?? new Uint8Array(0)).replace("\0", ""),
  }));
}

/** An address, as it is read and set. */
interface Address {
  readonly family: number;
  readonly prefix: number;
  readonly attributes: readonly Attribute[];
}

/** sizeof(struct ifaddrmsg): family, prefix length, flags, scope, index. */
const ADDRESS_HEAD = 8;

/** The addresses that a device keeps: permanent ones of global scope. Those of a lease are for whoever renews it. */
function addressesOf(socket: number, index: number): Address[] {
  const found: Address[] = [];
  for (const message of list(socket, RTM_GETADDR, new Uint8Array(ADDRESS_HEAD), "list addresses")) {
    const { body } = message;
    const attributes = attributesOf(message, ADDRESS_HEAD);
    const word = attributes.get(IFA_FLAGS);
    const flags =
      word === undefined
        ? body.getUint8(2)
        : new DataView(word.buffer, word.byteOffset, word.length).getUint32(0, true);
    if (body.getInt32(4, true) !== index || body.getUint8(3) !== RT_SCOPE_UNIVERSE) continue;
    if ((flags & IFA_F_PERMANENT) === 0) continue;
    const kept: Attribute[] = [];
    for (const type of [IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST]) {
      const value = attributes.get(type);
      if (value !== undefined) kept.push([type, value]);
    }
    // It was there, and so is nobody else's: no need to look for doubles again.
    kept.push([IFA_FLAGS, number32(flags | IFA_F_NODAD)]);
    found.push({ family: body.getUint8(0), prefix: body.getUint8(1), attributes: kept });
  }
  return found;
}

function addAddress(
  path: string,
  { family, prefix, attributes }: Address,
  index: number,
  socket: number,
): void {
  const head = new Uint8Array(ADDRESS_HEAD);
  const view = new DataView(head.buffer);
  view.setUint8(0, family);
  view.setUint8(1, prefix);
  view.setUint8(3, RT_SCOPE_UNIVERSE);
  view.setInt32(4, index, true);
  const result = command(socket, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, head, attributes);
  if (result < 0 && result !== -EEXIST) throw systemError(-result, `${path}: keep the device's address`);
}

function number32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function textOf(text: string): Uint8Array {
  return utf8(`${text}\0`);
}
