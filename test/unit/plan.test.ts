import { describe, expect, test } from "vitest";
import { BerthError } from "../../src/errors.ts";
import { AT_FDCWD, O_CLOEXEC, O_PATH, O_RDONLY, S_IFDIR, S_IFMT } from "../../src/linux/constants.ts";
import { EACCES, EAGAIN, EEXIST, EINVAL, ENOENT, ENOTDIR, EPERM } from "../../src/linux/errno.ts";
import { scratch, setU64 } from "../../src/linux/memory.ts";
import { syscallNumber } from "../../src/linux/numbers.ts";
import {
  ALL32,
  addressOf,
  label,
  mark,
  rawBytes,
  serving,
  slot,
  stringArray,
  struct,
} from "../../src/plan/build.ts";
import { encode } from "../../src/plan/encode.ts";
import { perform, stepError } from "../../src/plan/perform.ts";
import { createRequests, descriptors, MESSAGE_SIZE, REQUEST } from "../../src/plan/protocol.ts";
import type { Step } from "../../src/plan/step.ts";
import { argumentAt, callNames, calls, rawOf } from "./steps.ts";

const at = serving("mounts", "mounts[3]", "/data");
const EBADF = 9;

/** A Plan's header, steps and data, by native/run.h. */
function decode(plan: readonly Step[], report?: number) {
  const encoded = encode(plan, report);
  const { bytes } = encoded;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const u16 = (offset: number) => view.getUint16(offset, true);
  const [dataAt, textAt, relocationsAt, relocations] = [u32(12), u32(16), u32(20), u32(24)];
  return {
    encoded,
    magic: u32(0),
    size: u32(4),
    count: u32(8),
    dataAt,
    textAt,
    relocationsAt,
    relocations: Array.from({ length: relocations }, (_, i) => u32(relocationsAt + 4 * i)),
    report: view.getInt32(28, true),
    step(i: number) {
      const begin = 40 + 80 * i;
      return {
        op: u16(begin),
        nr: u16(begin + 2),
        kinds: Array.from({ length: 6 }, (_, n) => (u16(begin + 4) >> (2 * n)) & 3),
        to: u16(begin + 6),
        store: u32(begin + 8),
        error: u32(begin + 12),
        args: Array.from({ length: 6 }, (_, n) => argumentAt(bytes, i, n)),
        on: Array.from({ length: 4 }, (_, n) => [u16(begin + 64 + 4 * n), u16(begin + 66 + 4 * n)]),
      };
    },
    text(offset: number) {
      const start = textAt + offset;
      return new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));
    },
    u64: (offset: number) => view.getBigUint64(dataAt + offset, true),
  };
}

const CONSTANT = 0;
const ADDRESS = 1;
const LOAD = 2;
const TEXT = 3;

