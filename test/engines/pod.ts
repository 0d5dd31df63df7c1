/** A pod of the Container Runtime Interface, in the words of tests. */
import type { Call, Message } from "./grpc.ts";

/** What one `ExecSync` came to. */
export interface Executed {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A node as a kubelet sees it: what it runs, and where logs and cgroups of it go. */
export interface Node {
  readonly call: Call;
  readonly image: string;
  readonly logs: string;
  readonly cgroup: string;
}

let serial = 0;

/** A pod that runs. Its network is the node's: pods of their own need plugins that set up interfaces. */
export class Pod {
  readonly id: string;
  readonly #node: Node;
  readonly #config: Message;

  private constructor(node: Node, config: Message, id: string) {
    this.#node = node;
    this.#config = config;
    this.id = id;
  }

  /** @param linux of PodSandboxConfig, beside the node's network */
  static async run(node: Node, linux: Message = {}): Promise<Pod> {
    serial += 1;
    const config = {
      metadata: { name: `pod-${serial}`, uid: `uid-${serial}`, namespace: "default" },
      log_directory: node.logs,
      linux: {
        cgroup_parent: node.cgroup,
        security_context: { namespace_options: { network: "NODE", pid: "CONTAINER" } },
        ...linux,
      },
    };
    const { pod_sandbox_id: id } = await node.call("RunPodSandbox", { config, runtime_handler: "berth" });
    return new Pod(node, config, String(id));
  }

  /** Creates a container. @param more of ContainerConfig @returns its id */
  async create(name: string, command: readonly string[], more: Message = {}): Promise<string> {
    const config = {
      metadata: { name },
      image: { image: this.#node.image },
      command,
      log_path: `${this.id}-${name}.log`,
      linux: { security_context: { namespace_options: { network: "NODE", pid: "CONTAINER" } } },
      ...more,
    };
    const request = { pod_sandbox_id: this.id, config, sandbox_config: this.#config };
    const { container_id: id } = await this.#node.call("CreateContainer", request);
    return String(id);
  }

  /** As {@link create}, and starts it. */
  async start(name: string, command: readonly string[], more: Message = {}): Promise<string> {
    const id = await this.create(name, command, more);
    await this.#node.call("StartContainer", { container_id: id });
    return id;
  }

  async exec(id: string, script: string, timeout = 0): Promise<Executed> {
    const cmd = ["sh", "-c", script];
    const answer = await this.#node.call("ExecSync", { container_id: id, cmd, timeout });
    return {
      exit: Number(answer.exit_code),
      stdout: String(answer.stdout),
      stderr: String(answer.stderr),
    };
  }

  async status(id: string): Promise<Message> {
    const { status } = await this.#node.call("ContainerStatus", { container_id: id });
    return status as Message;
  }

  /** Waits until a container has ended. @returns its status */
  async ended(id: string): Promise<Message> {
    for (;;) {
      const status = await this.status(id);
      if (status.state === "CONTAINER_EXITED") return status;
      await Bun.sleep(20);
    }
  }

  /** Stops and removes it, with all of its containers. */
  async remove(): Promise<void> {
    await this.#node.call("StopPodSandbox", { pod_sandbox_id: this.id });
    await this.#node.call("RemovePodSandbox", { pod_sandbox_id: this.id });
  }
}
