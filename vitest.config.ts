import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";

/** test/vm/main.ts sets it in the guest, the only place where these tests mean something: to the init system that it has. */
const guest = process.env.BERTH_VM;

const inGuest = (name: string, include: string, exclude: string[] = []): TestProjectInlineConfiguration => ({
  extends: true,
  // The guest's processors are emulated.
  test: { name, include: [include], exclude, fileParallelism: false, testTimeout: 600_000, hookTimeout: 600_000 },
});

/*
 * Tests run in Bun, so that they may call src/linux/ directly. That asks for threads (Bun's child processes lack what the
 * forks pool uses) and for Bun's own import instead of Vite's, which knows neither bun:ffi nor import.meta.dir.
 */
export default defineConfig({
  test: {
    pool: "threads",
    experimental: { viteModuleRunner: false, nodeLoader: false },
    setupFiles: ["test/stack.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        extends: true,
        // Containers share the host's cgroups and mounts, and each file checks that it left nothing there.
        test: { name: "integration", include: ["test/integration/**/*.test.ts"], fileParallelism: false },
      },
      ...(guest === "plain" ? [inGuest("vm", "test/vm/**/*.test.ts", ["test/vm/systemd/**"])] : []),
      ...(guest === "systemd" ? [inGuest("vm-systemd", "test/vm/systemd/**/*.test.ts")] : []),
    ],
  },
});