describe("encode", () => {
  test("header, steps, data, text and relocations follow each other", () => {
    const empty = decode([], 7);
    expect(empty.magic).toBe(0x74726562);
    expect(empty).toMatchObject({ count: 0, dataAt: 40, relocations: [], report: 7 });
    expect(decode([]).report).toBe(-1);
    const plan = decode([at.call("execve", ["/x", stringArray(["/x", "y"]), 0]), at.call("setsid", [])]);
    expect(plan.count).toBe(2);
    expect(plan.dataAt).toBe(40 + 2 * 80);
    expect(plan.textAt).toBeGreaterThan(plan.dataAt);
    expect(plan.relocationsAt).toBeGreaterThanOrEqual(plan.textAt + 5);
    expect(plan.size).toBe(plan.relocationsAt + 2 * 4);
    expect(plan.size).toBe(plan.encoded.bytes.length);
    for (const place of [plan.dataAt, plan.relocationsAt]) expect(place % 8).toBe(0);
  });

  test("a call: number, kinds of its arguments, constants to 64 bits, place of the result", () => {
    const fd = slot("fd");
    const buffer = slot("buffer", 16);
    const plan = decode([
      at.call("openat", [AT_FDCWD, "/tmp", O_RDONLY], { store: fd }),
      at.call("read", [fd, addressOf(buffer, 4), 0xffff_ffff]),
    ]);
    const [open, read] = [plan.step(0), plan.step(1)];
    expect(open).toMatchObject({
      op: 1,
      nr: syscallNumber("openat"),
      kinds: [CONSTANT, TEXT, 0, 0, 0, 0],
    });
    expect(plan.text(open.args[1] ?? 0)).toBe("/tmp");
    expect(read).toMatchObject({
      nr: syscallNumber("read"),
      kinds: [LOAD, ADDRESS, CONSTANT, 0, 0, 0],
      store: 0,
    });
    expect(read.args[0]).toBe(open.store);
    expect(open.store).toBeGreaterThan(0);
    expect(read.args[2]).toBe(0xffff_ffff);
    expect(plan.encoded.offsetOf(buffer)).toBe(plan.dataAt + (read.args[1] ?? 0) - 4);
    expect(plan.encoded.offsetOf(slot("other"))).toBeUndefined();
  });

  test.each([252, 256, 258, 1 << 16, (1 << 16) + 4])("%i bytes as they are", (size) => {
    const content = Uint8Array.from({ length: size }, (_, i) => (i * 7) % 251);
    const { encoded, dataAt, step } = decode([at.call("read", [0, rawBytes(content, "content")])]);
    const begin = dataAt + (step(0).args[1] ?? 0);
    expect(Buffer.from(encoded.bytes.slice(begin, begin + size)).equals(Buffer.from(content))).toBe(true);
  });

  test("a negative constant is written in two's complement", () => {
    const { bytes } = encode([at.call("close", [-100])]);
    expect(new DataView(bytes.buffer).getBigInt64(40 + 16, true)).toBe(-100n);
  });

  test("strings are NUL-terminated UTF-8, each there once", () => {
    const texts = ["/\u00e4\u20ac\u{1f600}", "1234567", "12345678", "/\u00e4\u20ac\u{1f600}", "", "\x7f"];
    const plan = decode(texts.map((text) => at.call("chdir", [text])));
    const places = texts.map((_, i) => plan.step(i).args[0] ?? 0);
    expect(places.map(plan.text)).toEqual(texts);
    expect(places[0]).toBe(places[3]);
    expect(new Set(places).size).toBe(5);
  });

  test.each([
    ["ASCII", "x"],
    ["other", "\u20ac"],
  ])("a long string: %s", (_, character) => {
    // MAX_ARG_STRLEN, the longest that execve takes.
    const long = character.repeat(131_071 / new TextEncoder().encode(character).length);
    const plan = decode([
      at.call("chdir", ["first"]),
      at.call("execve", ["last", stringArray([long, "y".repeat(40_000), "first"]), 0]),
    ]);
    expect(plan.text(plan.step(0).args[0] ?? 0)).toBe("first");
    const array = plan.step(1).args[1] ?? 0;
    const pointers = [0, 8, 16].map((offset) => Number(plan.u64(array + offset)));
    expect(pointers.map(plan.text)).toEqual([long, "y".repeat(40_000), "first"]);
    expect(plan.u64(array + 24)).toBe(0n);
  });

  test("slots that need more room than most Plans", () => {
    const slots = Array.from({ length: 40 }, (_, i) => slot(`s${i}`, 4096));
    const bytes = rawBytes(Uint8Array.of(1, 2, 3), "123");
    const plan = decode([...slots.map((each) => at.call("read", [each, bytes])), at.call("chdir", ["/x"])]);
    const places = slots.map((each) => plan.encoded.offsetOf(each) ?? 0);
    expect(places.map((place) => place - (places[0] ?? 0))).toEqual(slots.map((_, i) => 4096 * i));
    const bytesAt = plan.step(0).args[1] ?? 0;
    expect(plan.u64(bytesAt)).toBe(0x030201n);
    expect(plan.dataAt + bytesAt).toBeGreaterThanOrEqual((places.at(-1) ?? 0) + 4096);
    expect(plan.text(plan.step(40).args[0] ?? 0)).toBe("/x");
  });

  test("pointers inside structs are relocated, and no other word is", () => {
    const inner = struct(8, [{ name: "n", offset: 0, size: 8, value: 5 }]);
    const target = slot("target");
    const bytes = rawBytes(Uint8Array.of(1, 2, 3), "123");
    const outer = struct(48, [
      { name: "inner", offset: 0, pointer: inner },
      { name: "slot", offset: 8, pointer: target },
      { name: "bytes", offset: 16, pointer: bytes },
      { name: "text", offset: 24, pointer: "text" },
      { name: "number", offset: 32, size: 8, value: 2 ** 40 + 1 },
      { name: "u16", offset: 40, size: 2, value: 0x1234 },
      { name: "u8", offset: 42, size: 1, value: 0x56 },
      { name: "u32", offset: 44, size: 4, value: 0xffff_fffe },
    ]);
    const plan = decode([at.call("write", [1, outer, 48])]);
    const place = plan.step(0).args[1] ?? 0;
    // The lowest bit says that the offset counts from the text.
    expect(plan.relocations.map((offset) => offset - place)).toEqual([0, 8, 16, 24 + 1]);
    const [innerAt, slotAt, bytesAt, textAt] = [0, 8, 16, 24].map((offset) =>
      Number(plan.u64(place + offset)),
    );
    expect(plan.u64(innerAt ?? 0)).toBe(5n);
    expect(plan.encoded.offsetOf(target)).toBe(plan.dataAt + (slotAt ?? 0));
    expect(plan.u64(bytesAt ?? 0)).toBe(0x030201n);
    expect(plan.text(textAt ?? 0)).toBe("text");
    expect(plan.u64(place + 32)).toBe(2n ** 40n + 1n);
    expect(plan.u64(place + 40)).toBe(0xffff_fffe_0056_1234n);
  });

  test("slots do not overlap, and begin as zero", () => {
    const [small, large, last] = [slot("small", 1), slot("large", 4096), slot("last")];
    const plan = decode([
      at.call("read", [0, addressOf(small), 1]),
      at.call("read", [large, addressOf(last)]),
    ]);
    const places = [small, large, last].map((each) => plan.encoded.offsetOf(each) ?? 0);
    expect(places[1]).toBe((places[0] ?? 0) + 8);
    expect(places[2]).toBe((places[1] ?? 0) + 4096);
    expect(plan.encoded.bytes.subarray(places[0], plan.textAt).every((byte) => byte === 0)).toBe(true);
  });

  test("branches and failures", () => {
    const [end, data] = [label("end"), slot("data", 64)];
    const plan = decode([
      at.when({ slot: data, offset: 40, mask: -1, value: 1 + 3 * 2 ** 32 }, end),
      at.unless({ slot: data, mask: ALL32, value: 9 }, end),
      at.fail(EPERM, "no"),
      mark(end),
    ]);
    const place = (plan.encoded.offsetOf(data) ?? 0) - plan.dataAt;
    expect(plan.count).toBe(3);
    expect(plan.step(0)).toMatchObject({ op: 2, to: 3 });
    const { bytes } = plan.encoded;
    const view = new DataView(bytes.buffer);
    expect(argumentAt(bytes, 0, 0)).toBe(place + 40);
    expect(view.getBigInt64(40 + 24, true)).toBe(-1n);
    expect(view.getBigUint64(40 + 32, true)).toBe(0x3_0000_0001n);
    expect(plan.step(1)).toMatchObject({ op: 3, to: 3 });
    expect(plan.step(2)).toMatchObject({ op: 4, error: EPERM });
  });

  test("tolerated errnos name the step to go on with; marks are no steps", () => {
    const [first, second] = [label("first"), label("second")];
    const plan = decode([
      mark(label("unused")),
      at.call("chdir", ["/a"], {
        on: { [ENOENT]: "next", [EACCES]: second, [ENOTDIR]: first, [EAGAIN]: "again" },
      }),
      at.call("chdir", ["/b"]),
      mark(first),
      at.call("chdir", ["/c"]),
      mark(second),
    ]);
    expect(plan.step(0).on).toEqual([
      [ENOENT, 1],
      [EAGAIN, 0],
      [EACCES, 3],
      [ENOTDIR, 2],
    ]);
    expect(plan.encoded.steps).toHaveLength(3);
  });

  test.each([
    ["backwards", [mark(label("x"))]],
    ["nowhere", []],
  ])("a jump %s is refused", (_, before) => {
    const [there] = before;
    const to = there?.label ?? label("missing");
    expect(() => encode([...before, at.jump(to)])).toThrow("which is not ahead");
    expect(() => encode([...before, at.call("chdir", ["/"], { on: { [ENOENT]: to } })])).toThrow("not ahead");
  });

  test("more errnos than a step has room for are refused", () => {
    const on = { 1: "next", 2: "next", 3: "next", 4: "next", 5: "next" } as const;
    expect(() => encode([at.call("chdir", ["/"], { on })])).toThrow("more than 4 errnos");
  });

  test("a Plan of more steps than a jump can reach is refused", () => {
    const end = label("end");
    const many: Step[] = Array.from({ length: 65_536 }, () => at.call("getpid", []));
    expect(() => encode([at.jump(end), ...many, mark(end)])).toThrow();
  });
});

