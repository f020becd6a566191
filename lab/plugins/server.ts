import * as grpc from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import { PluginInfo, type PluginAttach } from "@pulumi/pulumi/proto/plugin_pb";
import {
  ResourceProviderService,
  type IResourceProviderServer,
} from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct, type JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb";
import { handlerFor, type Handler } from "./handler";
import { secretOf, text, type HalfMade, type Log, type Props, type ResourceType } from "./resource";

/** A stand-in plugin: tables of what it can do. */
export interface Plugin {
  /** Package version that it stands in for. */
  version: string;
  /** Known keys of the provider's configuration. */
  config: readonly string[];
  configure(config: Record<string, string>): Promise<void>;
  /** Keys of the configuration that come back as secrets, and no others; else as they were given. */
  secretConfig?: readonly string[];
  types: Record<string, ResourceType | Handler>;
  functions?: Record<string, (args: Props) => Promise<Props>>;
  cancel?(): void;
}

/** Serves the plugin to the engine that started this process and prints the port, as plugins do. */
export function serve(plugin: Plugin): void {
  let engineAddress = process.argv[2];
  let engine: EngineClient | undefined;

  const logFor =
    (urn: string): Log =>
    (message) => {
      if (engineAddress) {
        engine ??= new EngineClient(engineAddress, grpc.credentials.createInsecure());
        const line = new LogRequest();
        line.setSeverity(LogSeverity.INFO);
        line.setUrn(urn);
        line.setMessage(message);
        engine.log(line, () => {});
      }
    };

  const handlerOf = (urn: string): Handler => {
    const token = (urn.split("::")[2] ?? "").split("$").pop() ?? "";
    const type = plugin.types[token];
    if (!type) {
      throw new Error(`this stand-in has no resource type ${token}`);
    }
    return "diff" in type ? type : handlerFor(type);
  };

  const handlers: Partial<IResourceProviderServer> = {
    handshake: unary(async (request: proto.ProviderHandshakeRequest) => {
      engineAddress = request.getEngineAddress();
      return new proto.ProviderHandshakeResponse();
    }),

    attach: unary(async (request: PluginAttach) => {
      engineAddress = request.getAddress();
      return new Empty();
    }),

    getPluginInfo: unary(async () => {
      const info = new PluginInfo();
      info.setVersion(plugin.version);
      return info;
    }),

    cancel: unary(async () => {
      plugin.cancel?.();
      return new Empty();
    }),

    checkConfig: unary(async (request: proto.CheckRequest) => {
      const known = [...plugin.config, "version", "pluginDownloadURL"];
      const answer = new proto.CheckResponse();
      const { secretConfig } = plugin;
      answer.setInputs(secretConfig ? marked(request.getNews(), secretConfig) : request.getNews());
      for (const key of Object.keys(plain(request.getNews()))) {
        if (!known.includes(key) && !key.startsWith("__")) {
          answer.addFailures(failure(key, "this stand-in does not know the configuration key"));
        }
      }
      return answer;
    }),

    configure: unary(async (request: proto.ConfigureRequest) => {
      const args = Object.entries(plain(unmarked(request.getArgs())));
      const settings = args.map(([key, value]) => [key, text(value)] as const);
      await plugin.configure(Object.fromEntries(settings));
      const answer = new proto.ConfigureResponse();
      // Without acceptSecrets the engine marks outputs whose input of the same name was secret.
      answer.setSupportspreview(true);
      answer.setSupportsAutonamingConfiguration(true);
      return answer;
    }),

    check: unary(async (request: proto.CheckRequest) => {
      const { inputs, failures } = handlerOf(request.getUrn()).check(plain(request.getNews()));
      const answer = new proto.CheckResponse();
      answer.setInputs(struct(inputs));
      answer.setFailuresList(failures.map(([property, reason]) => failure(property, reason)));
      return answer;
    }),

    diff: unary(async (request: proto.DiffRequest) => {
      const [olds, news] = [plain(request.getOlds()), plain(request.getNews())];
      const found = await handlerOf(request.getUrn()).diff(olds, news);
      const { DIFF_SOME, DIFF_NONE } = proto.DiffResponse.DiffChanges;
      const answer = new proto.DiffResponse();
      answer.setChanges(found.length > 0 ? DIFF_SOME : DIFF_NONE);
      answer.setHasdetaileddiff(found.some(({ kind }) => kind !== undefined));
      answer.setDeletebeforereplace(found.some(({ deleteFirst }) => deleteFirst));
      for (const { key, kind, replaces } of found) {
        answer.addDiffs(key);
        if (replaces) {
          answer.addReplaces(key);
        }
        if (kind) {
          const detail = new proto.PropertyDiff();
          detail.setKind(proto.PropertyDiff.Kind[replaces ? (`${kind}_REPLACE` as const) : kind]);
          answer.getDetaileddiffMap().set(key, detail);
        }
      }
      return answer;
    }),

    create: unary(async (request: proto.CreateRequest) => {
      const handler = handlerOf(request.getUrn());
      const inputs = plain(request.getProperties());
      const answer = new proto.CreateResponse();
      if (request.getPreview()) {
        answer.setProperties(struct(await handler.previewCreate(inputs)));
        return answer;
      }
      const { id, state } = await handler.create(inputs, logFor(request.getUrn()));
      answer.setId(id);
      answer.setProperties(struct(state));
      return answer;
    }),

    read: unary(async (request: proto.ReadRequest) => {
      const [state, known] = [plain(request.getProperties()), plain(request.getInputs())];
      const real = await handlerOf(request.getUrn()).read(request.getId(), state, known);
      const answer = new proto.ReadResponse();
      if (real) {
        // An import may be given less than the whole id.
        answer.setId(text(real.state.id) || request.getId());
        answer.setProperties(struct(real.state));
        answer.setInputs(struct(real.inputs));
      }
      return answer;
    }),

    update: unary(async (request: proto.UpdateRequest) => {
      const handler = handlerOf(request.getUrn());
      const was = plain(request.getOlds());
      const now = plain(request.getNews());
      const answer = new proto.UpdateResponse();
      const state = request.getPreview()
        ? await handler.previewUpdate(was, now)
        : await handler.update(request.getId(), was, now, logFor(request.getUrn()));
      answer.setProperties(struct(state));
      return answer;
    }),

    delete: unary(async (request: proto.DeleteRequest) => {
      const { id, urn, properties } = {
        id: request.getId(),
        urn: request.getUrn(),
        properties: plain(request.getProperties()),
      };
      await handlerOf(urn).delete(id, properties, logFor(urn));
      return new Empty();
    }),

    invoke: unary(async (request: proto.InvokeRequest) => {
      const run = plugin.functions?.[request.getTok()];
      if (!run) {
        throw new Error(`this stand-in has no function ${request.getTok()}`);
      }
      const answer = new proto.InvokeResponse();
      try {
        answer.setReturn(struct(await run(plain(request.getArgs()))));
      } catch (error) {
        const { refused } = error as { refused?: string };
        if (refused === undefined) throw error;
        answer.addFailures(failure("", refused));
      }
      return answer;
    }),
  };

  // An engine that was killed ends no plugin.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) {
      plugin.cancel?.();
      process.exit(1);
    }
  }, 2_000).unref();

  const server = new grpc.Server({ "grpc.max_receive_message_length": 400 * 1024 * 1024 });
  server.addService(ResourceProviderService, handlers as IResourceProviderServer);
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) {
      throw error;
    }
    process.stdout.write(`${port}\n`);
  });
}

