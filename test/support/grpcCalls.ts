import type * as grpc from "@grpc/grpc-js";

/** The unary calls of a gRPC client by name, as promises; a refusal is thrown as gRPC gives it. */
export function callsOf(client: grpc.Client) {
  return <Answer>(method: string, request: unknown): Promise<Answer> =>
    new Promise((resolve, reject) => {
      type Done = (error: grpc.ServiceError | null, answer: Answer) => void;
      const methods = client as unknown as Record<string, (given: unknown, done: Done) => void>;
      methods[method]?.call(client, request, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });
}
