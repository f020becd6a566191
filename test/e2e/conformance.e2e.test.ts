// The stand-ins against the recordings of the official plugins: the same calls, the same requests, the same answers.
// Of the types every fifth; TEST_LONG=1 takes all of them: do so if you change lab/plugins.
// One type: TEST_LONG=1 npx jest test/e2e/conformance -t pipelineSchedule
// To see all that differs, CONFORMANCE_SHOW=1 before it.
import { join } from "node:path";
import { recordings, type Recording } from "../recordings/expand";
import { differences, faultDifferences, providerDifferences } from "../support/conformance/compare";
import type { Difference } from "../support/conformance/compare";
import { gitlabHands } from "../support/conformance/gitlabBenches";
import { startPlugin, type PluginClient } from "../support/conformance/plugin";
import { replayProvider, type ProviderBench } from "../support/conformance/provider";
import { replayer, type Bench } from "../support/conformance/replay";
import { strikeIn, strikeOf } from "../support/conformance/strikes";
import { unlike } from "../support/conformance/unlike";
import { firstPolicy, vaultHands } from "../support/conformance/vaultBenches";
import { startConformanceWorld, type ConformanceWorld } from "../support/conformance/world";
import { sampled } from "../support/sampled";

const all = recordings();
let world: ConformanceWorld;
let compared = 0;
const plugins: PluginClient[] = [];

beforeAll(async () => {
  world = await startConformanceWorld();
});

afterAll(async () => {
  plugins.forEach((plugin) => plugin.stop());
  await world.stop();
  process.stdout.write(`${compared} operations and faults compared with the official plugins\n`);
});

const executableOf = (plugin: string) => join(world.folder, `pulumi-resource-${plugin}`);

test("the recordings are all there", () => {
  expect(all.flatMap(({ operations }) => operations)).toHaveLength(478);
  expect(all.flatMap(({ faults = [] }) => faults)).toHaveLength(144);
});

test.each(sampled(all).map((recording) => [recording.type, recording] as const))(
  "%s",
  async (type, recording) => {
    const isProvider = type.startsWith("pulumi:providers:");
    const found = isProvider ? await replayConfigurations(recording) : await replayType(recording);
    if (process.env.CONFORMANCE_SHOW) show(found);
    const known = unlike.filter((entry) => entry.type === type);
    const isKnown = (operation: string, field: string) =>
      known.filter((one) => fits(one.operation, operation) && fits(one.field, field));
    const surprising = found.filter(
      ({ operation, field }) => isKnown(operation, field).length === 0,
    );
    expect(surprising).toEqual([]);
    const needed = found.flatMap(({ operation, field }) => isKnown(operation, field));
    expect(known.filter((entry) => !needed.includes(entry))).toEqual([]);
  },
  300_000,
);

const fits = (pattern: string, name: string): boolean => pattern === "*" || pattern === name;

type Found = Difference & { operation: string };

async function replayType(recording: Recording): Promise<Found[]> {
  const { operations, faults = [] } = recording;
  const bench = await benchOf(recording.type);
  const found: Found[] = [];
  const note = (operation: string, differing: Difference[]) => {
    compared++;
    found.push(...differing.map((difference) => ({ operation, ...difference })));
  };
  const replay = replayer(bench, recording);
  for (const one of operations) {
    note(one.operation, differences(recording, one, await replay.run(one, strikeIn(one))));
  }
  const mask = (line: string) => String(bench.places.mask(line));
  for (const [index, fault] of faults.entries()) {
    const one = operations.find(({ operation }) => operation.startsWith(fault.operation));
    if (!one) throw new Error(`${recording.type}: no operation ${fault.operation}`);
    const like = faults.find(
      (other) =>
        other.operation === fault.operation &&
        other.fault.request === fault.fault.request &&
        typeof other.error === "object",
    );
    const seen = await replay.run(one, strikeOf(recording, fault, mask));
    note(`fault ${index + 1}`, faultDifferences(fault, like, seen));
  }
  return found;
}