describe("perform", () => {
  test("opens, looks, compares and jumps", () => {
    const [fd, status, answer] = [slot("fd"), slot("status", 144), slot("answer")];
    const directory = label("directory");
    const mode = process.arch === "arm64" ? 16 : 24;
    const result = perform([
      at.call("openat", [AT_FDCWD, "/proc/self", O_PATH | O_CLOEXEC, 0], { store: fd }),
      at.call("newfstatat", [fd, "", addressOf(status), 0x1000]),
      at.when({ slot: status, offset: mode, mask: S_IFMT, value: S_IFDIR }, directory),
      at.fail(ENOTDIR, "no directory"),
      mark(directory),
      at.call("getpid", [], { store: answer }),
      at.call("close", [fd]),
    ]);
    expect(result(fd)).toBeGreaterThan(2);
    expect(result(answer)).toBe(process.pid);
    expect(result(slot("unused"))).toBe(0);
  });

  test("passes pointers in structs: execve-like arrays and iovecs", () => {
    const [read, got, buffer] = [slot("read"), slot("got"), slot("buffer", 32)];
    const how = struct(24, [{ name: "flags", offset: 0, size: 8, value: O_RDONLY | O_CLOEXEC }]);
    const result = perform([
      at.call("openat2", [AT_FDCWD, "/proc/self/comm", how, 24], { store: read }),
      at.call("read", [read, addressOf(buffer, 8), 4], { store: got }),
      at.call("close", [read]),
    ]);
    expect(result(got)).toBe(4);
    expect(result(buffer)).toBe(0);
  });

  test("takes inputs, and ignores one that no step uses", () => {
    const [fd, copy] = [slot("fd"), slot("copy")];
    const inputs = new Map([
      [fd, 1],
      [slot("other"), 5],
    ]);
    const result = perform(
      [at.call("fcntl", [fd, 1030, 100], { store: copy }), at.call("close", [copy])],
      inputs,
    );
    expect(result(copy)).toBeGreaterThanOrEqual(100);
  });

  test("a tolerated errno goes on where it says, and its result is the negated errno", () => {
    const [result, reached] = [slot("result"), slot("reached")];
    const away = label("away");
    const results = perform([
      at.call("chdir", ["/nonexistent/berth"], { store: result, on: { [EACCES]: "next", [ENOENT]: away } }),
      at.fail(EPERM, "not jumped"),
      mark(away),
      at.call("chdir", ["/nonexistent/berth"], { on: { [ENOENT]: "next" } }),
      at.call("getpid", [], { store: reached }),
    ]);
    expect(results(result)).toBe(-ENOENT);
    expect(results(reached)).toBe(process.pid);
  });

  test("a call that is to be made again is, until it works or has been tried often enough", () => {
    const [made, reached] = [slot("made"), slot("reached")];
    const bad = at.call("fcntl", [-1, 1030, 0], { store: made, on: { [EBADF]: "again" }, what: "try" });
    expect(() => perform([bad])).toThrow("try: bad file descriptor");
    const good = at.call("getpid", [], { store: reached, on: { [EBADF]: "again" } });
    expect(perform([good, good])(reached)).toBe(process.pid);
  });

  test("an unconditional jump, `when` and `unless` on masked bytes", () => {
    const [data, ran] = [slot("data"), slot("ran")];
    const run = (step: (to: ReturnType<typeof label>) => Step): boolean => {
      const end = label("end");
      const plan = [
        step(end),
        at.call("getpid", [], { store: ran }),
        mark(end),
        at.call("close", [data], { on: { [EBADF]: "next" } }),
      ];
      return perform(plan, new Map([[data, 0x7fff_1234]]))(ran) === 0;
    };
    expect(run((to) => at.jump(to))).toBe(true);
    expect(run((to) => at.when({ slot: data, mask: 0xffff, value: 0x1234 }, to))).toBe(true);
    expect(run((to) => at.when({ slot: data, mask: ALL32, value: 0x1234 }, to))).toBe(false);
    expect(run((to) => at.unless({ slot: data, mask: 0xffff, value: 0x1234 }, to))).toBe(false);
    expect(run((to) => at.unless({ slot: data, offset: 1, mask: 0xff, value: 0x34 }, to))).toBe(true);
    expect(run((to) => at.when({ slot: data, mask: -1, value: 0x7fff_1234 }, to))).toBe(true);
  });

  test("stops at the step that fails, and tells it as a sentence", () => {
    const steps = [
      at.call("chdir", ["/nonexistent/berth"], {
        what: "enter the directory",
        hints: { [ENOENT]: "make it", 0: "other" },
      }),
      at.call("close", [-1]),
    ];
    const error = caught(() => perform(steps));
    expect(error.code).toBe("ENOENT");
    expect(error.message).toBe("mounts[3] /data: enter the directory: no such file or directory");
    expect(error.hint).toBe("make it");
  });

  test("a step that always fails", () => {
    const error = caught(() => perform([at.fail(EEXIST, "verify it", { 0: "hint for any" })]));
    expect(error.message).toBe("mounts[3] /data: verify it: file exists");
    expect(error.hint).toBe("hint for any");
  });
});

