/** A virtual machine under QEMU, without hardware's help: what it is made of, its start, and when it is given up. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

export const project = realpathSync(join(import.meta.dirname, "../.."));
const parts = join(project, "dist/vm");
const guest = join(import.meta.dirname, "guest");

/** Where the guest has the directory that it shares with {@link boot}. */
export const guestShare = "/run/berth-vm/share";

/** Which process 1 the guest has: a script that only runs the tests, or systemd. */
export type Init = "plain" | "systemd";

/** A guest that has not come this far after so many seconds never will; on an idle machine it takes 4. */
const READY = 120;
/** Seconds without a sign of life after which the guest hangs. A single test is the longest that may be silent. */
const SILENT = 600;
/** Seconds after which QEMU ends, should this process be gone and nobody watch over it. */
const LONGEST = 7200;

/** How a guest has ended. */
export type End =
  /** With the exit status of the line, and what that has written to the file `report` of the share. */
  | { readonly kind: "exited"; readonly status: number; readonly report: string }
  /** It never ran the tests. */
  | { readonly kind: "not-ready"; readonly reason: string }
  | { readonly kind: "died"; readonly reason: string };

function qemu(share: string): string[] {
  const version = readFileSync(join(parts, "version"), "utf8");
  // A kernel after 6.1 panics in int3 when QEMU emulates its processors in several threads, as soon as it patches its own code.
  const threads = version.startsWith("6.1.") ? "multi" : "single";
  return [
    ...["qemu-system-x86_64", "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none"],
    // Not microvm, which has no clock to calibrate the others by. Not KVM: it may be there and yet unable to run this kernel.
    ...["-machine", "pc", "-accel", `tcg,thread=${threads}`, "-cpu", "max", "-smp", "2", "-m", "2048"],
    ...["-kernel", join(parts, "kernel"), "-initrd", join(parts, "initramfs")],
    // On a busy host the kernel would take a timer that ticks late for one that does not work, and panic: no_timer_check.
    ...["-append", "console=ttyS0 quiet panic=-1 oops=panic no_timer_check"],
    ...["-serial", `file:${join(share, "console")}`],
    // The host's own files: QEMU runs as root.
    ...["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"],
    ...["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"],
    ...["-fsdev", `local,id=share,path=${share},security_model=none`],
    ...["-device", "virtio-9p-pci,fsdev=share,mount_tag=share"],
  ];
}

/** A word for the shell. */
export const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);
const textOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");

/** The end of what the guest's kernel and process 1 have said. */
function lastWords(share: string): string {
  const lines = textOf(join(share, "console")).replaceAll("\r", "").trimEnd().split("\n");
  return lines.slice(-40).join("\n");
}

/**
 * Boots a guest once and runs a line of shell in it.
 * @param share where it leaves what it has to say, among it what the tests have written
 * @param onOutput is told what the line writes, as it comes
 */
export async function boot(
  init: Init,
  line: string,
  share: string,
  onOutput: (text: string) => void,
): Promise<End> {
  copyFileSync(join(guest, `${init}.sh`), join(share, "init"));
  const prepare = readFileSync(join(guest, "prepare.sh"), "utf8");
  writeFileSync(join(share, "prepare"), `project=${quote(project)}\n${prepare}`);
  const at = guestShare;
  writeFileSync(
    join(share, "tests"),
    `echo > ${at}/ready\n( ${line} ) > ${at}/output 2>&1 < /dev/null\necho $? > ${at}/status\n`,
  );
  const child = Bun.spawn(["timeout", "--kill-after=10", String(LONGEST), ...qemu(share)], {
    stdio: ["ignore", "ignore", Bun.file(join(share, "qemu"))],
  });
  // A KILL of `timeout` would leave QEMU alone; a TERM is passed on.
  const end = () => child.kill("SIGTERM");
  process.on("exit", end);

  let [shown, heard] = [0, Date.now()];
  let reason: string | undefined;
  const started = heard;
  while (child.exitCode === null && child.signalCode === null) {
    await Promise.race([child.exited, Bun.sleep(100)]);
    const output = join(share, "output");
    if (sizeOf(output) > shown) {
      // Whole lines, so that no character is cut in two.
      const bytes = readFileSync(output).subarray(shown);
      const text = bytes.subarray(0, bytes.lastIndexOf(10) + 1);
      shown += text.length;
      if (text.length > 0) [heard] = [Date.now(), onOutput(text.toString())];
    }
    const isReady = existsSync(join(share, "ready"));
    const now = Date.now();
    if (reason === undefined && !isReady && now - started > READY * 1000) {
      reason = `it was not ready after ${READY} s`;
    } else if (reason === undefined && now - heard > SILENT * 1000) {
      reason = `it said nothing for ${SILENT} s`;
    }
    if (reason !== undefined) end();
  }
  process.off("exit", end);

  const status = textOf(join(share, "status")).trim();
  if (status !== "") {
    return { kind: "exited", status: Number(status), report: textOf(join(share, "report")) };
  }
  const why = `${reason ?? "it ended without a result"}\n${textOf(join(share, "qemu"))}${lastWords(share)}`;
  return existsSync(join(share, "ready"))
    ? { kind: "died", reason: why }
    : { kind: "not-ready", reason: why };
}

/** A directory for {@link boot} to share with the guest, for as long as `use` takes. */
export async function withShare<T>(use: (share: string) => Promise<T>): Promise<T> {
  const share = mkdtempSync(join(parts, "share-"));
  const remove = () => rmSync(share, { recursive: true, force: true });
  process.on("exit", remove);
  try {
    return await use(share);
  } finally {
    process.off("exit", remove);
    remove();
  }
}
