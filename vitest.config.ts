import { defineConfig } from "vitest/config";
import { skippedReporter } from "./test/skipped.ts";

/** test/vm/main.ts sets it in the guest, to its init; only there do the tests of test/vm mean something. */
const isGuest = process.env.BERTH_VM !== undefined;

/** Containers share the host's cgroups and mounts, and each file checks that it left nothing there. */
const integration = {
  name: "integration",
  include: ["test/integration/**/*.test.ts"],
  fileParallelism: false,
};

/** What main.ts names of these files. They run in an emulated processor, at a tenth to a fiftieth of the speed. */
const vm = {
  ...{ name: "vm", include: ["test/vm/**/*.test.ts", ...integration.include], fileParallelism: false },
  ...{ testTimeout: 600_000, hookTimeout: 600_000 },
  // What is over in a moment elsewhere may be cut in two there by whatever else the processor emulates.
  retry: 1,
};

/** Daemons and containers of real engines, compared with runc's: they share the host, too. */
const engines = {
  name: "engines",
  include: ["test/engines/**/*.test.ts"],
  fileParallelism: false,
  hookTimeout: 600_000,
  testTimeout: 600_000,
  // After all others: both processors are wanted.
  sequence: { groupOrder: 1 },
};

/*
 * Tests run in Bun, so that they may call src/linux/ directly. That asks for threads (Bun's child processes lack what the
 * forks pool uses) and for Bun's own import instead of Vite's, which knows neither bun:ffi nor import.meta.dir.
 */
export default defineConfig({
  test: {
    pool: "threads",
    experimental: { viteModuleRunner: false, nodeLoader: false },
    setupFiles: ["test/stack.ts", "test/engine.ts"],
    // main.ts reads what "json" writes.
    reporters: [...(isGuest ? ["verbose", "json"] : ["default"]), skippedReporter()],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: isGuest
      ? [{ extends: true, test: vm }]
      : [
          { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
          { extends: true, test: integration },
          { extends: true, test: engines },
        ],
  },
});
