import { vaultCall } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { jsonObject } from "../net/http";
import type { HttpResponse, TransportCode } from "../net/http";
import { retry } from "../net/retry";
import { about } from "./finding";
import type { Finding } from "./finding";
import { unreachableFix } from "./hosts";
import type { World } from "./world";

const known = new WeakMap<World, Promise<Finding[]>>();

/** Vault itself: reachable, unsealed, and with the namespace that config names. Asked once a world. */
export function checkServer(world: World): Promise<Finding[]> {
  const findings = known.get(world) ?? askServer(world);
  known.set(world, findings);
  return findings;
}

/** Whether Vault itself can answer no request of ours. */
export async function hasServerProblem(world: World): Promise<boolean> {
  return (await checkServer(world)).some(({ state }) => state === "problem");
}

async function askServer(world: World): Promise<Finding[]> {
  const it = about("vault", "Vault");
  const { vault, print, settings } = world;
  let body: Record<string, unknown> | undefined;
  try {
    const answer = await askHealth(vault);
    body = jsonObject(answer.body);
    if (typeof body?.["sealed"] !== "boolean") {
      return [
        it.problem(
          `${vault.address} answers ${answer.status}, and not as a Vault does`,
          print.pulumi("config set vault:address https://…"),
        ),
      ];
    }
  } catch (error) {
    const { code, message } = error as { code: TransportCode; message: string };
    const fix =
      code === "tls" ? "export VAULT_CACERT=<PEM file of Vault's authority>" : unreachableFix(code);
    return [it.problem(message, fix)];
  }
  const found = `${vault.address}, version ${String(body["version"])}`;
  const state = stateOf(body);
  if (state !== undefined) return [it.problem(`${found}, ${state.found}`, state.fix)];
  return [it.ok(found), ...(await checkNamespace(vault, settings.vaultNamespace, body, world))];
}

/** Asked without token and namespace: it belongs to the server, and answers whoever asks. */
function askHealth({ send, address, clock }: VaultConnection): Promise<HttpResponse> {
  const codes = ["standbycode", "performancestandbycode", "sealedcode", "uninitcode"];
  const quiet = [...codes, "drsecondarycode", "removedcode"].map((code) => `${code}=200`);
  const request = {
    method: "GET",
    url: `${address}/v1/sys/health?${quiet.join("&")}`,
    headers: { "x-vault-request": "true" },
    timeoutMs: 15_000,
    maxBytes: 1024 * 1024,
  } as const;
  const again = (outcome: object, tries: number) => !("status" in outcome) && tries < 3;
  return retry(send, request, clock, { again, withinMs: 20_000 });
}

/** Why a server of Vault can answer no request of ours. */
function stateOf(body: Record<string, unknown>): { found: string; fix: string } | undefined {
  if (body["initialized"] === false) {
    return { found: "is not initialised", fix: "vault operator init" };
  }
  if (body["sealed"] === true) return { found: "is sealed", fix: "vault operator unseal" };
  if (body["removed_from_cluster"] === true) {
    return {
      found: "was removed from its cluster",
      fix: "use the address of a node that is in it: `vault operator raft list-peers`",
    };
  }
  return body["replication_dr_mode"] === "secondary"
    ? {
        found: "is a disaster-recovery secondary, which answers no request",
        fix: "use the address of the primary: `vault read sys/replication/dr/status`",
      }
    : undefined;
}

/** A name that no namespace can have: it is reserved. */
const impossible = "cubbyhole";

/**
 * A namespace is proven. Vault Community has none and ignores the header: all would be written to the root
 * namespace, beside what others keep there.
 */
async function checkNamespace(
  vault: VaultConnection,
  namespace: string | undefined,
  health: Record<string, unknown>,
  { print }: World,
): Promise<Finding[]> {
  if (namespace === undefined) return [];
  const it = about("vault.namespace", `namespace ${namespace}`);
  const fix = `unset VAULT_NAMESPACE; ${print.pulumi("config rm vault:namespace")}`;
  // Vault answers it to everybody; what is asked for is only whether it knows the namespace.
  const isKnown = async (name: string) => {
    const anonymous = { ...vault, namespace: name, token: undefined };
    const { status } = await vaultCall(anonymous, "GET", "sys/internal/ui/mounts");
    return status === 200;
  };
  try {
    if (health["enterprise"] === false || (await isKnown(`${namespace}/${impossible}`))) {
      return [
        it.problem("cannot be used: this Vault has no namespaces and ignores their names", fix),
      ];
    }
    return (await isKnown(namespace)) ? [it.ok("is there")] : [it.problem("does not exist", fix)];
  } catch (error) {
    return [it.problem((error as Error).message)];
  }
}
