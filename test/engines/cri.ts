/** containerd's CRI plugin: what a kubelet drives. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { namespaceOf, socketOf, writeConfig } from "./containerd.ts";
import { startDaemon } from "./daemon.ts";
import { type Engine, prepare } from "./engine.ts";
import { connect, type Message } from "./grpc.ts";
import { makeImage } from "./image.ts";
import type { Operation } from "./operation.ts";
import { type Node, Pod } from "./pod.ts";
import type { Place } from "./scratch.ts";
import { criSettings } from "./settings.ts";

/** What a row does with a node; what it says is the outcome's stdout. */
export interface Actions extends Operation {
  run(kubelet: Kubelet): Promise<void>;
}

/** The means of a row. */
export interface Kubelet extends Node {
  /** Runs a pod, which is removed after the row. */
  pod(linux?: Message): Promise<Pod>;
  say(...values: unknown[]): void;
  /** What a container has written, without the times of the lines. */
  log(pod: Pod, name: string): string;
  /** The error of what must fail. */
  refusal(promise: Promise<unknown>): Promise<string>;
  /** The value of a file of a container's cgroup, seen from the host; "none" if it is not there. */
  limit(id: string, file: string): string;
}

const IMAGE = "localhost/box:latest";
const PAUSE = "localhost/pause:latest";

const config = (place: Place): string => `
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${PAUSE}"
# Root may lack CAP_SYS_RESOURCE.
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = ${JSON.stringify(join(place.path, "cni"))}
conf_dir = ${JSON.stringify(join(place.path, "cni"))}
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "berth"${criSettings(place.program)}`;

export const cri: Engine<Actions> = {
  name: "cri",
  keeps: /\/(berth-engines-\w+|k8s\.io)$/,
  async start(place) {
    const socket = socketOf(place);
    const ctr = `ctr -a ${socket} -n k8s.io`;
    const daemon = await startDaemon(
      place,
      ["containerd", "--config", writeConfig(place, config(place))],
      `ctr -a ${socket} version`,
    );
    for (const [name, command] of [
      [IMAGE, ["sh"]],
      [PAUSE, ["sleep", "100000"]],
    ] as const) {
      await prepare(place, {}, `${ctr} image import ${makeImage(name, command)}`);
    }
    const logs = join(place.path, "logs");
    mkdirSync(logs);
    const { call, close } = connect(socket, "cri.proto", "runtime.v1.RuntimeService");
    const node = { call, image: IMAGE, logs, cgroup: `/${namespaceOf(place)}` };
    return {
      perform: async (operation) => {
        const said: string[] = [];
        const pods: Pod[] = [];
        let failure = "";
        try {
          await operation.run(kubelet(node, said, pods));
        } catch (error) {
          failure = String(error);
        }
        for (const pod of pods) await pod.remove();
        return { exit: failure === "" ? 0 : 1, stdout: said.join("\n"), stderr: failure };
      },
      stop: async () => {
        // Those of a row that did not come to its end.
        const { items } = await call("ListPodSandbox", {});
        for (const { id } of items as { id: string }[]) {
          await call("StopPodSandbox", { pod_sandbox_id: id });
          await call("RemovePodSandbox", { pod_sandbox_id: id });
        }
        close();
        await daemon.stop();
      },
    };
  },
};

function kubelet(node: Node, said: string[], pods: Pod[]): Kubelet {
  return {
    ...node,
    pod: async (linux) => {
      const pod = await Pod.run(node, linux);
      pods.push(pod);
      return pod;
    },
    say: (...values) => {
      said.push(values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(" "));
    },
    log: (pod, name) =>
      readFileSync(join(node.logs, `${pod.id}-${name}.log`), "utf8").replaceAll(/^\S+ /gm, ""),
    refusal: async (promise) => {
      try {
        await promise;
      } catch (error) {
        return String(error);
      }
      throw new Error("it was not refused");
    },
    limit: (id, file) => {
      const [controller = ""] = file.split(".");
      try {
        return readFileSync(join("/sys/fs/cgroup", controller, node.cgroup, id, file), "utf8").trim();
      } catch {
        return "none";
      }
    },
  };
}
