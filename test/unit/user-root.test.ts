import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { userRoot } from "../../src/cli/user-root.ts";
import { isExposed, planNamespaces } from "../../src/namespaces/namespaces.ts";
import type { Linux } from "../../src/spec/linux.ts";

let path = "";
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "berth-unit-"));
});
afterEach(() => rmSync(path, { recursive: true }));

describe("where a user without XDG_RUNTIME_DIR has state", () => {
  const uid = process.getuid?.() ?? 0;

  test("is the directory that a login makes, or one for the user alone", () => {
    expect(userRoot(uid, path, "/nonexistent")).toBe(`${path}/berth`);
    const place = `${path}/berth-${uid}`;
    expect(userRoot(uid, `${path}/none`, path)).toBe(place);
    expect(existsSync(place)).toBe(false);
    mkdirSync(place, { mode: 0o700 });
    expect(userRoot(uid, `${path}/none`, path)).toBe(place);
  });

  test("is not what another may have put there", () => {
    const place = `${path}/berth-${uid}`;
    mkdirSync(place);
    chmodSync(place, 0o755);
    expect(() => userRoot(uid, "/nonexistent", path)).toThrow("alone");
    rmSync(place, { recursive: true });
    symlinkSync("/", place);
    expect(() => userRoot(uid, "/nonexistent", path)).toThrow("alone");
    mkdirSync(`${path}/berth-${uid + 1}`, { mode: 0o700 });
    expect(() => userRoot(uid + 1, "/nonexistent", path)).toThrow("alone");
  });
});

describe("whether init is closed to others", () => {
  const [pid, mount, user] = (["pid", "mount", "user"] as const).map((type) => ({ type }));
  const joined = { type: "user", path: "/ns" } as const;
  test.each<[string, Linux["namespaces"][number][], root: boolean, user: boolean]>([
    ["with a pid namespace of its own", [pid, mount] as Linux["namespaces"], false, false],
    ["in the host's pid namespace", [mount] as Linux["namespaces"], true, false],
    ["in a user namespace of its own there", [user, mount] as Linux["namespaces"], true, false],
    ["in one that is joined", [joined, pid] as Linux["namespaces"], true, false],
    ["in one that is joined, with the host's pids", [joined, mount] as Linux["namespaces"], true, true],
  ])("%s", (_, namespaces, asRoot, asUser) => {
    const plan = planNamespaces(namespaces);
    expect([isExposed(plan, true), isExposed(plan, false)]).toEqual([asRoot, asUser]);
  });
});
