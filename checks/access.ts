import type { Settings } from "../config/settings";
import { accessBy, holdersOf, secrets } from "../desired/access";
import type { Access, Holder } from "../desired/access";
import { policyName } from "../desired/names";
import { isReadable } from "../desired/rights";
import { attempt } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import type { World } from "./world";

/** Who can read and change which secret of the stack, by its policies as they are in Vault. */
export async function checkAccess(world: World): Promise<Finding[]> {
  const holders = allHolders(world.settings);
  return (await Promise.all(holders.map((holder) => checkHolder(world, holder)))).flat();
}

type Of = Pick<Holder, "who" | "policy">;

/** Everybody whose policy opens a secret of the stack. */
export function allHolders(settings: Settings): Of[] {
  return [...holdersOf(settings), verifier(settings)];
}

/** Whose policy is no part of the stack, and opens its passwords. */
function verifier({ policyPrefix, stack }: Settings): Of {
  return { who: "the verifier", policy: policyName(policyPrefix, stack, "verifier") };
}

/** A policy's text as it is in Vault, and whether all that it gives can be told from it. Throws as `look`. */
export async function policyInVault(
  { look }: Pick<World, "look">,
  policy: string,
): Promise<{ is: "not there" | "written by hand" | "known"; text: string }> {
  const text = (await look(`sys/policies/acl/${policy}`))?.["policy"];
  if (typeof text !== "string" || text === "") return { is: "not there", text: "" };
  return { is: isReadable(text) ? "known" : "written by hand", text };
}

function checkHolder(world: World, { who, policy }: Of): Promise<Finding[]> {
  const it = about("access", who);
  const read = async () => {
    const { mount, accounts } = world.settings;
    const { is, text } = await policyInVault(world, policy);
    if (is === "not there") return [it.ok(`nothing: there is no policy ${policy}`)];
    if (is === "written by hand") {
      const found = `not known: policy ${policy} is not written as this program writes it`;
      return [it.warning(found, `vault policy read ${policy}`)];
    }
    const names = accounts.map(({ name }) => name);
    return [it.ok(inWords(accessBy(text, mount, names), names))];
  };
  return attempt(it, read, ({ problem, isTokenUnknown, message }) =>
    problem === "denied" && isTokenUnknown !== true
      ? it.skipped(`not known: ${message}`)
      : undefined,
  );
}

/** Such as `reads the password and the token of all 2 accounts; changes the token of scanner`. */
function inWords(access: readonly Omit<Access, "who">[], accounts: readonly string[]): string {
  const words = (["read", "write"] as const).map((right) => {
    const parts = secrets.flatMap((secret) => {
      const of = access.filter((one) => one.right === right && one.secret === secret);
      return of.length === 0 ? [] : [`the ${secret} of ${namesOf(of, accounts)}`];
    });
    return `${right === "read" ? "reads" : "changes"} ${parts.join(" and ") || "nothing"}`;
  });
  return words.join("; ");
}

function namesOf(of: readonly { account: string }[], accounts: readonly string[]): string {
  return of.length === accounts.length && of.length > 1
    ? `all ${of.length} accounts`
    : of.map(({ account }) => account).join(", ");
}
