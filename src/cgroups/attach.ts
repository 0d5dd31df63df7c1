import type { BerthError, ErrorDetail } from "../errors.ts";
import {
  BPF_CGROUP_DEVICE,
  BPF_F_ALLOW_MULTI,
  BPF_F_REPLACE,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_PROG_ATTACH,
  BPF_PROG_DETACH,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_LOAD,
  BPF_PROG_QUERY,
  BPF_PROG_TYPE_CGROUP_DEVICE,
} from "../linux/constants.ts";
import { E2BIG, EACCES, EINVAL, ENOENT, ENOSYS, EPERM, systemError } from "../linux/errno.ts";
import { close, withDescriptor } from "../linux/file.ts";
import { at, scratch } from "../linux/memory.ts";
import { syscall } from "../linux/native.ts";
import { rawBytes, serving, slot, struct } from "../plan/build.ts";
import type { Step } from "../plan/step.ts";
import { INSTRUCTION_SIZE } from "./device-program.ts";

/*
 * Attaching a device program to a cgroup; man 2 bpf. The offsets are those of union bpf_attr, <linux/bpf.h>.
 *
 * RLIMIT_MEMLOCK is left alone: since Linux 5.11 the memory of programs is charged to the cgroup instead.
 */

const LOAD_SIZE = 72;
const ATTACH_SIZE = 20;
/** The kernel allows this many programs of one kind on a cgroup. */
const MAX_ATTACHED = 64;
const LOG_SIZE = 65536;

/** By this name we know our own programs. */
const NAME = "berth";
/** Only a program that calls certain functions of the kernel needs the GPL; this one calls none. */
const LICENSE = "";

/**
 * Attaches a device program to a new cgroup, for as long as that exists. Programs on cgroups above hold as well.
 * @param cgroup its directory's descriptor
 * @throws BerthError
 */
export function attachDevices(cgroup: number, code: Uint8Array): void {
  withDescriptor(load(code), (program) => attach(cgroup, program));
}

/**
 * Gives a device program to a cgroup that may have one of ours, from an update or from a container that was there before: it
 * takes that one's place, in one go. Programs of others, such as systemd's, stay.
 * @param cgroup its directory's descriptor
 * @param code of the program; undefined: none is needed any more
 * @throws BerthError
 */
export function replaceDevices(cgroup: number, code: Uint8Array | undefined): void {
  const old = ownProgram(cgroup);
  if (old === undefined) {
    if (code !== undefined) attachDevices(cgroup, code);
    return;
  }
  withDescriptor(old, (old) => {
    if (code === undefined) detach(cgroup, old);
    else withDescriptor(load(code), (program) => attach(cgroup, program, old));
  });
}

/** The ids of all device programs attached to a cgroup, not of those above it. @throws BerthError */
export function attachedPrograms(cgroup: number): number[] {
  const memory = scratch();
  const ids = memory.space(4 * MAX_ATTACHED);
  const attributes = memory.space(32);
  at.setU32(attributes, cgroup);
  at.setU32(attributes + 4, BPF_CGROUP_DEVICE);
  at.setU64(attributes + 16, ids);
  at.setU32(attributes + 24, MAX_ATTACHED);
  bpf("BPF_PROG_QUERY", BPF_PROG_QUERY, attributes, 32);
  return Array.from({ length: at.u32(attributes + 24) }, (_, i) => at.u32(ids + 4 * i));
}

/**
 * The two calls that {@link attachDevices} makes, for `berth explain`; the descriptors are only known when it does.
 * @param shown what the program does, in words
 */
export function deviceSteps(code: Uint8Array, shown: string): Step[] {
  const { call } = serving("cgroup", "linux.resources.devices", "device program");
  const program = slot("program");
  const loaded = struct(LOAD_SIZE, [
    { name: "prog_type", offset: 0, size: 4, value: BPF_PROG_TYPE_CGROUP_DEVICE },
    { name: "insn_cnt", offset: 4, size: 4, value: code.length / INSTRUCTION_SIZE },
    { name: "insns", offset: 8, pointer: rawBytes(code, shown) },
    { name: "license", offset: 16, pointer: LICENSE },
  ]);
  const attached =
    "{ target_fd: cgroup, attach_bpf_fd: program, attach_type: BPF_CGROUP_DEVICE, attach_flags: BPF_F_ALLOW_MULTI }";
  return [
    call("bpf", [BPF_PROG_LOAD, loaded, LOAD_SIZE], { store: program }),
    call("bpf", [BPF_PROG_ATTACH, rawBytes(new Uint8Array(ATTACH_SIZE), attached), ATTACH_SIZE]),
  ];
}

/** Loads a program. @returns its descriptor @throws BerthError */
function load(code: Uint8Array): number {
  const fd = syscall("bpf", BPF_PROG_LOAD, loadAttributes(code, 0), LOAD_SIZE);
  if (fd >= 0) return fd;
  const log = fd === -EACCES || fd === -EINVAL ? verifierLog(code) : "";
  throw bpfError(fd, "BPF_PROG_LOAD", log === "" ? {} : { hint: `the kernel's verifier says: ${log}` });
}

