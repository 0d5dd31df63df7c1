/* The check at the end of each suite sees what it is there to see. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { close } from "../../src/linux/file.ts";
import { sealedMemfd } from "../../src/linux/spawn.ts";
import { leftovers, sweep, takeBaseline } from "./left.ts";
import { directory, removeScratch } from "./scratch.ts";

const cgroup = `/sys/fs/cgroup/pids/berth-engines-left`;
const usualState = `/run/berth/left-${process.pid}`;
const state = join(directory, "root/left");
const mount = join(directory, "mount");

afterAll(removeScratch);

test("a process, a mount, a cgroup, state directories and a memfd that remain are told of, and swept away", async () => {
  const before = takeBaseline();
  expect(await leftovers(before, /^$/)).toEqual([]);

  for (const path of [cgroup, usualState, state, mount]) mkdirSync(path, { recursive: true });
  writeFileSync(join(state, "state.json"), "{}");
  expect(Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", mount]).exitCode).toBe(0);
  const memfd = sealedMemfd("berth-left", new Uint8Array(1));
  // It says nothing of the directory, and is in the cgroup; and it holds the memfd.
  const child = Bun.spawn(["sleep", "1000"], { env: {}, cwd: "/", stdio: [memfd, "ignore", "ignore"] });
  close(memfd);
  writeFileSync(join(cgroup, "cgroup.procs"), String(child.pid));

  const left = await leftovers(before, /^$/);
  expect(left.map((text) => text.replace(/inode \d+/, "inode"))).toEqual([
    `process ${child.pid}: sleep 1000 `,
    `mount ${mount}`,
    `cgroup ${cgroup}`,
    `state ${usualState}`,
    `state ${state}`,
    `memfd berth-left, inode, of process ${child.pid}`,
  ]);

  sweep(before);
  await child.exited;
  expect(await leftovers(before, /^$/)).toEqual([]);
});
