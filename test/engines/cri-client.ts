/** Talks to a Container Runtime Interface as a kubelet does: gRPC over a Unix socket. */
import { join } from "node:path";
import { Client, credentials, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** A request or an answer, in the JSON form of its message: cri.proto. */
export type Message = Record<string, unknown>;

export type Call = (method: string, request: Message) => Promise<Message>;

/** @returns how to call the methods of RuntimeService, and how to hang up */
export function connect(socket: string): { readonly call: Call; close(): void } {
  const loaded = loadSync(join(import.meta.dirname, "cri.proto"), {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  const service = loaded["runtime.v1.RuntimeService"] as ServiceDefinition;
  const client = new Client(`unix://${socket}`, credentials.createInsecure());
  return {
    call: (method, request) => {
      const definition = service[method];
      if (definition === undefined) throw new Error(`cri.proto has no method ${method}`);
      const { promise, resolve, reject } = Promise.withResolvers<Message>();
      client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize as (bytes: Buffer) => Message,
        request,
        (error, answer) => (error ? reject(error) : resolve(answer ?? {})),
      );
      return promise;
    },
    close: () => client.close(),
  };
}
