import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import type { JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb";
import { callsOf } from "./grpcCalls";

type Props = Record<string, JavaScriptValue>;

/** Pulumi's own host of dynamic providers, asked as the engine asks it. */
export interface ProviderHost {
  configure(config: Record<string, string>): Promise<unknown>;
  create(inputs: object): Promise<{ id: string; outs: Props }>;
  update(olds: object, news: object): Promise<Props>;
  read(olds: object): Promise<{ id: string; outs: Props }>;
  /** Whether the engine would call `update`; `replaces` are the inputs that would replace the resource. */
  diff(olds: object, news: object): Promise<{ changes: boolean; replaces: string[] }>;
  remove(olds: object): Promise<void>;
  /** All that the process printed. */
  printed(): string;
  stop(): void;
}

const main = require.resolve("@pulumi/pulumi/cmd/dynamic-provider");
const hurry = join(__dirname, "hurry.cjs");

/** Starts the host in `cwd`, the program's folder, with the provider's serialised code `text`. Its waits are short. */
export async function startProviderHost(
  text: string,
  cwd: string,
  env: Record<string, string>,
): Promise<ProviderHost> {
  const { PATH = "" } = process.env;
  // An engine to live for: a provider ends when that is gone.
  const engine = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
  await once(engine, "listening");
  const { port: enginePort } = engine.address() as AddressInfo;
  const child = spawn(process.execPath, ["-r", hurry, main, `127.0.0.1:${enginePort}`], {
    cwd,
    env: { PATH, PULUMI_NODEJS_PROJECT: "apisec-credentials", ...env },
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (part: Buffer) => (printed += part.toString()));
  }
  const [port] = (await once(child.stdout, "data")) as [Buffer];
  const client = new ResourceProviderClient(
    `127.0.0.1:${port.toString().trim()}`,
    grpc.credentials.createInsecure(),
  );
  const ask = callsOf(client);
  const struct = (value: object) =>
    Struct.fromJavaScript({ ...(JSON.parse(JSON.stringify(value)) as Props), __provider: text });
  const plain = (answer: { getProperties(): Struct | undefined }): Props => {
    const { __provider, ...rest } = answer.getProperties()?.toJavaScript() ?? {};
    // Without it every later call would fail.
    if (__provider !== text) throw new Error("The provider's code was lost");
    return rest;
  };
  return {
    configure(config) {
      const request = new proto.ConfigureRequest();
      request.setArgs(Struct.fromJavaScript(config));
      return ask("configure", request);
    },
    async create(inputs) {
      const request = new proto.CreateRequest();
      request.setProperties(struct(inputs));
      const answer = await ask<proto.CreateResponse>("create", request);
      return { id: answer.getId(), outs: plain(answer) };
    },
    async update(olds, news) {
      const request = new proto.UpdateRequest();
      request.setId("id");
      request.setOlds(struct(olds));
      request.setNews(struct(news));
      return plain(await ask<proto.UpdateResponse>("update", request));
    },
    async read(olds) {
      const request = new proto.ReadRequest();
      request.setId("id");
      request.setProperties(struct(olds));
      const answer = await ask<proto.ReadResponse>("read", request);
      return { id: answer.getId(), outs: plain(answer) };
    },
    async diff(olds, news) {
      const request = new proto.DiffRequest();
      request.setId("id");
      request.setOlds(struct(olds));
      request.setNews(struct(news));
      const answer = await ask<proto.DiffResponse>("diff", request);
      const { DIFF_SOME } = proto.DiffResponse.DiffChanges;
      return { changes: answer.getChanges() === DIFF_SOME, replaces: answer.getReplacesList() };
    },
    async remove(olds) {
      const request = new proto.DeleteRequest();
      request.setId("id");
      request.setProperties(struct(olds));
      await ask("delete", request);
    },
    printed: () => printed,
    stop() {
      client.close();
      child.kill();
      engine.close();
    },
  };
}
