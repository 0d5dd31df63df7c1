/** What an engine is told once, so that it uses a runtime. README's section on engines has the same. */

/** Of containers.conf. */
export const podmanSettings = (program: string): string => `[engine] runtime = ${JSON.stringify(program)}`;

/** Of daemon.json. */
export const dockerSettings = (program: string): Record<string, unknown> => ({
  runtimes: { berth: { path: program } },
  "default-runtime": "berth",
});

/** Of containerd's config.toml. */
export const criSettings = (program: string): string => `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.berth]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.berth.options]
BinaryName = ${JSON.stringify(program)}
`;
