/** So often is looked whether a condition holds: for a minute, and for ten where processors are emulated. A busy host is slow, too. */
const LOOKS = process.env.BERTH_VM === undefined ? 6_000 : 60_000;

/** Waits until `condition` holds, and throws if it never does. */
export function waitUntil(condition: () => boolean, what: string): void {
  for (let i = 0; i < LOOKS; i++) {
    if (condition()) return;
    Bun.sleepSync(10);
  }
  throw new Error(`waited in vain until ${what}`);
}