describe("stepError", () => {
  test("names the call when there are no words, and leaves out what is empty", () => {
    expect(stepError(serving("start", "").call("setsid", []), EPERM).message).toBe(
      "setsid: operation not permitted",
    );
    expect(stepError(serving("start", "process").call("setsid", []), EPERM).message).toBe(
      "process: setsid: operation not permitted",
    );
    expect(stepError(serving("start", "", "/x").call("setsid", []), 9999)).toMatchObject({
      message: "/x: setsid: errno 9999",
      code: "errno 9999",
    });
  });

  test("a hint of the caller's comes before those of the step", () => {
    const step = at.call("chdir", ["/"], { hints: { [EACCES]: "of the step", 0: "any" } });
    expect(stepError(step, EACCES, { hint: "of the caller" }).hint).toBe("of the caller");
    expect(stepError(step, EACCES).hint).toBe("of the step");
    expect(stepError(step, EINVAL).hint).toBe("any");
    expect(stepError(at.call("chdir", ["/"]), EINVAL).hint).toBeUndefined();
  });

  test("keeps the cause, and survives a step number that is none", () => {
    const cause = new Error("x");
    const error = stepError(undefined, EINVAL, { cause });
    expect(error).toBeInstanceOf(BerthError);
    expect(error.cause).toBe(cause);
    expect(error.message).toBe("the executor stopped at an unknown step: invalid argument");
  });
});

