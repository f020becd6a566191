import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import {
  GetRootResourceResponse,
  LogSeverity,
  SetRootResourceResponse,
  type LogRequest,
} from "@pulumi/pulumi/proto/engine_pb";
import { ResourceMonitorService } from "@pulumi/pulumi/proto/resource_grpc_pb";
import {
  RegisterResourceResponse,
  ResourceInvokeResponse,
  type ResourceInvokeRequest,
  SupportsFeatureResponse,
  type RegisterResourceRequest,
} from "@pulumi/pulumi/proto/resource_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";

/** Seconds from the start of the program's process to its first resource, and its processor time then. */
export interface Start {
  wall: number;
  cpu: number;
}

/**
 * Starts the program in `dir` as Pulumi's language host does, under an engine that only listens, and
 * ends it when it registers its first resource of its own. `config`: keys with their namespace.
 */
export async function programStart(
  { dir, stack, env }: { dir: string; stack: string; env: Record<string, string> },
  config: Record<string, string>,
): Promise<Start> {
  let started = 0;
  let pid = 0;
  let seen: (start: Start) => void = () => undefined;
  const arrival = new Promise<Start>((resolve) => (seen = resolve));
  const server = new grpc.Server();
  const empty = (_call: unknown, answer: grpc.sendUnaryData<Empty>) => answer(null, new Empty());
  let said = "";
  server.addService(EngineService, {
    log(call: grpc.ServerUnaryCall<LogRequest, Empty>, answer: grpc.sendUnaryData<Empty>) {
      if (call.request.getSeverity() === LogSeverity.ERROR) said += call.request.getMessage();
      answer(null, new Empty());
    },
    getRootResource: (_call: unknown, answer: grpc.sendUnaryData<GetRootResourceResponse>) =>
      answer(null, new GetRootResourceResponse()),
    setRootResource: (_call: unknown, answer: grpc.sendUnaryData<SetRootResourceResponse>) =>
      answer(null, new SetRootResourceResponse()),
  });
  server.addService(ResourceMonitorService, {
    supportsFeature(_call: unknown, answer: grpc.sendUnaryData<SupportsFeatureResponse>) {
      const response = new SupportsFeatureResponse();
      response.setHassupport(true);
      answer(null, response);
    },
    // GitLab's project is there, and its repository is empty.
    invoke(
      call: grpc.ServerUnaryCall<ResourceInvokeRequest, ResourceInvokeResponse>,
      answer: grpc.sendUnaryData<ResourceInvokeResponse>,
    ) {
      if (call.request.getTok() !== "gitlab:index/getProject:getProject") {
        answer({ code: grpc.status.UNKNOWN, message: "404 Not Found" });
        return;
      }
      const response = new ResourceInvokeResponse();
      response.setReturn(Struct.fromJavaScript({ id: "1", webUrl: "http://127.0.0.1/a/b" }));
      answer(null, response);
    },
    registerResource(
      call: grpc.ServerUnaryCall<RegisterResourceRequest, RegisterResourceResponse>,
      answer: grpc.sendUnaryData<RegisterResourceResponse>,
    ) {
      const type = call.request.getType();
      if (type !== "pulumi:pulumi:Stack") {
        seen({ wall: (performance.now() - started) / 1000, cpu: cpuSeconds(pid) });
      }
      const response = new RegisterResourceResponse();
      response.setUrn(`urn:pulumi:${stack}::bench::${type}::${call.request.getName()}`);
      response.setObject(Struct.fromJavaScript({}));
      answer(null, response);
    },
    registerResourceOutputs: empty,
    signalAndWaitForShutdown: empty,
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const address = `127.0.0.1:${port}`;
  const [project = ""] = Object.keys(config).map((key) => key.split(":")[0]);
  started = performance.now();
  const child = spawn(
    process.execPath,
    [
      createRequire(join(dir, "package.json")).resolve("@pulumi/pulumi/cmd/run"),
      ...["--monitor", address, "--engine", address, "--organization", "organization"],
      ...["--project", project, "--stack", stack, "--pwd", dir],
      ...["--dry-run", "--query-mode", "false", "--parallel", "8", "."],
    ],
    {
      cwd: dir,
      env: { ...env, PULUMI_CONFIG: JSON.stringify(config), PULUMI_NODEJS_TYPESCRIPT: "true" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  pid = child.pid ?? 0;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  }
  const ended = new Promise<never>((_, reject) =>
    child.once("exit", (code) =>
      reject(new Error(`the program ended (${code}) without a resource: ${said.slice(-500)}`)),
    ),
  );
  try {
    return await Promise.race([arrival, ended]);
  } finally {
    ended.catch(() => undefined);
    child.kill("SIGKILL");
    server.forceShutdown();
  }
}

/** Processor time of all threads of a process, where the system tells it (Linux). */
function cpuSeconds(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map((task) =>
    Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9;
}
