import { setTimeout as sleep } from "node:timers/promises";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readToken } from "../../core/jwt";
import { newPassword } from "../../core/newPassword";
import { accessToken } from "./accessToken";
import type { FaultLab, TestAccount } from "./faultLab";
import { openGate } from "./gate";
import type { Call, Gate } from "./gate";
import { startRotation } from "./processes";
import type { Rotation } from "./processes";

/** What the job finds: the token that readers have now, and how the password stands. */
export interface TokenStart {
  title: string;
  stored: "none" | "older" | "later" | "ended";
  password: "settled" | "being changed";
}

/** One account of the rotation's matrix, with a reader that never stops to look. */
export interface TokenCase {
  account: TestAccount;
  gate: Gate;
  env: Record<string, string>;
  violations: string[];
  watch(): void;
  /** What a reader gets now, judged by all that it got before. */
  look(moment: string): Promise<void>;
  lookAt(rotation: Rotation): void;
  /** Looks at the end of a run that nothing disturbed. */
  lookAtEnd(rotation: Rotation): Promise<void>;
  close(): Promise<void>;
}

const readerPauseMs = 100;

/** `beside`: the account of a password change that goes on at the same time, on the same gate. */
export async function openTokenCase(
  lab: FaultLab,
  start: TokenStart,
  beside?: { account: TestAccount; gate: Gate; live: string },
): Promise<TokenCase> {
  const { account, gate, live } = beside ?? (await settledAccount(lab, start));
  const { name, username } = account;
  const key = `${name}/token`;
  await lab.asRoot("POST", `apisec/metadata/${key}`, {
    cas_required: true,
    delete_version_after: "23h30m",
  });
  const secrets = [live];
  const stored = await storedToken(lab, account, start.stored, live);
  if (stored !== undefined) {
    secrets.push(stored);
    await lab.write(key, { token: stored, username, host: gate.apisecUrl });
  }
  if (start.stored === "ended") await lab.asRoot("DELETE", `apisec/data/${key}`);

  const report = join(lab.dir, `${name}.xml`);
  const violations: string[] = [];
  let seen = start.stored === "ended" ? undefined : readToken(stored ?? "");
  const startedAt = Math.floor(Date.now() / 1000);

  // One look after the other: else an answer read before could be judged after a newer one.
  let looking = Promise.resolve();
  function look(moment: string): Promise<void> {
    looking = looking.then(() => lookNow(moment));
    return looking;
  }

  async function lookNow(moment: string): Promise<void> {
    const wrong = (what: string) => violations.push(`${moment}: a reader gets ${what}`);
    const read = await lab.read(key).catch(() => "down" as const);
    if (read === "down") return;
    if (read === undefined) {
      if (seen !== undefined) wrong("no token, and had one before");
      return;
    }
    const { token } = read.data;
    const claims = typeof token === "string" ? readToken(token) : undefined;
    if (typeof token !== "string" || claims === undefined)
      return void wrong("no token of APIsec's");
    if (claims.username !== username) wrong("a token of another user");
    if (claims.expiresAt * 1000 <= Date.now()) wrong("an expired token");
    if (seen !== undefined && claims.expiresAt < seen.expiresAt)
      wrong("an older token than before");
    seen = claims;
    if (!secrets.includes(token)) secrets.push(token);
  }

  let open = true;
  const reader = (async () => {
    while (open) {
      await look("meanwhile");
      await sleep(readerPauseMs);
    }
  })();

  const one: TokenCase = {
    account,
    gate,
    violations,
    env: {
      VAULT_ADDR: gate.vaultUrl,
      VAULT_ID_TOKEN: lab.idToken(),
      VAULT_AUTH_PATH: "gitlab",
      VAULT_AUTH_ROLE: "rotator",
      APISEC_MOUNT: "apisec",
      APISEC_ACCOUNTS: name,
      APISEC_MIN_LIFETIME: "23h30m",
      APISEC_REPORT: report,
    },
    watch() {
      const { after } = gate;
      gate.after = async (call, answer) => {
        await after(call, answer);
        if (call.path.endsWith("/token")) await look(`after call ${call.n}`);
      };
    },
    look,
    lookAt({ code, out, err }) {
      const told = out + err + (existsSync(report) ? readFileSync(report, "utf8") : "");
      if (secrets.some((secret) => told.includes(secret)) || /hvs\.|eyJ/.test(told)) {
        violations.push("the job told a secret");
      }
      if (code === 2) violations.push(`the job takes its settings for wrong: ${err}`);
      const claims = out.includes(`${name}  rotated`);
      if (claims && (seen?.issuedAt ?? 0) < startedAt) {
        violations.push("the job says rotated, and readers have no new token");
      }
    },
    async lookAtEnd(rotation) {
      const { code, err } = rotation;
      one.lookAt(rotation);
      if (code !== 0) violations.push(`the undisturbed run failed: ${err}`);
      await look("in the end");
      const token = (await lab.read(key))?.data["token"];
      const answer = await fetch(`${lab.apisecUrl}/api/v1/projects?page=0&pageSize=1`, {
        headers: { authorization: `Bearer ${String(token)}` },
      });
      if (answer.status !== 200) violations.push("in the end the token does not work");
      await answer.text();
      if ((seen?.issuedAt ?? 0) < startedAt - 5)
        violations.push("in the end the token is an old one");
    },
    async close() {
      open = false;
      await reader;
      await gate.close();
    },
  };
  lab.onStop.push(() => one.close());
  return one;
}

/** The calls of a rotation that nothing disturbs. */
export async function callsOfRotation(lab: FaultLab, start: TokenStart): Promise<Call[]> {
  const one = await openTokenCase(lab, start);
  one.watch();
  await one.lookAtEnd(await startRotation({ env: one.env }, lab.dir).ended);
  await one.close();
  if (one.violations.length > 0) throw new Error(one.violations.join("\n"));
  return one.gate.calls;
}

async function settledAccount(lab: FaultLab, start: TokenStart) {
  const live = newPassword();
  const account = await lab.account(live, ["ROLE_USER"]);
  const gate = await openGate(lab);
  await lab.write(`${account.name}/password`, {
    ...{ username: account.username, host: gate.apisecUrl, organization: "Acme" },
    ...{ generation: 1, changed_at: "2026-11-01T00:00:00Z" },
    ...(start.password === "settled"
      ? { password: live }
      : { password: newPassword(), pending_password: live, pending_generation: 2 }),
  });
  return { account, gate, live };
}

/** `later`: a true token with a longer life; the others are of the user and of no use. */
async function storedToken(
  lab: FaultLab,
  account: TestAccount,
  kind: TokenStart["stored"],
  password: string,
): Promise<string | undefined> {
  const { username } = account;
  if (kind === "none") return undefined;
  if (kind === "later") {
    await lab.setTokenLifetime(account, 48 * 3600);
    const answer = await fetch(`${lab.apisecUrl}/login`, {
      method: "POST",
      body: JSON.stringify({ username, password }),
    });
    await lab.setTokenLifetime(account, 24 * 3600);
    return ((await answer.json()) as { token: string }).token;
  }
  const now = Math.floor(Date.now() / 1000);
  return accessToken({ sub: `Acme//${username}`, iat: now - 3600, exp: now + 3600 });
}
