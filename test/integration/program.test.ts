import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { berth, directory, makeBundle, newId } from "../bundle.ts";
import { forever, succeed } from "../container.ts";

/* Tools of the host's that berth runs: here, programs in the place of ps. */

let serial = 0;

/** `berth ps` with a program of this text as the only ps in PATH. */
function psIs(text: string, mode = 0o755, env: Record<string, string> = {}) {
  const path = join(directory, `tools-${serial++}`);
  mkdirSync(path);
  writeFileSync(join(path, "ps"), text, { mode });
  const id = newId();
  succeed(["run", "--detach", "--bundle", makeBundle(forever).path, id]);
  try {
    const { status, stdout, stderr } = berth(["ps", id], { env: { PATH: `${path}:relative:`, ...env } });
    return { status, stdout, stderr: stderr.replaceAll(path, "DIR") };
  } finally {
    succeed(["delete", "--force", id]);
  }
}

describe("a tool", () => {
  test.each([
    ["that is no program", "", 0o755, "berth: DIR/ps: execute it: exec format error\n"],
    [
      "whose interpreter is missing",
      "#!/no/such\n",
      0o755,
      'berth: DIR/ps: execute it: no such file or directory\nhint: the interpreter that its "#!" line names is missing\n',
    ],
    ["that nobody may execute", "#!/bin/sh\n", 0o644, /^berth: ps: executable file not found in \$PATH\n/],
    [
      "that fails, its stdout and stderr closed",
      "#!/bin/sh\nexec >&- 2>&-\n/bin/sleep 0.1; exit 3\n",
      0o755,
      "berth: ps -ef: exit status 3\n",
    ],
    [
      "that is killed",
      "#!/bin/sh\necho why >&2; kill -9 $$\n",
      0o755,
      "berth: ps -ef: exit status 137: why\n",
    ],
  ])("%s is an error", (_, text, mode, told) => {
    const { status, stdout, stderr } = psIs(text, mode);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    if (typeof told === "string") expect(stderr).toBe(told);
    else expect(stderr).toMatch(told);
  });

  test("may say more than its pipes hold, to both of them", () => {
    const text = `#!/bin/sh
for i in 1 2 3 4 5 6 7 8 9; do /usr/bin/head -c 100000 /dev/zero >&2; /usr/bin/head -c 100000 /dev/zero; done
echo; echo PID`;
    const { status, stdout, stderr } = psIs(`${text}; echo it fails >&2; exit 1\n`);
    expect({ status, stdout, size: stderr.length > 900_000, end: stderr.endsWith("it fails\n") }).toEqual({
      ...{ status: 1, stdout: "", size: true, end: true },
    });
    expect(psIs("#!/bin/sh\necho PID; exec /usr/bin/head -c 1000000 /dev/zero\n")).toEqual({
      ...{ status: 0, stdout: "PID\n", stderr: "" },
    });
  });

  test("gets nothing but stdio, nothing to read, signals afresh, and berth's few variables", () => {
    const text = `#!/bin/sh
echo PID
/bin/cat; /bin/ls -l /proc/self/fd >&2
/bin/grep -E '^Sig(Blk|Ign)' /proc/self/status >&2
/usr/bin/env >&2; pwd >&2; exit 1`;
    const { stderr } = psIs(text, 0o755, { COLUMNS: "300", LD_PRELOAD: "/no/such", SHELL: "/bin/sh" });
    expect([...stderr.matchAll(/ (\d+) -> (\w+)/g)].map(([, fd, what]) => `${fd} ${what}`)).toEqual([
      ...["0 pipe", "1 pipe", "2 pipe"],
    ]);
    expect(stderr).toMatch(/SigBlk:\t0{16}\nSigIgn:\t0{16}\n/);
    expect(stderr).toContain("COLUMNS=300\n");
    expect(stderr).not.toMatch(/LD_PRELOAD|SHELL/);
  });
});