async function benchOf(type: string): Promise<Bench> {
  const [name = ""] = type.split(":");
  const { vault, gitlabSide, bao, gitlab } = world;
  if (name === "command") {
    const plugin = await started("command", { INHERITED: "yes" });
    const nothing = async () => undefined;
    return { type, plugin, ...gitlabSide, clean: nothing, remove: nothing, byHand: {} };
  }
  if (name === "gitlab") {
    const plugin = await started("gitlab", {
      GITLAB_BASE_URL: gitlabSide.proxy.url,
      GITLAB_TOKEN: "glpat-conformance",
    });
    const hands = gitlabHands(gitlab.url, gitlabSide.places)[type];
    if (!hands) throw new Error(`no bench for ${type}`);
    return { type, plugin, ...gitlabSide, ...hands };
  }
  const plugin = await started("vault", {
    VAULT_ADDR: vault.proxy.url,
    VAULT_TOKEN: bao.rootToken,
  });
  const hands = vaultHands(bao, vault.places)[type];
  if (!hands) throw new Error(`no bench for ${type}`);
  // Its first requests are not those of the operations.
  await plugin.read("vault:index/policy:Policy", "none", { inputs: {}, outputs: {} });
  return { type, plugin, ...vault, ...hands };
}

async function started(name: string, environment: Record<string, string>): Promise<PluginClient> {
  const plugin = await startPlugin(executableOf(name), environment);
  plugins.push(plugin);
  await plugin.configure({});
  return plugin;
}

async function replayConfigurations(recording: Recording): Promise<Found[]> {
  const bench = recording.type.endsWith("vault")
    ? await vaultProvider(recording)
    : gitlabProvider(recording);
  const found: Found[] = [];
  for (const one of recording.operations) {
    const seen = await replayProvider(bench, one);
    compared++;
    const differing = providerDifferences(one, seen);
    found.push(...differing.map((difference) => ({ operation: one.operation, ...difference })));
  }
  return found;
}

function gitlabProvider(recording: Recording): ProviderBench {
  return {
    recording,
    ...world.gitlabSide,
    executable: executableOf("gitlab"),
    folder: world.folder,
    tokens: { own: "glpat-conformance", unknown: "glpat-nobody-knows" },
    tls: () => ({}),
    firstUse: (plugin) => plugin.invoke("gitlab:index/getProject:getProject", { id: "1" }),
  };
}

async function vaultProvider(recording: Recording): Promise<ProviderBench> {
  const { bao, vault, tls, folder } = world;
  const ask = async (method: string, path: string, body: object) => {
    const answer = await bao.request(bao.rootToken, method, path, body);
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status}`);
    return answer.body as { auth: { client_token: string } };
  };
  await ask("POST", "sys/namespaces/team", {});
  await ask("POST", "team/sys/namespaces/x", {});
  const everything = 'path "*" { capabilities = ["create", "read", "update", "delete", "sudo"] }';
  for (const namespace of ["", "team/", "team/x/"]) {
    const { name, policy } = firstPolicy;
    await ask("PUT", `${namespace}sys/policies/acl/${name}`, { policy });
  }
  await ask("PUT", "team/sys/policies/acl/all", { policy: everything });
  await ask("PUT", "sys/policies/acl/look", {
    policy: 'path "auth/token/lookup-self" { capabilities = ["read"] }',
  });
  const tokenOf = async (namespace: string, policy: string) => {
    const body = { policies: [policy], no_default_policy: true, no_parent: true };
    return (await ask("POST", `${namespace}auth/token/create`, body)).auth.client_token;
  };
  return {
    recording,
    ...vault,
    executable: executableOf("vault"),
    folder,
    tokens: {
      own: bao.rootToken,
      "of the namespace": await tokenOf("team/", "all"),
      "token that may do nothing": await tokenOf("", "look"),
      "token that Vault does not know": "s.nobody-knows-this",
    },
    tls: tls.environment,
    firstUse: (plugin) =>
      plugin.read("vault:index/policy:Policy", firstPolicy.name, { inputs: {}, outputs: {} }),
  };
}

function show(found: Found[]): void {
  for (const { operation, field, expected, got } of found) {
    process.stdout.write(
      `${operation} | ${field}\n  - ${JSON.stringify(expected)}\n  + ${JSON.stringify(got)}\n`,
    );
  }
}
