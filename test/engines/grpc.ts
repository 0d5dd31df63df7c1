/** Talks gRPC over a Unix socket, as a kubelet and other clients of containerd do. */
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** A request or an answer, in the JSON form of its message. */
export type Message = Record<string, unknown>;

export type Call = (method: string, request: Message) => Promise<Message>;

export interface Connection {
  readonly call: Call;
  close(): void;
}

/**
 * @param file a .proto beside this file
 * @param name the service in it, with its package
 * @param headers what goes with every call
 * @returns how to call the methods of the service, and how to hang up
 */
export function connect(
  socket: string,
  file: string,
  name: string,
  headers: Record<string, string> = {},
): Connection {
  const loaded = loadSync(join(import.meta.dirname, file), {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  const service = loaded[name] as ServiceDefinition;
  const client = new Client(`unix://${socket}`, credentials.createInsecure());
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
  return {
    call: (method, request) => {
      const definition = service[method];
      if (definition === undefined) throw new Error(`${file} has no method ${method}`);
      const { promise, resolve, reject } = Promise.withResolvers<Message>();
      client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize as (bytes: Buffer) => Message,
        request,
        metadata,
        (error, answer) => (error ? reject(error) : resolve(answer ?? {})),
      );
      return promise;
    },
    close: () => client.close(),
  };
}
