import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Mount } from "../../src/spec/config.ts";
import { berth, type Config, directory, makeBundle, newId, stateRoot, waitUntil } from "../bundle.ts";
import { refuse, script, startContainer, succeed } from "../container.ts";
import { isTmpfsMappable, makeMappable, mountMappable } from "../mappable.ts";

/* Mounts that show other owners than their file system has: seen from inside, and by what is written through them from outside. */

const map = (containerID: number, hostID: number, size: number) => ({ containerID, hostID, size });
const MAPS = { uidMappings: [map(0, 5000, 100)], gidMappings: [map(0, 6000, 100)] };
const SHOW = "stat -c '%u:%g %n' /mnt/x/file /mnt/x/sub/file";

type Patch = (config: Config) => void;

function withUserNamespace(config: Config): void {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [map(0, 100_000, 65_536)];
  config.linux.gidMappings = [map(0, 200_000, 65_536)];
}

const ground = join(directory, "ground");
let isMounted = false;
beforeEach(() => {
  mkdirSync(ground, { recursive: true });
  isMounted = makeMappable(ground);
  chmodSync(ground, 0o755);
});
// Before bundle.ts looks for what was left: the last one of these hooks is the first to run.
afterEach(() => {
  if (isMounted) expect(Bun.spawnSync(["umount", "-R", ground]).exitCode).toBe(0);
});

let serial = 0;

/** A directory of the host's with a file of user 1, group 2. */
function source(): string {
  serial += 1;
  const path = join(ground, `source-${serial}`);
  mkdirSync(path);
  fill(path);
  return path;
}

function fill(path: string): void {
  writeFileSync(join(path, "file"), "");
  chownSync(join(path, "file"), 1, 2);
  chmodSync(path, 0o777);
}

/** As {@link source}, on a file system with another one inside it, for the time of `use`. */
function onMounts(use: (path: string) => void): void {
  const path = source();
  const mount = (target: string) => {
    mountMappable(target);
    fill(target);
  };
  mount(path);
  try {
    mkdirSync(join(path, "sub"));
    mount(join(path, "sub"));
    use(path);
  } finally {
    Bun.spawnSync(["umount", "-R", path]);
  }
}

const mounted = (from: string, options: string[], more: Partial<Mount> = {}): Mount => ({
  destination: "/mnt/x",
  source: from,
  options,
  ...more,
});

function bundleWith(mount: Mount, ...patches: Patch[]): string {
  const { path, rootfs } = makeBundle((config) => {
    config.mounts.push(mount);
    for (const patch of patches) patch(config);
  });
  // For a container whose root is no user of the host's.
  mkdirSync(join(rootfs, "mnt/x"), { recursive: true });
  return path;
}

/** What a script writes in a container with this mount, both outputs. */
const outputOf = (text: string, mount: Mount, ...patches: Patch[]): string =>
  succeed(["run", "-b", bundleWith(mount, script(`exec 2>&1\n${text}\ntrue`), ...patches), newId()]);

const refusal = (mount: Mount, ...patches: Patch[]): string =>
  refuse(["run", "-b", bundleWith(mount, ...patches), newId()]);

describe("the mappings of a mount", () => {
  test("say whose the files are in the container, and on the host who made them there", () => {
    const path = source();
    const text = `${SHOW.replace(" /mnt/x/sub/file", "")}; touch /mnt/x/new; stat -c '%u:%g' /mnt/x/new`;
    const user: Patch = ({ process }) => {
      process.user = { uid: 5007, gid: 6008 };
    };
    expect(outputOf(text, mounted(path, ["bind"], MAPS), user)).toBe("5001:6002 /mnt/x/file\n5007:6008\n");
    const { uid, gid } = statSync(join(path, "new"));
    expect([uid, gid]).toEqual([7, 8]);
  });

  test("hold for what is mounted below it with ridmap, and else not", () => {
    onMounts((path) => {
      const plain = "5001:6002 /mnt/x/file\n1:2 /mnt/x/sub/file\n";
      expect(outputOf(SHOW, mounted(path, ["rbind"], MAPS))).toBe(plain);
      expect(outputOf(SHOW, mounted(path, ["rbind", "idmap"], MAPS))).toBe(plain);
      const both = "5001:6002 /mnt/x/file\n5001:6002 /mnt/x/sub/file\n";
      expect(outputOf(SHOW, mounted(path, ["rbind", "ridmap"], MAPS))).toBe(both);
    });
  });

  test("are those of the container's own user namespace when the option has none", () => {
    onMounts((path) => {
      const text = `${SHOW}; touch /mnt/x/new`;
      expect(outputOf(text, mounted(path, ["rbind", "ridmap"]), withUserNamespace)).toBe(
        "1:2 /mnt/x/file\n1:2 /mnt/x/sub/file\n",
      );
      const { uid, gid } = statSync(join(path, "new"));
      expect([uid, gid]).toEqual([0, 0]);
    });
  });

  test("are those of a user namespace that the container joins", () => {
    const { id, pid } = startContainer(withUserNamespace, script("exec sleep 1000"));
    const joining: Patch = ({ linux }) => {
      linux.namespaces.push({ type: "user", path: `/proc/${pid}/ns/user` });
    };
    const path = source();
    expect(outputOf("stat -c '%u:%g' /mnt/x/file", mounted(path, ["bind", "idmap"]), joining)).toBe("1:2\n");
    succeed(["delete", "--force", id]);
  });

  test("can be in the option itself, as crun has it", () => {
    const path = source();
    const text = "stat -c '%u:%g' /mnt/x/file";
    const host = ["bind", "idmap=uids=0-10-1#1-70-1;gids=0-5000-10"];
    expect(outputOf(text, mounted(path, host))).toBe("70:5002\n");
    const inContainer = ["bind", "idmap=uids=@0-30-10;gids=0-200050-10"];
    expect(outputOf(text, mounted(path, inContainer), withUserNamespace)).toBe("31:52\n");
  });

  test("hold for a new file system as well", () => {
    const mount = { destination: "/mnt/x", type: "tmpfs", source: "tmpfs", ...MAPS };
    if (isTmpfsMappable) expect(outputOf("stat -c '%u:%g' /mnt/x", mount)).toBe("5000:6000\n");
    else expect(refusal(mount)).toContain('the file system "tmpfs" does not support id-mapped mounts');
  });
});

