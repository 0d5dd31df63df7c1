/** What a kubelet asks of the CRI plugin. */
import type { Actions } from "./cri.ts";
import { FAULTS, SHIM_CREATE, SHIM_EXEC, says } from "./reasons.ts";

const FOREVER = ["sleep", "100000"];

const MIB = 1024 * 1024;

export const operations: readonly Actions[] = [
  {
    name: "a pod: run, status, stop, remove",
    async run({ call, pod, say }) {
      const made = await pod();
      const request = { pod_sandbox_id: made.id };
      const { status } = await call("PodSandboxStatus", request);
      say((status as { state: string }).state);
      await call("StopPodSandbox", request);
      const stopped = await call("PodSandboxStatus", request);
      say((stopped.status as { state: string }).state);
    },
  },
  {
    name: "a container: create, start, log, end, remove",
    async run({ call, pod, say, log }) {
      const made = await pod();
      const id = await made.create("a", ["sh", "-c", "echo out; echo err >&2; exit 3"]);
      say((await made.status(id)).state);
      await call("StartContainer", { container_id: id });
      const { state, exit_code, reason } = await made.ended(id);
      say(state, exit_code, reason);
      say(log(made, "a").split("\n").sort().join("\n"));
      await call("RemoveContainer", { container_id: id });
    },
  },
  {
    name: "a container with limits, seen from inside and outside; update",
    async run({ call, pod, say, limit }) {
      const made = await pod();
      const resources = {
        cpu_period: 100000,
        cpu_quota: 50000,
        cpu_shares: 512,
        memory_limit_in_bytes: 64 * MIB,
        oom_score_adj: 900,
        cpuset_cpus: "0",
      };
      const id = await made.start("a", FOREVER, {
        linux: { resources, security_context: { namespace_options: { network: "NODE", pid: "CONTAINER" } } },
      });
      const files = ["memory.limit_in_bytes", "cpu.cfs_quota_us", "cpu.shares", "cpuset.cpus"];
      say(files.map((file) => limit(id, file)));
      say(
        await made.exec(id, "cat /proc/self/oom_score_adj; cat /sys/fs/cgroup/memory/memory.limit_in_bytes"),
      );
      await call("UpdateContainerResources", {
        container_id: id,
        linux: { memory_limit_in_bytes: 100 * MIB, cpu_quota: 20000, cpu_shares: 256 },
      });
      say(files.map((file) => limit(id, file)));
    },
  },
  {
    name: "ExecSync: exit code, output, user",
    async run({ pod, say }) {
      const made = await pod();
      const id = await made.start("a", FOREVER);
      say(await made.exec(id, "echo out; echo err >&2; exit 4"));
      say(await made.exec(id, "id; pwd; grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status"));
      say(await made.exec(id, "seq 5000 | tail -n1"));
    },
  },
  {
    name: "ExecSync: a timeout ends the program",
    async run({ pod, say, refusal }) {
      const made = await pod();
      const id = await made.start("a", FOREVER);
      say(await refusal(made.exec(id, "sleep 775", 1)));
      for (let i = 0; i < 100; i++) {
        const { stdout } = await made.exec(id, "ps -o args | grep -c '[s]leep 775'");
        if (stdout === "0\n") return say("ended");
        await Bun.sleep(20);
      }
      say("it goes on");
    },
  },
  {
    name: "ExecSync: a program that is not there",
    async run({ call, pod, say, refusal }) {
      const made = await pod();
      const id = await made.start("a", FOREVER);
      say(await refusal(call("ExecSync", { container_id: id, cmd: ["nope"], timeout: 0 })));
    },
    improves: [says(SHIM_EXEC, FAULTS.noCommand, "stdout")],
  },
  {
    name: "StartContainer: a program that is not there",
    async run({ call, pod, say, refusal }) {
      const made = await pod();
      const id = await made.create("a", ["nope"]);
      say(await refusal(call("StartContainer", { container_id: id })));
      const { state, exit_code, reason } = await made.status(id);
      say(state, exit_code, reason);
    },
    improves: [says(SHIM_CREATE, FAULTS.noCommand, "stdout")],
  },
  {
    name: "stop: SIGTERM, then SIGKILL after the time",
    async run({ call, pod, say, log }) {
      const made = await pod();
      const polite = await made.start("a", [
        "sh",
        "-c",
        "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done",
      ]);
      const deaf = await made.start("b", [
        "sh",
        "-c",
        "trap '' TERM; echo ready; while :; do sleep 0.05; done",
      ]);
      // Their traps are set by then.
      for (const name of ["a", "b"]) while (!log(made, name).includes("ready")) await Bun.sleep(20);
      await call("StopContainer", { container_id: polite, timeout: 10 });
      await call("StopContainer", { container_id: deaf, timeout: 1 });
      for (const id of [polite, deaf]) say((await made.status(id)).exit_code);
    },
  },
  {
    name: "statistics",
    async run({ call, pod, say }) {
      const made = await pod();
      const id = await made.start("a", FOREVER);
      const { stats } = await call("ContainerStats", { container_id: id });
      const { cpu, memory } = stats as Record<string, Record<string, { value: number }>>;
      say(Number(cpu?.usage_core_nano_seconds?.value) > 0, Number(memory?.working_set_bytes?.value) > 0);
    },
  },
  {
    name: "two containers share the pod's namespaces",
    async run({ pod, say }) {
      const made = await pod();
      const [a, b] = [await made.start("a", FOREVER), await made.start("b", FOREVER)];
      for (const kind of ["ipc", "uts", "net", "pid", "mnt"]) {
        const [one, other] = [
          await made.exec(a, `readlink /proc/self/ns/${kind}`),
          await made.exec(b, `readlink /proc/self/ns/${kind}`),
        ];
        say(kind, one.stdout === other.stdout ? "shared" : "apart");
      }
    },
  },
  {
    name: "two containers share a pid namespace",
    async run({ pod, say }) {
      const shared = { network: "NODE", pid: "POD" };
      const made = await pod({ security_context: { namespace_options: shared } });
      const more = { linux: { security_context: { namespace_options: shared } } };
      const a = await made.start("a", FOREVER, more);
      await made.start("b", ["sleep", "774"], more);
      say((await made.exec(a, "ps -o args | grep -c '[s]leep'")).stdout);
    },
  },
  {
    name: "the node's namespaces",
    async run({ pod, say }) {
      const node = { network: "NODE", pid: "NODE", ipc: "NODE" };
      const made = await pod({ security_context: { namespace_options: node } });
      const id = await made.start("a", FOREVER, { linux: { security_context: { namespace_options: node } } });
      say((await made.exec(id, "for n in pid ipc net; do readlink /proc/self/ns/$n; done")).stdout);
    },
  },
  {
    name: "security: user, groups, capabilities, read-only, seccomp, no new privileges",
    async run({ pod, say }) {
      const made = await pod();
      const id = await made.start("a", FOREVER, {
        linux: {
          security_context: {
            namespace_options: { network: "NODE", pid: "CONTAINER" },
            run_as_user: { value: 1000 },
            supplemental_groups: [7, 8],
            readonly_rootfs: true,
            no_new_privs: true,
            capabilities: { add_capabilities: ["NET_ADMIN"], drop_capabilities: ["CHOWN"] },
            seccomp: { profile_type: "RuntimeDefault" },
            masked_paths: ["/proc/keys", "/sys/firmware"],
            readonly_paths: ["/proc/sys"],
          },
        },
      });
      say(
        await made.exec(
          id,
          "exec 2>&1; id; touch /x; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; wc -c < /proc/keys; ls /sys/firmware",
        ),
      );
    },
  },
  {
    name: "a privileged container",
    async run({ pod, say }) {
      const security_context = {
        privileged: true,
        namespace_options: { network: "NODE", pid: "CONTAINER" },
      };
      const made = await pod({ security_context });
      const id = await made.start("a", FOREVER, { linux: { security_context } });
      say(await made.exec(id, "grep CapEff /proc/self/status; test -e /dev/fuse && echo devices"));
    },
  },
  {
    name: "environment, working directory, mounts",
    async run({ pod, say, logs }) {
      const made = await pod();
      const id = await made.start("a", FOREVER, {
        envs: [{ key: "A", value: "b" }],
        working_dir: "/tmp",
        mounts: [{ container_path: "/logs", host_path: logs, readonly: true }],
      });
      say(await made.exec(id, "exec 2>&1; echo $A; pwd; ls /logs | wc -l; touch /logs/x"));
    },
  },
  {
    name: "a terminal",
    async run({ pod, say, log }) {
      const made = await pod();
      const id = await made.start("a", ["sh", "-c", "tty; test -t 0 && echo terminal"], { tty: true });
      await made.ended(id);
      say(log(made, "a"));
    },
  },
  {
    name: "out of memory",
    async run({ pod, say }) {
      const made = await pod();
      const script =
        "until test -e /watched; do sleep 0.02; done; dd if=/dev/zero of=/dev/null bs=64M count=1; exit $?";
      const id = await made.start("a", ["sh", "-c", script], {
        linux: {
          resources: { memory_limit_in_bytes: 16 * MIB },
          security_context: { namespace_options: { network: "NODE", pid: "CONTAINER" } },
        },
      });
      // The kernel tells of it only who watches by then: not before StartContainer has answered.
      await made.exec(id, "touch /watched");
      say((await made.ended(id)).exit_code);
      // containerd may hear of the end first.
      while ((await made.status(id)).reason !== "OOMKilled") await Bun.sleep(20);
    },
  },
  {
    name: "a pod is stopped while its containers run",
    async run({ call, pod, say }) {
      const made = await pod();
      const id = await made.start("a", FOREVER);
      await call("StopPodSandbox", { pod_sandbox_id: made.id });
      const { state, exit_code } = await made.status(id);
      say(state, exit_code);
    },
  },
];
