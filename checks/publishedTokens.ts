import type { Account, Settings } from "../config/settings";
import { apisecAt } from "../clients/apisec";
import { eachOf } from "../core/eachOf";
import type { Send } from "../net/http";
import { isAdminToken, readToken, sameUser } from "../core/jwt";
import { tokenKey } from "../core/passwordRecord";
import { foreignText } from "../core/redact";
import { kvStore } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { attempt } from "./attempt";
import type { Finding } from "./finding";
import { timeText } from "./time";

const atOnce = 8;
const tries = 2;

/** Reads the published tokens, with the developers' rights, and tries each at APIsec. */
export async function checkPublishedTokens(
  vault: VaultConnection,
  send: Send,
  settings: Settings,
  now: number,
): Promise<Finding[]> {
  const store = kvStore(vault, settings.mount);
  const published = settings.accounts.filter(({ publishToken }) => publishToken);
  const rows: Finding[][] = [];
  await eachOf([...published.entries()], atOnce, async ([index, account]) => {
    const what = `token ${account.name} at APIsec`;
    rows[index] = await attempt(
      what,
      async () => {
        const read = await store.read(tokenKey(account.name));
        const token = read.state === "found" ? read.data["token"] : undefined;
        const found = tokenProblem(account, token, now);
        const fix = `npm run rotate -- --stack ${settings.stack} --account ${account.name}`;
        if (found !== undefined) return [{ what, state: "problem", found, fix }];
        if (isAdminToken(String(token)) && !account.acceptAdminToken) {
          const found = "carries ROLE_ADMIN: whoever reads it can reset every password";
          const fix =
            "take the role from the account at APIsec, or see docs/get-started.md, `acceptAdminToken`";
          return [{ what, state: "problem", found, fix }];
        }
        const apisec = apisecAt(send, account.host, settings.apisecPaths, vault.clock, tries);
        const answer = await apisec.probe(String(token));
        if (answer.kind === "yes") return [{ what, state: "ok", found: "works" }];
        const why = foreignText(answer.kind === "no" ? answer.text : answer.why, [String(token)]);
        return answer.kind === "no"
          ? [{ what, state: "problem", found: `is refused: ${why}`, fix }]
          : [{ what, state: "warning", found: `could not be tried: ${why}` }];
      },
      ({ problem }) =>
        problem === "denied" ? { fix: "use a token that has the policy of developers too" } : {},
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
