/** Runs the lines of bash that an operation consists of. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Outcome } from "./operation.ts";
import type { Place } from "./scratch.ts";

/** What the lines can use beside the engine's own command. */
const PRELUDE = `
# until_ COMMAND...: waits until it succeeds.
until_() { local end=$((SECONDS + 300)); while ((SECONDS < end)); do "$@" >/dev/null 2>&1 && return; sleep 0.02; done
  echo "in vain: $*"; return 1; }
# shows TEXT COMMAND...: waits until its output contains the text.
shows() { local text=$1 end=$((SECONDS + 300)); shift
  while ((SECONDS < end)); do case "$("$@" 2>&1)" in *"$text"*) return;; esac; sleep 0.02; done
  echo "in vain: $* does not say $text, but: $("$@" 2>&1)"; return 1; }
# code COMMAND...: its exit code, as the answer.
code() { "$@"; echo "exit $?"; }
# on_terminal COMMAND...: runs it on a terminal of its own.
on_terminal() { script -qec "$(printf '%q ' "$@")" /dev/null </dev/null; }
# What lists the mounts of a container, but for its root and what masks paths.
MASKED='/proc/(acpi|interrupts|kcore|keys|latency_stats|sched_debug|scsi|timer_list|timer_stats)|/sys/(firmware|dev/block|devices/virtual/powercap|fs/selinux)'
MOUNTS='cut -d" " -f5- /proc/self/mountinfo | grep -vE "^(/|'$MASKED') " | sed "s/\\(master\\|shared\\):[0-9]*/\\1/; s/ - sysfs.*//" | sort'
# What lists the masked paths, and then what masks files and directories.
MASKS=$(cat <<'END'
masks() { grep -E "^[^/]*/[^ ]* (MASKED) " /proc/self/mountinfo; }
masks | cut -d" " -f5
DEV=$(grep " / /dev " /proc/self/mountinfo | cut -d" " -f3)
masks | while read -r _ _ device root path options rest; do
  case $root-$device in
    /null-$DEV) echo "file of the container's /dev";;
    /null-*) echo "file of another /dev";;
    *) echo "directory $options \${rest##* }";;
  esac
done | sed "s/,uid=.*//" | sort -u
END
)
MASKS=\${MASKS/MASKED/$MASKED}
cd "$DIR"
`;

let serial = 0;

/**
 * Runs lines of bash in a place. Processes that they leave behind may keep the output open; only bash is waited for.
 * @param signal ends it, and what it has started
 */
export async function runScript(
  place: Place,
  env: Record<string, string>,
  lines: string,
  signal?: AbortSignal,
): Promise<Outcome> {
  serial += 1;
  const paths = [join(place.path, `stdout-${serial}`), join(place.path, `stderr-${serial}`)] as const;
  const [stdout, stderr] = [openSync(paths[0], "w"), openSync(paths[1], "w")];
  try {
    // A session, and so a process group, of its own, by which all of it can be ended.
    const child = Bun.spawn(["setsid", "--wait", "bash", "-c", PRELUDE + lines], {
      env: environmentOf(place, env),
      stdio: ["ignore", stdout, stderr],
    });
    const end = () => process.kill(-child.pid, "SIGKILL");
    signal?.addEventListener("abort", end);
    const exit = await child.exited;
    signal?.removeEventListener("abort", end);
    return {
      exit: child.signalCode ? null : exit,
      stdout: readFileSync(paths[0], "utf8"),
      stderr: readFileSync(paths[1], "utf8"),
    };
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
}

/** A small environment, the same on every machine. */
export function environmentOf(place: Place, more: Record<string, string>): Record<string, string> {
  return {
    PATH: `${place.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: place.path,
    TERM: "dumb",
    LC_ALL: "C",
    DIR: place.path,
    RUNTIME: place.program,
    ...more,
  };
}
