import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { NLM_F_REQUEST, RTM_GETLINK, RTM_NEWLINK } from "../../src/linux/constants.ts";
import { close } from "../../src/linux/file.ts";
import {
  attributesOf,
  command,
  decodeMessages,
  encodeMessage,
  list,
  openNetlink,
} from "../../src/linux/netlink.ts";
import { checkNetDevices, netDeviceSteps } from "../../src/namespaces/net-devices.ts";
import { createRequests, descriptors } from "../../src/plan/protocol.ts";
import { calls } from "./steps.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

describe("messages", () => {
  test("are a header, a struct and attributes, each padded to four", () => {
    const message = encodeMessage(RTM_NEWLINK, NLM_F_REQUEST, bytes(9, 9, 9, 9), [[3, bytes(97, 98, 0)]], 7);
    expect([...message]).toEqual([
      ...[28, 0, 0, 0, RTM_NEWLINK, 0, NLM_F_REQUEST, 0, 7, 0, 0, 0, 0, 0, 0, 0],
      ...[9, 9, 9, 9],
      ...[7, 0, 3, 0, 97, 98, 0, 0],
    ]);
    const [decoded] = decodeMessages(message);
    expect(decoded).toMatchObject({ type: RTM_NEWLINK, number: 7 });
    if (decoded === undefined) throw new Error("no message");
    expect([...attributesOf(decoded, 4)]).toEqual([[3, bytes(97, 98, 0)]]);
  });

  test("that are several come apart", () => {
    const one = encodeMessage(1, 0, bytes(), [], 1);
    const both = Uint8Array.from([...one, ...encodeMessage(2, 0, bytes(), [], 2)]);
    expect(decodeMessages(both).map(({ type, number }) => [type, number])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test.each([0, 15, 40, 0xffff_ffff])("a length of %d is not believed", (length) => {
    const message = encodeMessage(1, 0, bytes(1, 2, 3, 4), [], 1);
    new DataView(message.buffer).setUint32(0, length, true);
    expect(() => decodeMessages(message)).toThrow("the kernel's answer by netlink is cut off");
  });

  test("an attribute that is longer than its message ends them", () => {
    const message = encodeMessage(1, 0, bytes(), [[5, bytes(1, 2, 3, 4)]], 1);
    new DataView(message.buffer).setUint16(16, 400, true);
    const [decoded] = decodeMessages(message);
    if (decoded === undefined) throw new Error("no message");
    expect(attributesOf(decoded, 0).size).toBe(0);
  });
});

describe("the kernel", () => {
  test("lists devices, and says what it does not do", () => {
    const socket = openNetlink();
    try {
      const links = list(socket, RTM_GETLINK, new Uint8Array(16), "list network devices");
      expect(links).toHaveLength(
        readdirSync("/sys/class/net").filter((name) => name !== "bonding_masters").length,
      );
      // A device with this index there is not: ENODEV.
      const head = new Uint8Array(16);
      new DataView(head.buffer).setInt32(4, 0x7fff_ffff, true);
      expect(command(socket, RTM_NEWLINK, 0, head, [])).toBeLessThan(0);
      expect(() => checkNetDevices({ lo: {} }, socket)).not.toThrow();
      expect(() => checkNetDevices({ lo: {}, nope0: {} }, socket)).toThrow(
        'linux.netDevices["nope0"]: there is no network device "nope0"',
      );
    } finally {
      close(socket);
    }
  });
});

test("init makes the socket, keeps it for the runtime at a number of its own, and closes both", () => {
  const fds = descriptors(2);
  const requests = createRequests(fds.sync);
  const all = calls(netDeviceSteps(fds, requests));
  expect(all.map(({ call }) => call)).toEqual(["socket", "dup3", "write", "read", "close", "close"]);
  expect(requests.list).toEqual([{ kind: "network", socket: all[1]?.args[1] }]);
  expect(Number(all[1]?.args[1])).toBeGreaterThanOrEqual(fds.temporary);
});