function unary<Request, Answer>(
  run: (request: Request) => Promise<Answer>,
): grpc.handleUnaryCall<Request, Answer> {
  return (call, callback) => {
    run(call.request).then(
      (answer) => callback(null, answer),
      (error: unknown) => callback(statusOf(error as HalfMade, call.request)),
    );
  };
}

/** A half-made resource travels in the details of the error, as the engine wants it. */
function statusOf(error: HalfMade, request: unknown) {
  const metadata = new grpc.Metadata();
  if (error.createdId !== undefined) {
    const half = new proto.ErrorResourceInitFailed();
    half.setId(error.createdId);
    half.setProperties(
      error.state ? struct(error.state) : (request as proto.CreateRequest).getProperties(),
    );
    half.setReasonsList([error.message]);
    const detail = new Any();
    detail.pack(half.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
    const status = new Status();
    status.setCode(grpc.status.UNKNOWN);
    status.setMessage(error.message);
    status.addDetails(detail);
    metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  }
  return { code: grpc.status.UNKNOWN, details: error.message, metadata };
}

function failure(property: string, reason: string): proto.CheckFailure {
  const found = new proto.CheckFailure();
  found.setProperty(property);
  found.setReason(reason);
  return found;
}

/** A configuration without the marks of its secrets. */
/** With these keys marked as secrets, and no others. */
function marked(config: Struct | undefined, secret: readonly string[]): Struct {
  const all = Object.entries(plain(unmarked(config))).map(([key, value]) => [
    key,
    secret.includes(key) ? secretOf(value) : value,
  ]);
  return struct(Object.fromEntries(all) as Props);
}

function unmarked(config: Struct | undefined): Struct {
  const all = Object.entries(plain(config)).map(([key, value]) => {
    const { value: secret } = value as { value?: unknown };
    return [key, secret ?? value];
  });
  return struct(Object.fromEntries(all) as Props);
}

function plain(properties: Struct | undefined): Props {
  const all = Object.entries(properties?.toJavaScript() ?? {});
  return Object.fromEntries(all.filter(([, value]) => value !== null));
}

function struct(properties: Props): Struct {
  const json = JSON.parse(JSON.stringify(properties)) as Record<string, JavaScriptValue>;
  return Struct.fromJavaScript(json);
}
