import { spawn } from "node:child_process";
import { once } from "node:events";
import * as grpc from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct, type JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb";
import type { Props } from "../../recordings/expand";
import { callsOf } from "../grpcCalls";
import { unmarked } from "./placeholders";

/** What a plugin's refusal says; with `halfMade`, the engine keeps the resource in this state. */
export class PluginError extends Error {
  constructor(
    message: string,
    readonly code: number,
    readonly halfMade?: { id: string; properties: Props },
  ) {
    super(message);
  }
}

export interface Diff {
  changes: boolean;
  replaces: string[];
  deleteBeforeReplace: boolean;
  /** Paths and kinds, such as UPDATE_REPLACE; without kinds where there is no detailed diff. */
  detailed: Record<string, string>;
  diffs: string[];
}

export type PluginClient = Awaited<ReturnType<typeof startPlugin>>;

/** Secrets lose their mark on the way: no plugin here says that it takes them. */
const struct = (value: object): Struct =>
  Struct.fromJavaScript(unmarked(value) as Record<string, JavaScriptValue>);

/** A provider's configuration keeps them. */
const marked = (value: object): Struct =>
  Struct.fromJavaScript(value as Record<string, JavaScriptValue>);

const plain = (value: Struct | undefined): Props => value?.toJavaScript() ?? {};

const urnOf = (type: string): string => `urn:pulumi:dev::traces::${type}::it`;

/** Starts a plugin's executable and speaks to it as Pulumi's engine does. */
export async function startPlugin(executable: string, environment: Record<string, string>) {
  const { PATH = "" } = process.env;
  const child = spawn(executable, [], {
    env: { PATH, HOME: "/does/not/exist", LAB_PLUGIN_WAITS: "0.01", ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [port] = (await once(child.stdout, "data")) as [Buffer];
  const client = new ResourceProviderClient(
    `127.0.0.1:${port.toString().trim()}`,
    grpc.credentials.createInsecure(),
  );
  const calls = callsOf(client);
  const ask = <Answer>(method: string, request: unknown) =>
    calls<Answer>(method, request).catch((error: grpc.ServiceError) => {
      throw pluginError(error);
    });

  return {
    async checkConfig(config: Props) {
      const request = new proto.CheckRequest();
      request.setUrn("urn:pulumi:dev::traces::pulumi:providers:it::it");
      request.setNews(marked(config));
      const answer = await ask<proto.CheckResponse>("checkConfig", request);
      return { inputs: plain(answer.getInputs()), failures: answer.getFailuresList().length };
    },
    async configure(config: Props) {
      const request = new proto.ConfigureRequest();
      request.setAcceptsecrets(true);
      request.setAcceptresources(true);
      request.setArgs(marked(config));
      return (await ask<proto.ConfigureResponse>("configure", request)).toObject();
    },
    async version() {
      const answer = await ask<{ getVersion(): string }>("getPluginInfo", new Empty());
      return answer.getVersion();
    },
    async check(type: string, olds: Props, news: Props) {
      const request = new proto.CheckRequest();
      request.setUrn(urnOf(type));
      request.setOlds(struct(olds));
      request.setNews(struct(news));
      const answer = await ask<proto.CheckResponse>("check", request);
      return { inputs: plain(answer.getInputs()), failures: answer.getFailuresList().length };
    },
    async diff(
      type: string,
      id: string,
      olds: Props,
      oldInputs: Props,
      news: Props,
    ): Promise<Diff> {
      const request = new proto.DiffRequest();
      request.setUrn(urnOf(type));
      request.setId(id);
      request.setOlds(struct(olds));
      request.setOldInputs(struct(oldInputs));
      request.setNews(struct(news));
      const answer = await ask<proto.DiffResponse>("diff", request);
      const kinds = Object.keys(proto.PropertyDiff.Kind);
      const detailed: Record<string, string> = {};
      answer.getDetaileddiffMap().forEach((one, key) => {
        detailed[key] = kinds[one.getKind()] ?? "";
      });
      return {
        changes: answer.getChanges() === proto.DiffResponse.DiffChanges.DIFF_SOME,
        replaces: answer.getReplacesList(),
        deleteBeforeReplace: answer.getDeletebeforereplace(),
        detailed,
        diffs: answer.getDiffsList(),
      };
    },
    async create(type: string, inputs: Props, preview = false) {
      const request = new proto.CreateRequest();
      request.setUrn(urnOf(type));
      request.setPreview(preview);
      request.setProperties(struct(inputs));
      const answer = await ask<proto.CreateResponse>("create", request);
      return { id: answer.getId(), outputs: plain(answer.getProperties()) };
    },
    async update(type: string, id: string, was: State, news: Props, preview = false) {
      const request = new proto.UpdateRequest();
      request.setUrn(urnOf(type));
      request.setId(id);
      request.setPreview(preview);
      request.setOlds(struct(was.outputs));
      request.setOldInputs(struct(was.inputs));
      request.setNews(struct(news));
      return plain((await ask<proto.UpdateResponse>("update", request)).getProperties());
    },
    /** Without an id in the answer, the thing is gone. */
    async read(type: string, id: string, was: State) {
      const request = new proto.ReadRequest();
      request.setUrn(urnOf(type));
      request.setId(id);
      request.setProperties(struct(was.outputs));
      request.setInputs(struct(was.inputs));
      const answer = await ask<proto.ReadResponse>("read", request);
      const [outputs, inputs] = [plain(answer.getProperties()), plain(answer.getInputs())];
      return { id: answer.getId(), outputs, inputs };
    },
    async delete(type: string, id: string, was: State) {
      const request = new proto.DeleteRequest();
      request.setUrn(urnOf(type));
      request.setId(id);
      request.setProperties(struct(was.outputs));
      request.setOldInputs(struct(was.inputs));
      await ask<Empty>("delete", request);
    },
    async invoke(token: string, args: Props) {
      const request = new proto.InvokeRequest();
      request.setTok(token);
      request.setArgs(struct(args));
      const answer = await ask<proto.InvokeResponse>("invoke", request);
      return { outputs: plain(answer.getReturn()), failures: answer.getFailuresList().length };
    },
    stop() {
      client.close();
      child.kill();
    },
  };
}

/** A resource as the engine keeps it. */
export interface State {
  inputs: Props;
  outputs: Props;
}

function pluginError(error: grpc.ServiceError): PluginError {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const details = bytes ? Status.deserializeBinary(bytes as Buffer).getDetailsList() : [];
  for (const detail of details) {
    const half = detail.unpack(
      (bytes) => proto.ErrorResourceInitFailed.deserializeBinary(bytes),
      "pulumirpc.ErrorResourceInitFailed",
    );
    if (half) {
      const made = { id: half.getId(), properties: plain(half.getProperties()) };
      return new PluginError(error.details, error.code, made);
    }
  }
  return new PluginError(error.details, error.code);
}
