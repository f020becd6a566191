import type { Finding } from "../finding";
import type { Settings } from "../../config/settings";
import { formatDuration } from "../../core/duration";
import { isObject, jsonObject } from "../../net/http";
import { spread } from "../../core/spread";
import type { TransportCode } from "../../net/http";
import { vaultCall } from "../../clients/vault";
import type { VaultConnection } from "../../clients/vault";
import { policyValues } from "../../desired/policyValues";
import { missingRights, narrowingPolicies, rightsAsked } from "../../desired/rights";
import type { Rights } from "../../desired/rights";
import { connect, lookAtVault } from "../preflight";
import { unreachableFix } from "./hosts";

const shortLife = 30 * 60;
/** Of so many accounts Vault is asked what may be done: it takes its time over each path. */
const mostAccountsAsked = 20;

/** Vault: reachable, the caller's token, its rights, and whether anything is in the stack's way. */
export async function examineVault(settings: Settings): Promise<Finding[]> {
  const vault = connect(settings);
  const server = await examineServer(vault, settings.stack);
  if (server.state === "problem") return [server];
  const token = await lookupSelf(vault);
  if (token === undefined) return [server, refusedToken(settings)];
  const { problems, groupIds } = await lookAtVault(vault, settings);
  const some = { ...settings, accounts: spread(settings.accounts, mostAccountsAsked) };
  const wanted = rightsAsked("deployer", policyValues(some, { groupIds }));
  return [
    server,
    ...tokenFindings(token, settings),
    await examineRights(vault, settings, wanted),
    ...(problems.length === 0
      ? [ok("Vault paths", "mount, auth mount and policies are free, or this stack's")]
      : problems.map((found): Finding => ({ what: "Vault paths", state: "problem", found }))),
  ];
}

function ok(what: string, found: string): Finding {
  return { what, state: "ok", found };
}

/** Asked without token and namespace: it belongs to the server, and answers whoever asks. */
async function examineServer({ send, address }: VaultConnection, stack: string): Promise<Finding> {
  const what = "Vault";
  const codes = ["standbycode", "perfstandbycode", "sealedcode", "uninitcode"];
  let body: Record<string, unknown> | undefined;
  try {
    const answer = await send({
      method: "GET",
      url: `${address}/v1/sys/health?${codes.map((code) => `${code}=200`).join("&")}`,
      headers: { "x-vault-request": "true" },
      timeoutMs: 15_000,
      maxBytes: 1024 * 1024,
    });
    body = jsonObject(answer.body);
    if (typeof body?.["sealed"] !== "boolean") {
      const found = `${address} answers ${answer.status}, and not as a Vault does`;
      const fix = `pulumi config set vault:address https://… --stack ${stack}`;
      return { what, state: "problem", found, fix };
    }
  } catch (error) {
    const { code, message } = error as { code: TransportCode; message: string };
    const fix =
      code === "tls" ? "export VAULT_CACERT=<PEM file of Vault's authority>" : unreachableFix(code);
    return { what, state: "problem", found: message, fix };
  }
  const found = `${address}, version ${String(body["version"])}`;
  if (body["initialized"] === false) {
    return {
      what,
      state: "problem",
      found: `${found}, is not initialised`,
      fix: "vault operator init",
    };
  }
  return body["sealed"]
    ? { what, state: "problem", found: `${found}, is sealed`, fix: "vault operator unseal" }
    : ok(what, found);
}

/** What Vault says of the caller's token; undefined where it does not take it. */
async function lookupSelf(vault: VaultConnection): Promise<Record<string, unknown> | undefined> {
  try {
    const answer = await vaultCall(vault, "GET", "auth/token/lookup-self");
    const data = jsonObject(answer.body)?.["data"];
    return isObject(data) ? data : undefined;
  } catch {
    return undefined;
  }
}

function refusedToken({ vaultNamespace }: Settings): Finding {
  const where = vaultNamespace === undefined ? "" : ` in namespace ${vaultNamespace}`;
  return {
    what: "Vault token",
    state: "problem",
    found: `is not taken${where}: it is wrong, has ended, or may not look at itself; nothing else was asked`,
    fix: "vault login",
  };
}

/** The token's policies, kind and remaining life. */
export function tokenFindings(token: Record<string, unknown>, settings: Settings): Finding[] {
  const what = "Vault token";
  const policies = [token["policies"], token["identity_policies"]]
    .filter(Array.isArray)
    .flat()
    .map(String);
  const deployer = `${settings.policyPrefix}-${settings.stack}-deployer`;
  const ends = token["expire_time"] !== null;
  const life = Number(token["ttl"]);
  const found = `policies ${policies.join(", ")}; ${ends ? `ends in ${formatDuration(life)}` : "does not end"}`;
  const narrowing = narrowingPolicies(policyValues(settings), policies);
  if (narrowing.length > 0) {
    return [
      {
        what,
        state: "problem",
        found: `${found}; ${narrowing.join(", ")} takes rights from ${deployer}: Vault lets a policy's exact paths replace another's patterns`,
        fix: `log in as a user whose token does not have ${narrowing.join(", ")}`,
      },
    ];
  }
  if (token["type"] === "batch") {
    const fix = "log in for a service token";
    return [
      {
        what,
        state: "problem",
        found: `${found}; a batch token, which the Vault plugin cannot use`,
        fix,
      },
    ];
  }
  if (ends && life < shortLife) {
    const fix = token["renewable"] === true ? "vault token renew" : "vault login";
    return [{ what, state: "warning", found, fix }];
  }
  if (!policies.includes("root")) return [ok(what, found)];
  const fix = `vault token create -policy=${deployer}`;
  return [{ what, state: "warning", found: `${found}: more than \`up\` needs`, fix }];
}

/** What the deployer's policy asks for, and the token may not. */
async function examineRights(
  vault: VaultConnection,
  settings: Settings,
  wanted: Rights,
): Promise<Finding> {
  const what = "Vault rights";
  const { policyPrefix, stack } = settings;
  const policy = `npm run --silent policy -- deployer --stack ${stack}`;
  let allowed: Rights;
  try {
    allowed = await capabilities(vault, [...wanted.keys()]);
  } catch {
    return {
      what,
      state: "warning",
      found: "unknown: the token may not ask, as one without the default policy",
      fix: `see that its policy is what \`${policy}\` prints`,
    };
  }
  const missing = missingRights(wanted, allowed);
  if (missing.length === 0) return ok(what, `all that \`up\` needs, on ${wanted.size} paths`);
  return {
    what,
    state: "problem",
    found: `of what \`up\` needs are missing:\n${missing.join("\n")}`,
    fix: `as Vault's admin: ${policy} | vault policy write ${policyPrefix}-${stack}-deployer -`,
  };
}

async function capabilities(vault: VaultConnection, paths: string[]): Promise<Rights> {
  const answer = await vaultCall(vault, "POST", "sys/capabilities-self", { paths });
  const body = jsonObject(answer.body);
  const data = isObject(body?.["data"]) ? body["data"] : body;
  return new Map(
    paths.map((path) => {
      const found = data?.[path];
      if (!Array.isArray(found)) throw new Error(`Vault says nothing of ${path}`);
      return [path, found.map(String)];
    }),
  );
}
