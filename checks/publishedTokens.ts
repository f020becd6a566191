import type { Account } from "../config/settings";
import { apisecAt } from "../clients/apisec";
import { isAdminToken, readToken, sameUser } from "../core/jwt";
import { tokenKey } from "../core/passwordRecord";
import { foreignText } from "../core/redact";
import { kvStore } from "../clients/vault";
import { attempt } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { inOrder } from "./inOrder";
import { timeText } from "./time";
import type { World } from "./world";

const tries = 2;

/** Reads the published tokens, with the developers' rights, and tries each at APIsec; nothing where that is not asked. */
export async function checkPublishedTokens({
  vault,
  apisec: send,
  settings,
  now,
  print,
}: World): Promise<Finding[]> {
  if (send === undefined) return [];
  const store = kvStore(vault, settings.mount);
  const published = settings.accounts.filter(({ publishToken }) => publishToken);
  const rows = await inOrder(published, async (account) => {
    const { name } = account;
    const it = about("token-at-apisec", `token ${name} at APIsec`, name);
    const fix = print.own("rotate", { options: `--account ${name}` });
    return attempt(
      it,
      async () => {
        const read = await store.read(tokenKey(name));
        const token = read.state === "found" ? read.data["token"] : undefined;
        const found = tokenProblem(account, token, now);
        if (found !== undefined) return [it.problem(found, fix)];
        if (isAdminToken(String(token)) && !account.acceptAdminToken) {
          return [
            it.problem(
              "carries ROLE_ADMIN: whoever reads it can reset every password",
              "take the role from the account at APIsec, or see docs/get-started.md, `acceptAdminToken`",
            ),
          ];
        }
        const apisec = apisecAt(send, account.host, settings.apisecPaths, vault.clock, tries);
        const answer = await apisec.probe(String(token));
        if (answer.kind === "yes") return [it.ok("works")];
        const why = foreignText(answer.kind === "no" ? answer.text : answer.why, [String(token)]);
        return answer.kind === "no"
          ? [it.problem(`is refused: ${why}`, fix)]
          : [it.warning(`could not be tried: ${why}`)];
      },
      ({ problem, message }) =>
        problem === "denied"
          ? it.problem(message, "use a token that has the policy of developers too")
          : undefined,
    );
  });
  return rows.flat();
}

/** What is wrong with a stored token, as far as it says itself. */
export function tokenProblem(account: Account, token: unknown, now: number): string | undefined {
  if (typeof token !== "string") return "there is none";
  const claims = readToken(token);
  if (claims === undefined) return "is no access token of APIsec";
  if (!sameUser(claims.username, account.username)) return "is another user's";
  const ends = claims.expiresAt * 1000;
  return ends <= now ? `ended at ${timeText(ends)}` : undefined;
}