describe("the protocol", () => {
  test("a request is sent with its number, and an end of file is a failure", () => {
    const requests = createRequests(3);
    requests.ask(at, { kind: "mounted" });
    const steps = requests.ask(at, { kind: "limits" });
    expect(requests.list).toEqual([{ kind: "mounted" }, { kind: "limits" }]);
    expect(callNames(steps)).toEqual(["write", "read"]);
    const [write, read] = calls(steps);
    expect(write?.args[0]).toBe(3);
    expect(write?.args[2]).toBe(MESSAGE_SIZE);
    const message = rawOf(write?.args[1]);
    expect(message.getUint32(0, true)).toBe(REQUEST);
    expect(message.getUint32(4, true)).toBe(1);
    expect(read?.args[2]).toBe(8);
    // What is read of a socket whose other end has gone is nothing at all: init stops then.
    expect(steps.some((step) => step.kind === "fail")).toBe(true);
    expect(steps.find((step) => step.kind === "branch")).toMatchObject({
      not: true,
      value: 0,
      slot: read?.store,
    });
  });

  test("fixed descriptors follow those that the container inherits, each its own", () => {
    const fds = descriptors(4);
    const { preserved, ...numbers } = fds;
    expect(preserved).toBe(4);
    expect(Math.min(...Object.values(numbers))).toBe(7);
    expect(new Set(Object.values(numbers)).size).toBe(Object.values(numbers).length);
    expect(fds.temporary).toBe(Math.max(...Object.values(numbers)));
  });
});

