import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Operation, Props, Recording } from "../../recordings/expand";
import type { placeholders } from "./placeholders";
import { written } from "./placeholders";
import { PluginError, startPlugin, type PluginClient } from "./plugin";
import type { RecordingProxy } from "./recordingProxy";
import type { Seen } from "./replay";
import { strikeIn } from "./strikes";

export interface ProviderBench {
  recording: Recording;
  executable: string;
  proxy: RecordingProxy;
  places: ReturnType<typeof placeholders>;
  folder: string;
  /** The token that an operation's `<token>` stands for; "own" is what most use. */
  tokens: { own: string } & Record<string, string>;
  /** Environment of operations that speak TLS. */
  tls: (operation: string) => Record<string, string>;
  firstUse: (plugin: PluginClient) => Promise<unknown>;
}

/** What a provider answers to its configuration and its first use. */
export interface SeenProvider extends Seen {
  failsAt?: string;
  checkConfig?: { inputs: Props; failures: number };
  configure?: Props;
  version?: string;
}

/** Starts the plugin in the operation's environment, configures it and uses it. */
export async function replayProvider(bench: ProviderBench, one: Operation): Promise<SeenProvider> {
  const { proxy, places, executable } = bench;
  const plugin = await startPlugin(executable, environmentOf(bench, one));
  const seen: SeenProvider = { requests: [] };
  const inputs = bench.places.fill(asSecret(one.inputs ?? {}));
  proxy.take();
  proxy.strikeWith(strikeIn(one));
  try {
    seen.version = await plugin.version();
    const checked = await plugin.checkConfig(inputs);
    seen.checkConfig = { ...checked, inputs: places.mask(written(checked.inputs)) as Props };
    proxy.during("configure");
    seen.failsAt = "configure";
    seen.configure = await answered(plugin.configure(inputs));
    seen.failsAt = undefined;
    proxy.during("main");
    await answered(bench.firstUse(plugin));
    if (one.requests.some(({ during }) => during === "second use")) {
      proxy.during("second use");
      await bench.firstUse(plugin);
    }
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    seen.error = { message: String(places.mask(error.message)) };
  } finally {
    plugin.stop();
    proxy.strikeWith(undefined);
    proxy.during("");
  }
  const { own, ...others } = bench.tokens;
  const owner = (token: string | undefined) =>
    token === own ? "own" : Object.values(others).includes(token ?? "") ? "other" : "child";
  seen.requests = proxy.take().map(({ token, ...request }) => ({
    ...request,
    ...(token && { token: bench.recording.type.endsWith("gitlab") ? "own" : owner(token) }),
    path: String(places.mask(request.path)),
  }));
  return seen;
}

/** Some of the official plugins' waits take longer than their recorder did. */
function answered<T>(call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PluginError("<no answer>", -1)), 5_000);
  });
  return Promise.race([call, late]).finally(() => clearTimeout(timer));
}

function environmentOf(bench: ProviderBench, one: Operation): Record<string, string> {
  const { tokens, folder, places } = bench;
  const given = { ...one.environment };
  const token = tokens[one.operation] ?? tokens.own;
  const home = join(folder, "home");
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, ".vault-token"), `${tokens.own}\n`);
  const isTls = given.VAULT_ADDR === "<https-vault>";
  const all = {
    ...given,
    ...(isTls && { VAULT_TOKEN: tokens.own, ...bench.tls(one.operation) }),
  } as Record<string, string>;
  const filled = Object.entries(all).map(([key, value]) => [
    key,
    places.fill(
      value
        .replace("<token of the namespace>", tokens["of the namespace"] ?? "")
        .replace("<unknown token>", tokens.unknown ?? "")
        .replace("<token>", token)
        .replace("<folder>", folder),
    ),
  ]);
  return Object.fromEntries(filled) as Record<string, string>;
}

/** `<secret>` in a configuration is the token, marked as a secret. */
function asSecret(inputs: Props): Props {
  const { token } = inputs;
  if (token !== "<secret>") return inputs;
  const marked = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    value: "<token>",
  };
  return { ...inputs, token: marked };
}
