import { capabilities } from "../clients/look";
import { refused, vaultCall } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { secretPath, secrets } from "../desired/access";
import type { Secret } from "../desired/access";
import { capabilitiesAt, rightsOf } from "../desired/rights";
import { isObject, jsonObject } from "../net/http";
import { allHolders, policyInVault } from "./access";
import { about } from "./finding";
import type { Finding } from "./finding";
import { inOrder } from "./inOrder";
import type { World } from "./world";

/** How a row is known: Vault has answered for a token that has the policy, or it is computed from the policy's text there. */
export type HowKnown = "tried" | "policy in Vault";

/** Who has which of Vault's capabilities on which accounts' passwords or tokens. Who has none is in no row. */
export interface AccessRow {
  who: string;
  policy: string;
  secret: Secret;
  capabilities: readonly string[];
  accounts: readonly string[];
  how: HowKnown;
}

interface Known {
  how: HowKnown | "not there" | "not readable" | "written by hand";
  at: (path: string) => readonly string[];
}

/** A token for a trial ends by itself. */
const trialSeconds = 60;
const nothing = () => [];

/**
 * The access table of a stack as its Vault has it, and findings that say how it is known. Only who may make tokens with any
 * policy, as Vault's admin, gets it tried: for each policy with a token of a minute that nobody else is shown.
 */
export async function accessTable(
  world: World,
): Promise<{ rows: AccessRow[]; findings: Finding[] }> {
  const { settings } = world;
  const all = allHolders(settings);
  const policies = [...new Set(all.map(({ policy }) => policy))];
  const mayTry = await mayMakeTokens(world.vault);
  const known = new Map(
    await inOrder(policies, async (policy) => {
      const computed = await fromText(world, policy);
      const isThere = computed.how !== "not there";
      return [policy, mayTry && isThere ? await tried(world, policy) : computed] as const;
    }),
  );
  const rows = all.flatMap(({ who, policy }) =>
    rowsOf(world, who, policy, known.get(policy) ?? { how: "not there", at: nothing }),
  );
  return { rows: [...rows, ...(await ownRows(world))], findings: findingsOf(known, mayTry) };
}

function findingsOf(known: ReadonlyMap<string, Known>, mayTry: boolean): Finding[] {
  const it = about("evidence", "access table");
  const names = (how: Known["how"]) =>
    [...known].flatMap(([name, one]) => (one.how === how ? [name] : []));
  const ways: Known["how"][] = ["tried", "policy in Vault", "not there"];
  const said = ways.flatMap((how) =>
    names(how).length === 0 ? [] : [`${how}: ${names(how).join(", ")}`],
  );
  const [byHand, hidden] = [names("written by hand"), names("not readable")];
  return [
    ...(said.length === 0 ? [] : [it.ok(said.join("; "))]),
    ...(byHand.length === 0
      ? []
      : [it.problem(`what ${byHand.join(", ")} gives is not known: see the finding \`policy\``)]),
    ...(hidden.length === 0
      ? []
      : [it.skipped(`what ${hidden.join(", ")} gives is not known: this token may not read it`)]),
    ...(mayTry
      ? []
      : [
          about("evidence", "access tried").skipped(
            "only a token that may make others with any policy, as Vault's admin has, may ask what a policy gives",
          ),
        ]),
  ];
}

async function mayMakeTokens(vault: VaultConnection): Promise<boolean> {
  const paths = ["auth/token/create", "sys/capabilities"];
  const rights = await capabilities(vault, paths).catch(() => undefined);
  const has = (path: string, ...some: string[]) =>
    some.some((one) => rights?.get(path)?.includes(one));
  return has("auth/token/create", "root", "sudo") && has("sys/capabilities", "root", "update");
}

async function fromText(world: World, policy: string): Promise<Known> {
  const found = await policyInVault(world, policy).catch(() => undefined);
  if (found === undefined) return { how: "not readable", at: nothing };
  const { is, text } = found;
  if (is !== "known") return { how: is, at: nothing };
  const rights = rightsOf(text);
  return { how: "policy in Vault", at: (path) => capabilitiesAt(rights, path) };
}

async function tried({ vault, settings }: World, policy: string): Promise<Known> {
  const body = {
    policies: [policy],
    ...{ no_default_policy: true, type: "batch", ttl: `${trialSeconds}s` },
  };
  const answer = await vaultCall(vault, "POST", "auth/token/create", body);
  const auth = jsonObject(answer.body)?.["auth"];
  const token = isObject(auth) ? auth["client_token"] : undefined;
  if (typeof token !== "string") throw refused(vault, "POST", "auth/token/create", answer);
  const found = await capabilities(vault, pathsOf(settings), token);
  return { how: "tried", at: (path) => found.get(path) ?? [] };
}

/** What the token that asks may do itself: a monitor's nothing. */
async function ownRows(world: World): Promise<AccessRow[]> {
  const found = await capabilities(world.vault, pathsOf(world.settings)).catch(() => undefined);
  if (found === undefined) return [];
  const at = (path: string) => found.get(path) ?? [];
  return rowsOf(world, "the token that made this", "its own", { how: "tried", at });
}

function pathsOf({ mount, accounts }: World["settings"]): string[] {
  return accounts.flatMap(({ name }) => secrets.map((secret) => secretPath(mount, name, secret)));
}

/** One row for all accounts on which somebody has the same rights. */
function rowsOf({ settings }: World, who: string, policy: string, { how, at }: Known): AccessRow[] {
  if (how !== "tried" && how !== "policy in Vault") return [];
  return secrets.flatMap((secret) => {
    const rows = new Map<string, AccessRow & { accounts: string[] }>();
    for (const { name } of settings.accounts) {
      const found = [...at(secretPath(settings.mount, name, secret))].sort();
      if (found.length === 0 || found.includes("deny")) continue;
      const row = rows.get(String(found)) ?? {
        ...{ who, policy, secret, capabilities: found, how },
        accounts: [],
      };
      row.accounts.push(name);
      rows.set(String(found), row);
    }
    return [...rows.values()];
  });
}