describe("setU64", () => {
  test.each([
    [0, 0n],
    [1, 1n],
    [0xffff_ffff, 0xffff_ffffn],
    [2 ** 32, 0x1_0000_0000n],
    [2 ** 32 + 5, 0x1_0000_0005n],
    [2 ** 53 - 1, 0x1f_ffff_ffff_ffffn],
    [2 ** 63, 0x8000_0000_0000_0000n],
    [2 ** 64 - 2048, 0xffff_ffff_ffff_f800n],
    [-1, 0xffff_ffff_ffff_ffffn],
    [-100, 0xffff_ffff_ffff_ff9cn],
    [-(2 ** 32), 0xffff_ffff_0000_0000n],
    [-(2 ** 32) - 1, 0xffff_fffe_ffff_ffffn],
    [-(2 ** 63), 0x8000_0000_0000_0000n],
  ])("writes %d", (value, expected) => {
    const view = new DataView(new ArrayBuffer(24));
    setU64(view, 8, value);
    expect(view.getBigUint64(8, true)).toBe(expected);
    expect([view.getBigUint64(0), view.getBigUint64(16)]).toEqual([0n, 0n]);
  });
});

describe("scratch", () => {
  test("refuses what does not fit, instead of cutting it off", () => {
    expect(() => scratch().text("x".repeat(1 << 18))).toThrow(RangeError);
    expect(() => scratch().space((1 << 18) + 1)).toThrow(RangeError);
    expect(() => scratch().copy(new Uint8Array((1 << 18) + 1))).toThrow(RangeError);
  });

  test("space is zeroed and aligned, also after other use", () => {
    const first = scratch();
    first.text("x".repeat(1000));
    const memory = scratch();
    memory.text("abc");
    const place = memory.space(64);
    expect(place % 8).toBe(0);
    const copy = memory.copy(Uint8Array.of(1));
    expect(copy).toBe(place + 64);
  });
});

function caught(act: () => unknown): BerthError {
  try {
    act();
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
