import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { run } from "../process";
import { parseVersion } from "./version";

const timeoutMs = 20_000;

/**
 * The version that a plugin says of itself, asked over gRPC as the engine does, else by `--version`; "" for a
 * plugin that names none (a development build). Undefined: this is no plugin.
 */
export async function askPluginVersion(
  file: string,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const said = await askOverGrpc(file, env);
  if (said !== undefined) return parseVersion(said) ?? "";
  const { code, stdout } = await run(file, ["--version"], { env, timeoutMs: 5_000 });
  return code === 0 ? parseVersion(stdout) : undefined;
}

async function askOverGrpc(file: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  // Only where a plugin is on PATH: these modules take a while to load.
  const [grpc, { ResourceProviderClient }, { Empty }] = await Promise.all([
    import("@grpc/grpc-js"),
    import("@pulumi/pulumi/proto/provider_grpc_pb.js"),
    import("google-protobuf/google/protobuf/empty_pb.js"),
  ]);
  // Plugins connect to the engine that starts them: one that is not there may end them.
  const engine = new grpc.Server();
  const enginePort = await new Promise<number>((resolve, reject) =>
    engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  const child = spawn(file, [`127.0.0.1:${enginePort}`], {
    env,
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    const port = await firstLine(child);
    if (port === undefined || !/^\d+$/.test(port)) return undefined;
    const client = new ResourceProviderClient(
      `127.0.0.1:${port}`,
      grpc.credentials.createInsecure(),
    );
    return await new Promise((resolve) => {
      const deadline = Date.now() + timeoutMs;
      client.waitForReady(deadline, (problem) => {
        if (problem) return resolve(undefined);
        client.getPluginInfo(new Empty(), new grpc.Metadata(), { deadline }, (error, info) =>
          resolve(error ? undefined : info.getVersion()),
        );
      });
    }).then((version) => {
      client.close();
      return version as string | undefined;
    });
  } finally {
    child.kill("SIGKILL");
    engine.forceShutdown();
  }
}

function firstLine(child: ReturnType<typeof spawn>): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    const done = (line?: string) => {
      clearTimeout(timer);
      resolve(line?.trim());
    };
    child.once("error", () => done());
    child.once("close", () => done());
    if (child.stdout) createInterface(child.stdout).once("line", done);
  });
}
