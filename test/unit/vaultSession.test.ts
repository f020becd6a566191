import { openSession } from "../../job/vaultSession";
import type { HttpRequest, HttpResponse } from "../../net/http";
import type { Settings } from "../../job/settings";

const leaseSeconds = 900;

/** A session over a Vault that takes the tokens in `valid`, whatever they ask, but for `deniedKey`. */
async function session(login: Settings["login"], deniedKey?: string) {
  let time = 0;
  const log: string[] = [];
  const valid = new Set(["given"]);
  const answer = (status: number, body: object = { errors: [] }): HttpResponse => ({
    status,
    headers: {},
    body: JSON.stringify(body),
  });

  async function send({ url, headers }: HttpRequest): Promise<HttpResponse> {
    await Promise.resolve();
    const path = url.replace("https://vault.example/v1/", "");
    const token = headers["x-vault-token"] ?? "";
    log.push(path === "auth/gitlab/login" ? "login" : `${path} ${token}`);
    if (path === "auth/gitlab/login") {
      const fresh = `bought-${log.filter((line) => line === "login").length}`;
      valid.add(fresh);
      return answer(200, { auth: { client_token: fresh, lease_duration: leaseSeconds } });
    }
    if (!valid.has(token)) return answer(403);
    if (path === "auth/token/revoke-self") {
      valid.delete(token);
      return answer(204);
    }
    return answer(path === `apisec/data/${deniedKey}` ? 403 : 404);
  }

  const settings = { login, mount: "apisec" } as Settings;
  const clock = { now: () => time, sleep: () => Promise.resolve() };
  const opened = await openSession(settings, { send, clock, address: "https://vault.example" });
  return {
    ...opened,
    valid,
    log,
    logins: () => log.filter((line) => line === "login").length,
    pass: (seconds: number) => (time += seconds * 1000),
  };
}

const idToken = { kind: "idToken", idToken: "jwt", authPath: "gitlab", role: "rotator" } as const;
const absent = { state: "absent" };

test("a denial before anything worked stands: no second login", async () => {
  const vault = await session(idToken, "a");
  await expect(vault.read("a")).rejects.toMatchObject({ problem: "denied" });
  expect(vault.logins()).toBe(1);
});

test("a denial after something worked is worth one new login in a run, not more", async () => {
  const vault = await session(idToken, "a");
  for (let i = 0; i < 3; i += 1) {
    expect(await vault.read("b")).toEqual(absent);
    await expect(vault.read("a")).rejects.toMatchObject({ problem: "denied" });
  }
  expect(vault.logins()).toBe(2);
  await vault.end();
  expect(vault.valid).toEqual(new Set(["given"]));
});

test("calls in flight share the new login", async () => {
  const vault = await session(idToken);
  await vault.read("first");
  vault.valid.clear();
  const reads = await Promise.all(["a", "b", "c"].map((key) => vault.read(key)));
  expect(reads).toEqual([absent, absent, absent]);
  expect(vault.logins()).toBe(2);
  expect(vault.secrets).toEqual(["jwt", "bought-1", "bought-2"]);
});

test("a token whose lease is over is replaced each time", async () => {
  const vault = await session(idToken);
  for (let i = 0; i < 3; i += 1) {
    expect(await vault.read("a")).toEqual(absent);
    vault.pass(leaseSeconds);
    vault.valid.clear();
  }
  expect(await vault.read("a")).toEqual(absent);
  expect(vault.logins()).toBe(4);
});

test("a token that was given is neither replaced nor revoked", async () => {
  const vault = await session({ kind: "token", token: "given" });
  await vault.read("a");
  await vault.end();
  expect(vault.valid).toEqual(new Set(["given"]));
  vault.valid.clear();
  await expect(vault.read("a")).rejects.toMatchObject({ problem: "denied" });
  expect(vault.log).not.toContain("login");
});
