import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Send } from "../../../net/http";
import { proxyTo } from "../../../net/proxy";
import { nodeSend } from "../../../net/transport";
import { send, type Tries } from "../http";
import { blankLike, text, type Props } from "../resource";

interface Connection {
  address: string;
  token: string;
  namespace: string;
  transport: Send;
}

/** What Vault answered other than with success. */
export class VaultError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

let settings: Record<string, string> = {};
let connection: Promise<Connection> | undefined;
/**
 * The official plugin "reads its writes": it sends the state that Vault's last answer named, and a standby of OpenBao
 * that is older answers 429, which is tried again.
 */
let index: string | undefined;

export function configure(given: Record<string, string>): void {
  settings = given;
}

/**
 * As the official plugin does at its first use: look the token up, work with a child of it. The configured namespace
 * is for resources alone: the token is looked up in the environment's, and its child is made in its own.
 */
async function connect(): Promise<Connection> {
  const { env } = process;
  const { address, token, namespace, maxLeaseTtlSeconds = "1200" } = settings;
  const base = {
    address: (address ?? env.VAULT_ADDR ?? "").replace(/\/+$/, ""),
    token: token ?? (env.VAULT_TOKEN || tokenFile()),
    transport: nodeSend({
      ca: textOf(settings.caCertFile ?? env.VAULT_CACERT),
      cert: textOf(env.VAULT_CLIENT_CERT),
      key: textOf(env.VAULT_CLIENT_KEY),
      proxyFor: proxyTo,
    }),
  };
  if (base.address === "") throw new Error("failed to configure Vault address");
  if (base.token === "") throw new Error("no vault token set on Client");
  const around = env.VAULT_NAMESPACE ?? "";
  const found = await requestVault(
    { ...base, namespace: around },
    "GET",
    "auth/token/lookup-self",
  ).catch(saying("failed to lookup token, err="));
  const ofToken = text((found?.data as Props | undefined)?.namespace_path).replace(/\/+$/, "");
  const own = around || ofToken;
  const resources = { ...base, namespace: namespace ?? own };
  const skips = settings.skipChildToken ?? env.TERRAFORM_VAULT_SKIP_CHILD_TOKEN;
  if (skips === "true") return resources;
  const life = `${maxLeaseTtlSeconds}s`;
  const child = await requestVault({ ...base, namespace: own }, "POST", "auth/token/create", {
    display_name: "terraform",
    ttl: life,
    explicit_max_ttl: life,
    renewable: false,
    num_uses: 0,
  }).catch(saying("failed to create limited child token: "));
  const auth = child?.auth as { client_token?: string } | undefined;
  return { ...resources, token: auth?.client_token ?? base.token };
}

/** An official plugin's words before Vault's. */
export const saying =
  (words: string) =>
  (error: unknown): never => {
    throw Object.assign(error as Error, { message: `${words}${(error as Error).message}` });
  };

const textOf = (file: string | undefined): string | undefined =>
  file ? readFileSync(file, "utf8") : undefined;

function tokenFile(): string {
  try {
    return readFileSync(join(homedir(), ".vault-token"), "utf8").trim();
  } catch {
    return "";
  }
}

/** One call in the namespace of the resource that has these properties. */
export async function call(
  method: string,
  path: string,
  properties: Props,
  body?: Props,
  tries?: Tries,
): Promise<Props | undefined> {
  const own = await (connection ??= connect().catch((error: Error) => {
    // No answer to the call itself.
    throw new Error(error.message, { cause: error });
  }));
  const below = text(properties.namespace).replace(/^\/+|\/+$/g, "");
  const namespace = [own.namespace, below].filter(Boolean).join("/");
  return requestVault({ ...own, namespace }, method, path, body, tries);
}

/** The `data` of a read; undefined for 404. */
export async function readData(
  path: string,
  properties: Props,
  tries?: Tries,
): Promise<Props | undefined> {
  const answer = await call("GET", path, properties, undefined, tries).catch(unlessStatus(404));
  return answer?.data as Props | undefined;
}

/** The mount behind a path; Vault answers 400 where there is none. */
export async function readMount(path: string, properties: Props): Promise<Props | undefined> {
  return readData(path, properties).catch((error: Error) => {
    if (/No (secret|auth) engine( mount)? at/i.test(error.message)) return undefined;
    throw error;
  });
}

/** Lets an answer with this status be none. */
export const unlessStatus =
  (status: number) =>
  (error: unknown): undefined => {
    if (error instanceof VaultError && error.status === status) return undefined;
    throw error;
  };

async function requestVault(
  { address, token, namespace, transport }: Connection,
  method: string,
  path: string,
  body?: Props,
  tries?: Tries,
): Promise<Props | undefined> {
  const url = `${address}/v1/${path.split("/").map(encodeURIComponent).join("/")}`;
  const headers = {
    "X-Vault-Request": "true",
    "X-Vault-Token": token,
    ...(namespace && { "X-Vault-Namespace": namespace }),
    ...(index !== undefined && { "X-Vault-Index": index }),
  };
  const answer = await send(method, url, headers, body, { transport, tries: vaultTries, ...tries });
  index = answer.headers["x-vault-index"] ?? index;
  const json = (answer.body ?? {}) as Props & { errors?: string[] };
  if (answer.status >= 300) {
    const errors = (json.errors ?? []).map((error) => `* ${error.slice(0, 500)}`).join("\n");
    const where = namespace ? `Namespace: ${namespace}\nURL` : "URL";
    throw new VaultError(
      answer.status,
      `Error making API request.\n\n${where}: ${method} ${url}\nCode: ${answer.status}. Errors:\n\n${errors}`,
    );
  }
  return json;
}

/** 429, 5xx and connections that break are tried again twice. */
const vaultTries = 3;

/** A path without slashes at its ends. */
export const trim = (path: string): string => path.replace(/^\/+|\/+$/g, "");

const snake = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Vault's names for these fields, with the planned values; blank where the state had one and the plan has none. */
export function bodyOf(keys: readonly string[], planned: Props, was: Props = {}): Props {
  const values = keys.map((key) => [snake(key), planned[key] ?? blankOf(was[key])]);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined)) as Props;
}

const blankOf = (value: unknown): unknown =>
  value === undefined || value === null ? undefined : blankLike(value);

/** The server's values of these fields under the SDK's names; what it does not say is left out. */
export function fromBody(keys: readonly string[], body: Props): Props {
  const values = keys.map((key) => [key, body[snake(key)]] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined && value !== null));
}