/** @param logSize how much the verifier may write to the memory right after the attributes */
function loadAttributes(code: Uint8Array, logSize: number): number {
  const memory = scratch();
  const attributes = memory.space(LOAD_SIZE + logSize);
  at.setU32(attributes, BPF_PROG_TYPE_CGROUP_DEVICE);
  at.setU32(attributes + 4, code.length / INSTRUCTION_SIZE);
  at.setU64(attributes + 8, memory.copy(code));
  at.setU64(attributes + 16, memory.text(LICENSE));
  for (let i = 0; i < NAME.length; i += 4) at.setU32(attributes + 48 + i, fourLetters(NAME.slice(i, i + 4)));
  if (logSize > 0) {
    at.setU32(attributes + 24, 1);
    at.setU32(attributes + 28, logSize);
    at.setU64(attributes + 32, attributes + LOAD_SIZE);
  }
  return attributes;
}

function fourLetters(text: string): number {
  let number = 0;
  for (let i = text.length - 1; i >= 0; i--) number = number * 256 + text.charCodeAt(i);
  return number;
}

/** Why the kernel's verifier refuses a program: loads it once more, to be told. "" when it does not say. */
function verifierLog(code: Uint8Array): string {
  const attributes = loadAttributes(code, LOG_SIZE);
  const fd = syscall("bpf", BPF_PROG_LOAD, attributes, LOAD_SIZE);
  if (fd >= 0) close(fd);
  return text(attributes + LOAD_SIZE, LOG_SIZE)
    .trim()
    .split("\n")
    .slice(-3)
    .join("; ");
}

/** @param replace the program that this one takes the place of */
function attach(cgroup: number, program: number, replace?: number): void {
  const attributes = scratch().space(ATTACH_SIZE);
  at.setU32(attributes, cgroup);
  at.setU32(attributes + 4, program);
  at.setU32(attributes + 8, BPF_CGROUP_DEVICE);
  at.setU32(attributes + 12, replace === undefined ? BPF_F_ALLOW_MULTI : BPF_F_ALLOW_MULTI | BPF_F_REPLACE);
  at.setU32(attributes + 16, replace ?? 0);
  bpf("BPF_PROG_ATTACH", BPF_PROG_ATTACH, attributes, ATTACH_SIZE);
}

function detach(cgroup: number, program: number): void {
  const attributes = scratch().space(ATTACH_SIZE);
  at.setU32(attributes, cgroup);
  at.setU32(attributes + 4, program);
  at.setU32(attributes + 8, BPF_CGROUP_DEVICE);
  bpf("BPF_PROG_DETACH", BPF_PROG_DETACH, attributes, ATTACH_SIZE);
}

/** A descriptor of the program on a cgroup that berth attached; the caller closes it. @throws BerthError */
function ownProgram(cgroup: number): number | undefined {
  for (const id of attachedPrograms(cgroup)) {
    const attributes = scratch().space(12);
    at.setU32(attributes, id);
    const fd = syscall("bpf", BPF_PROG_GET_FD_BY_ID, attributes, 12);
    // It was detached meanwhile.
    if (fd === -ENOENT) continue;
    if (fd < 0) throw bpfError(fd, "BPF_PROG_GET_FD_BY_ID");
    if (nameOf(fd) === NAME) return fd;
    close(fd);
  }
  return undefined;
}

/** The name that a program was loaded with. */
function nameOf(program: number): string {
  const memory = scratch();
  const attributes = memory.space(16);
  // struct bpf_prog_info: prog_name is at 64, 16 bytes.
  const info = memory.space(80);
  at.setU32(attributes, program);
  at.setU32(attributes + 4, 80);
  at.setU64(attributes + 8, info);
  bpf("BPF_OBJ_GET_INFO_BY_FD", BPF_OBJ_GET_INFO_BY_FD, attributes, 16);
  return text(info + 64, 16);
}

/** Text up to its NUL, or up to `size`. */
function text(address: number, size: number): string {
  const whole = at.text(address, size);
  const end = whole.indexOf("\0");
  return end < 0 ? whole : whole.slice(0, end);
}

function bpf(name: string, command: number, attributes: number, size: number): void {
  const result = syscall("bpf", command, attributes, size);
  if (result < 0) throw bpfError(result, name);
}

function bpfError(result: number, command: string, detail: ErrorDetail = {}): BerthError {
  const subject = `linux.resources.devices: device program of the cgroup: bpf(${command})`;
  return systemError(-result, subject, { hint: hintFor(-result, command), ...detail });
}

function hintFor(errno: number, command: string): string | undefined {
  const attaching = command === "BPF_PROG_ATTACH";
  switch (errno) {
    case EPERM: {
      const needs = "bpf(2) needs CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN, in the host's user namespace";
      return attaching ? `${needs}; or a cgroup above has a device program that allows none below it` : needs;
    }
    case ENOSYS:
      return "the kernel is built without CONFIG_BPF_SYSCALL";
    case EINVAL:
      return "the kernel may be built without CONFIG_CGROUP_BPF";
    case E2BIG:
      return attaching
        ? `the cgroup has ${MAX_ATTACHED} device programs already`
        : "there are too many rules";
    default:
      return undefined;
  }
}
