/** The device number as mknod(2) takes it: twelve bits of major, twenty of minor. */
export function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** The device number as statx(2) shows it: major and minor, thirty-two bits each. */
export function rdevValue(major: number, minor: number): number {
  return major + minor * 0x1_0000_0000;
}
