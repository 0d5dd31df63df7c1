import {
  MAP_SHARED,
  MFD_CLOEXEC,
  O_CLOEXEC,
  PROT_READ,
  PROT_WRITE,
  SECCOMP_SET_MODE_FILTER,
} from "../../linux/constants.ts";
import { EACCES, ECONNRESET } from "../../linux/errno.ts";
import { ALL32, addressOf, label, mark, rawBytes, serving, slot, struct } from "../../plan/build.ts";
import type { Descriptors } from "../../plan/protocol.ts";
import type { Step } from "../../plan/step.ts";
import { INSTRUCTION_SIZE } from "./bpf.ts";
import type { FilterSteps, SeccompFilter } from "./load.ts";

/** Room for the executor's report, struct failure of native/run.h, in a file of a page. */
const NOTICE_SIZE = 4096;

/**
 * The steps that load a filter. After it only execve may be needed: a profile need not allow anything else. So that even the
 * failure of execve is told through memory that the runtime shares.
 */
export function filterSteps(
  { program, flags, notifies }: Pick<SeccompFilter, "program" | "flags" | "notifies">,
  { sync, notice }: Descriptors,
): FilterSteps {
  const { call, when, fail } = serving("start", "linux.seccomp");
  const file = slot("notice file");
  const address = slot("notice");
  const before = [
    call("memfd_create", ["berth-notice", MFD_CLOEXEC], { store: file }),
    call("ftruncate", [file, NOTICE_SIZE]),
    call("mmap", [0, NOTICE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0], { store: address }),
    call("dup3", [file, notice, O_CLOEXEC]),
    call("close", [file]),
  ];
  // struct sock_fprog
  const filter = struct(16, [
    { name: "len", offset: 0, size: 2, value: program.length / INSTRUCTION_SIZE },
    {
      name: "filter",
      offset: 8,
      pointer: rawBytes(program, `${program.length / INSTRUCTION_SIZE} instructions`),
    },
  ]);
  const load = call("seccomp", [SECCOMP_SET_MODE_FILTER, flags, filter], {
    what: "load the filter",
    hints: { [EACCES]: "without process.noNewPrivileges that takes CAP_SYS_ADMIN" },
  });
  const last: Step[] = [load];
  if (notifies) {
    // execve would close the listener: it waits until that is with whoever listens.
    const [go, got, fetched] = [slot("go"), slot("got"), label("listener fetched")];
    last.push(
      call("read", [sync, addressOf(go), 1], { store: got, what: "wait until the listener was handed over" }),
      when({ slot: got, mask: ALL32, value: 1 }, fetched),
      fail(ECONNRESET, "wait until the listener was handed over"),
      mark(fetched),
    );
  }
  return { before, notice: address, last, load };
}