describe("what cannot be mapped is refused before anything is made", () => {
  const NOTHING = () => expect(existsSync(stateRoot) ? readdirSync(stateRoot) : []).toEqual([]);

  test("a file system that does not support it, by its name", () => {
    const error = refusal(mounted("/proc/sys", ["bind"], { destination: "/mnt/x", ...MAPS }));
    expect(error).toContain(
      'mounts[7] /mnt/x: map the ids of the bind of "/proc/sys" (proc): invalid argument',
    );
    expect(error).toContain('the file system "proc" does not support id-mapped mounts');
    NOTHING();
  });

  test("a source that is not there", () => {
    const error = refusal(mounted(join(directory, "missing"), ["bind"], MAPS));
    expect(error).toContain("no such file or directory");
    NOTHING();
  });

  test.each<[string, string[], string]>([
    ["@ without a user namespace", ["bind", "idmap=uids=@0-1-1;gids=0-1-1"], '"@" only in a user namespace'],
    ["no maps and no user namespace", ["bind", "ridmap"], "or in a user namespace, whose mappings it takes"],
    ["half of the maps", ["bind", "idmap=uids=0-1-1"], '"idmap=uids=FROM-TO-SIZE;gids=FROM-TO-SIZE"'],
  ])("%s", (_, options, expected) => {
    expect(refusal(mounted(directory, options))).toContain(expected);
    NOTHING();
  });

  test("an id in the container that no mapping covers", () => {
    const error = refusal(
      mounted(directory, ["bind", "idmap=uids=@0-70000-1;gids=0-1-1"]),
      withUserNamespace,
    );
    expect(error).toContain('mounts[7].options[1]: "@0-70000-1": no single mapping');
    NOTHING();
  });
});

describe("a bind source that the root of the user namespace cannot reach", () => {
  test("is opened by berth", () => {
    const hidden = source();
    const path = join(hidden, "inner");
    mkdirSync(path);
    fill(path);
    chmodSync(hidden, 0o700);
    const found = outputOf("ls /mnt/x; echo y > /mnt/x/new", mounted(path, ["bind"]), withUserNamespace);
    expect(found).toBe("file\n");
    expect(statSync(join(path, "new")).uid).toBe(100_000);
  });

  test("gets no mounts of the container's, and passes on those of the host's", () => {
    const hidden = source();
    const path = join(hidden, "inner");
    mkdirSync(path);
    expect(Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", path]).exitCode).toBe(0);
    try {
      expect(Bun.spawnSync(["mount", "--make-shared", path]).exitCode).toBe(0);
      chmodSync(path, 0o777);
      chmodSync(hidden, 0o700);
      for (const name of ["ours", "theirs"]) mkdirSync(join(path, name), { mode: 0o777 });
      const bundle = bundleWith(
        mounted(path, ["rbind", "rslave"]),
        withUserNamespace,
        ({ process }) => {
          const all = ["CAP_SYS_ADMIN"];
          process.capabilities = { bounding: all, effective: all, permitted: all };
        },
        script(
          "mount -t tmpfs tmpfs /mnt/x/theirs; echo ready; while [ ! -e /mnt/x/ours/seen ]; do sleep 0.02; done",
        ),
      );
      const id = newId();
      const { status, stderr, output } = berth(["run", "--detach", "-b", bundle, id]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      waitUntil(() => output() === "ready\n", "the container has mounted");
      const points = Bun.file("/proc/self/mountinfo").text();
      expect(Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", join(path, "ours")]).exitCode).toBe(0);
      writeFileSync(join(path, "ours/seen"), "");
      waitUntil(() => succeed(["state", id]).includes('"stopped"'), "the container has seen it");
      succeed(["delete", id]);
      return points.then((text) => expect(text).not.toContain(join(path, "theirs")));
    } finally {
      Bun.spawnSync(["umount", "-R", path]);
    }
  });
});
