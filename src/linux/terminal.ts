import {
  F_GETFL,
  F_SETFL,
  O_NONBLOCK,
  SFD_CLOEXEC,
  SIG_BLOCK,
  SIGWINCH,
  TCGETS,
  TCSETS,
  TIOCGWINSZ,
  TIOCSWINSZ,
} from "./constants.ts";
import { check } from "./errno.ts";
import { at, scratch } from "./memory.ts";
import { syscall } from "./native.ts";

/** struct termios as the kernel has it: four words of flags, the line discipline, 19 control characters. */
const TERMIOS_SIZE = 36;

/** The settings of a terminal, or undefined when the descriptor is none; man 4 tty_ioctl. */
export function terminalSettings(fd: number): Uint8Array | undefined {
  const termios = scratch().space(TERMIOS_SIZE);
  return syscall("ioctl", fd, TCGETS, termios) < 0 ? undefined : at.bytes(termios, TERMIOS_SIZE);
}

/** Gives a terminal these settings. @throws BerthError */
export function setTerminalSettings(fd: number, settings: Uint8Array): void {
  check(syscall("ioctl", fd, TCSETS, scratch().copy(settings)), "set the terminal's mode");
}

const IFLAG = {
  IGNBRK: 1,
  BRKINT: 2,
  PARMRK: 8,
  ISTRIP: 0x20,
  INLCR: 0x40,
  IGNCR: 0x80,
  ICRNL: 0x100,
  IXON: 0x400,
};
const OPOST = 1;
const LFLAG = { ISIG: 1, ICANON: 2, ECHO: 8, ECHONL: 0x40, IEXTEN: 0x8000 };
const CSIZE = 0x30;
const CS8 = 0x30;
const PARENB = 0x100;
const VTIME = 5;
const VMIN = 6;

/** These settings with every byte passed on as it is; as cfmakeraw of man 3 termios does. */
export function rawSettings(settings: Uint8Array): Uint8Array {
  const raw = settings.slice();
  const view = new DataView(raw.buffer);
  const clear = (offset: number, bits: number) =>
    view.setUint32(offset, view.getUint32(offset, true) & ~bits, true);
  clear(
    0,
    Object.values(IFLAG).reduce((a, b) => a | b),
  );
  clear(4, OPOST);
  clear(8, CSIZE | PARENB);
  view.setUint32(8, view.getUint32(8, true) | CS8, true);
  clear(
    12,
    Object.values(LFLAG).reduce((a, b) => a | b),
  );
  raw[17 + VTIME] = 0;
  raw[17 + VMIN] = 1;
  return raw;
}

/** Gives `to` the window size of `from`, if both are terminals. */
export function copyWindowSize(from: number, to: number): void {
  const size = scratch().space(8);
  if (syscall("ioctl", from, TIOCGWINSZ, size) >= 0) syscall("ioctl", to, TIOCSWINSZ, size);
}

/** A descriptor that becomes readable when this process gets SIGWINCH; man 2 signalfd. @throws BerthError */
export function windowChanges(): number {
  const mask = scratch().space(8);
  at.setU64(mask, 2 ** (SIGWINCH - 1));
  check(syscall("rt_sigprocmask", SIG_BLOCK, mask, 0, 8), "block SIGWINCH");
  return check(syscall("signalfd4", -1, mask, 8, SFD_CLOEXEC), "make a signal descriptor");
}

/** From now on, reads and writes of this open file never wait. @throws BerthError */
export function setNonBlocking(fd: number): void {
  const flags = check(syscall("fcntl", fd, F_GETFL), "read a descriptor's flags");
  check(syscall("fcntl", fd, F_SETFL, flags | O_NONBLOCK), "set a descriptor's flags");
}
