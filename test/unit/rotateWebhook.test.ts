import fc from "../support/fastCheck";
import { isWebhook } from "../../net/endpoint";
import { transportError } from "../../net/http";
import { run } from "../../job/run";
import { tokenLeft } from "../../job/tokenLeft";
import { messageBody, messageText, teller } from "../../job/webhook";
import { accessToken } from "../support/accessToken";
import { secretHunt } from "../support/secretHunt";
import type { HttpRequest, HttpResponse } from "../../net/http";
import type { Settings } from "../../job/settings";

const nowMs = Date.parse("2026-11-24T06:00:00Z");
const address = "https://hooks.example.com/services/T000/B000/hook-canary";
const job = {
  APISEC_WEBHOOK: address,
  CI_ENVIRONMENT_NAME: "apisec/prod",
  CI_PIPELINE_URL: "https://gitlab.example.com/p/-/pipelines/7",
};

/** A messenger whose server gives these answers, one after the other. */
function messenger(...answers: (Partial<HttpResponse> | Error)[]) {
  const requests: HttpRequest[] = [];
  const warnings: string[] = [];
  const waits: number[] = [];
  const send = (request: HttpRequest): Promise<HttpResponse> => {
    requests.push(request);
    const answer = answers.shift() ?? {};
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve({ status: 200, headers: {}, body: "ok", ...answer });
  };
  const clock = {
    now: () => nowMs,
    sleep: (ms: number) => {
      waits.push(ms);
      return Promise.resolve();
    },
  };
  const warn = (line: string) => void warnings.push(line);
  const texts = () => requests.map(({ body }) => (JSON.parse(body ?? "") as { text: string }).text);
  return { requests, warnings, waits, texts, world: { send, clock, warn }, clock };
}

describe("a message", () => {
  test("is one POST of Slack's JSON: the stack, the pipeline, a line an account", async () => {
    const { requests, warnings, texts, world } = messenger();
    await teller(job, world)("1 of 2 tokens not rotated", ["scanner: no valid token is left; x"]);
    expect(warnings).toEqual([]);
    expect(requests).toEqual([
      expect.objectContaining({
        method: "POST",
        url: address,
        headers: { "content-type": "application/json; charset=utf-8" },
        timeoutMs: 10_000,
      }),
    ]);
    expect(texts()).toEqual([
      "apisec/prod: 1 of 2 tokens not rotated\nhttps://gitlab.example.com/p/-/pipelines/7\n• scanner: no valid token is left; x",
    ]);
  });

  test.each([
    "https://prod-7.westeurope.logic.azure.com:443/workflows/1/triggers/manual/paths/invoke?sig=x",
    "https://default1.ae.environment.api.powerplatform.com:443/powerautomate/automations/1?sig=x",
    "https://Acme.webhook.office.com/webhookb2/1",
  ])("is a card where the webhook is one of Teams: %s", async (teams) => {
    const { requests, warnings, world } = messenger();
    await teller({ ...job, APISEC_WEBHOOK: teams }, world)("stopped", ["a: <b> & *c* -> d"]);
    expect(warnings).toEqual([]);
    const inlines = (line: string) => ({ type: "RichTextBlock", inlines: [line] });
    expect(requests.map(({ body }) => JSON.parse(body ?? "") as unknown)).toEqual([
      {
        type: "message",
        attachments: [
          {
            contentType: "application/vnd.microsoft.card.adaptive",
            content: {
              type: "AdaptiveCard",
              version: "1.2",
              body: [
                inlines("apisec/prod: stopped"),
                inlines("https://gitlab.example.com/p/-/pipelines/7"),
                inlines("• a: <b> & *c* -> d"),
              ],
            },
          },
        ],
      },
    ]);
  });

  test.each([
    "https://hooks.slack.com/services/x",
    "https://mattermost.example.com/hooks/x",
    "https://example.com/x.logic.azure.com/",
    "https://logic.azure.com.example.com/x",
    "https://evillogic.azure.com/x",
  ])("is Slack's text elsewhere: %s", (address) =>
    expect(JSON.parse(messageBody(address, "a\nb"))).toEqual({ text: "a\nb" }),
  );

  test("does without what GitLab has not set", async () => {
    const { texts, world } = messenger();
    await teller({ APISEC_WEBHOOK: address }, world)("stopped", []);
    expect(texts()).toEqual(["APIsec rotation: stopped"]);
  });

  test("goes to nobody where there is no webhook", async () => {
    const { requests, warnings, world } = messenger();
    await teller({ ...job, APISEC_WEBHOOK: "" }, world)("stopped", []);
    expect([requests, warnings]).toEqual([[], []]);
  });

  test("holds no control characters of Slack's and none at all", () => {
    const text = messageText(["<!channel> &"], ["<https://evil.example|click> \u0007\n\u202e x"]);
    expect(text).toBe("&lt;!channel&gt; &amp;\n• &lt;https://evil.example|click&gt;   x");
  });

  test("names 20 accounts, and how many more there are", () => {
    const text = messageText(
      ["head"],
      Array.from({ length: 23 }, (_, n) => `account-${n}: why`),
    );
    expect(text.split("\n")).toHaveLength(22);
    expect(text).toContain("• account-19: why\nand 3 more");
  });

  test("is never longer than 3,000 characters, and tells of every account", () => {
    const hostile = fc.string({
      unit: fc.constantFrom("a", "&", "<", "😀", "\n"),
      maxLength: 900,
      size: "max",
    });
    fc.assert(
      fc.property(
        fc.array(hostile, { minLength: 1, maxLength: 2 }),
        fc.array(hostile, { minLength: 1, maxLength: 40, size: "max" }),
        (head, lines) => {
          const text = messageText(head, lines);
          expect(text.length).toBeLessThanOrEqual(3_000);
          expect(text).not.toMatch(/\p{Cs}/u);
          expect(text.replace(/&(amp|lt|gt);/g, "")).not.toMatch(/[&<>]/);
          const more = Number(/\nand (\d+) more$/.exec(text)?.[1] ?? 0);
          expect(text.match(/^• /gm)?.length).toBe(lines.length - more);
        },
      ),
    );
  });
});

describe("a webhook that fails is a warning without its address", () => {
  test.each<[string, Partial<HttpResponse> | Error, string]>([
    ["gone", { status: 404, body: `no ${address}` }, "the webhook answers with 404"],
    ["moved", { status: 302, headers: { location: "https://evil.example" } }, "answers with 302"],
    ["silent", transportError("timeout", address), "the webhook did not answer in time"],
    ["cut off", transportError("reset", address), "the webhook closed the connection before"],
  ])("%s: one request, which may have been taken", async (_, answer, why) => {
    const { requests, warnings, world } = messenger(answer);
    await teller(job, world)("stopped", []);
    expect(requests).toHaveLength(1);
    expect(warnings).toEqual([expect.stringMatching(/^warning {2}nobody was told: /)]);
    expect(warnings[0]).toContain(why);
    expect(warnings[0]).not.toMatch(/hooks\.example|canary/);
  });

  test.each<[string, Record<string, string>, number]>([
    ["as asked", { "retry-after": "7" }, 7_000],
    ["at most 30 s", { "retry-after": "3600" }, 30_000],
    ["half a second", {}, 500],
  ])("busy: once more, after %s", async (_, headers, wait) => {
    for (const status of [429, 500, 503]) {
      const { requests, warnings, waits, world } = messenger({ status, headers });
      await teller(job, world)("stopped", []);
      expect([requests.length, warnings, waits]).toEqual([2, [], [wait]]);
    }
  });

  test("not reached: once more", async () => {
    const { requests, warnings, world } = messenger(transportError("dns", address));
    await teller(job, world)("stopped", []);
    expect([requests.length, warnings]).toEqual([2, []]);
  });

  test("busy for ever: two requests", async () => {
    const busy = { status: 429 };
    const { requests, warnings, world } = messenger(busy, busy, busy);
    await teller(job, world)("stopped", []);
    expect(requests).toHaveLength(2);
    expect(warnings).toEqual(["warning  nobody was told: the webhook answers with 429"]);
  });

  test.each([
    "http://hooks.example.com/canary",
    "hooks.example.com/canary",
    "https://user:canary@hooks.example.com/",
    "https://hooks.example.com/ canary",
    "https://hooks.example.com/canary\n",
    "file:///canary",
  ])("not usable: %s", async (bad) => {
    expect(isWebhook(bad)).toBe(false);
    const { requests, warnings, world } = messenger();
    const tell = teller({ ...job, APISEC_WEBHOOK: bad }, world);
    expect(warnings).toEqual([expect.stringContaining("APISEC_WEBHOOK is no https:// address")]);
    expect(warnings[0]).not.toContain("canary");
    await tell("stopped", []);
    expect(requests).toEqual([]);
  });

  test.each(["http://127.0.0.1:1/x", "http://[::1]/x", "https://hooks.example.com/x?key=1#2"])(
    "usable: %s",
    (good) => expect(isWebhook(good)).toBe(true),
  );
});

test.each([
  [5 * 3600 + 20 * 60 + 59, "readers have a token until 2026-11-24T11:20:59Z (5 h 20 min)"],
  [59 * 60, "readers have a token until 2026-11-24T06:59:00Z (59 min)"],
  [30, "readers have a token until 2026-11-24T06:00:30Z (0 min)"],
  [0, "no valid token is left"],
])("a token with %i s of life", (seconds, text) => {
  const now = nowMs / 1000;
  const token = accessToken({ sub: "Acme//a", iat: now - 60, exp: now + seconds });
  const stored = { state: "found", version: 1, data: { token }, deletionTime: "" } as const;
  expect(tokenLeft(stored, nowMs)).toEqual({ text, until: seconds === 0 ? 0 : now + seconds });
});

describe("a run", () => {
  const settings: Settings = {
    vault: { address: "https://vault.example", namespace: undefined, tls: {} },
    login: { kind: "idToken", idToken: "id-token-canary", authPath: "gitlab", role: "rotator" },
    mount: "apisec",
    accounts: ["one", "two", "three"],
    apisecUrl: undefined,
    paths: { login: "/login", probe: "/probe" },
    concurrency: 1,
    minLifetimeSeconds: 3600,
    tokenEndsInVault: true,
    largestGapSeconds: 6 * 3600,
    deadlineSeconds: 720,
    reportFile: "report.xml",
    metricsFile: undefined,
    owner: { project: "apisec-credentials", stack: "prod" },
    source: "https://gitlab.example.com/p/-/pipelines/7",
  };
  const json = (status: number, body: unknown): HttpResponse => ({
    status,
    headers: {},
    body: JSON.stringify(body),
  });
  const tokenOf = (name: string, hours: number, scopes = "ROLE_USER") =>
    accessToken({
      sub: `Acme//${name}@acme.example`,
      iat: nowMs / 1000,
      exp: nowMs / 1000 + hours * 3600,
      scopes,
    });

  interface Servers {
    password: string;
    vaultToken: string;
    /** By account, the answer to its call; undefined = as it should be. */
    fault: (
      call: "vault login" | "login" | "probe" | "write",
      name: string,
    ) => HttpResponse | undefined;
    deletionTime?: string;
    /** Hours that an account's stored token still lives. */
    stored?: Record<string, number>;
  }

  async function runWith({ password, vaultToken, fault, deletionTime, stored = {} }: Servers) {
    const hook = messenger();
    const lines: string[] = [];
    const deletion_time = deletionTime ?? new Date(nowMs + 23 * 3600_000).toISOString();
    const metadata = { version: 1, deletion_time };
    const code = await run(settings, {
      vaultSend(request) {
        const [, name = "", key] = /data\/(.+)\/(.+)/.exec(request.url) ?? [];
        if (request.url.endsWith("/login")) {
          const auth = { client_token: vaultToken, lease_duration: 900 };
          return Promise.resolve(fault("vault login", "") ?? json(200, { auth }));
        }
        if (request.method === "POST") {
          return Promise.resolve(fault("write", name) ?? json(200, { data: metadata }));
        }
        const username = `${name}@acme.example`;
        const hours = stored[name];
        const record =
          key === "password"
            ? { username, password, host: `https://${name}.example` }
            : hours === undefined
              ? undefined
              : { token: tokenOf(name, hours) };
        const found = json(200, { data: { data: record, metadata: { ...metadata } } });
        return Promise.resolve(record === undefined ? json(404, { errors: [] }) : found);
      },
      apisecSend({ url }) {
        const [, name = "", call] = /\/\/(\w+)\.example\/(\w+)/.exec(url) ?? [];
        const good =
          call === "login"
            ? { token: tokenOf(name, 24) }
            : { errors: false, messages: [], data: [] };
        return Promise.resolve(fault(call as "login", name) ?? json(200, good));
      },
      clock: hook.clock,
      out: (line) => lines.push(line),
      err: (line) => lines.push(line),
      writeReport: (_, text) => lines.push(text),
      tell: teller(job, hook.world),
    });
    return { code, told: hook.texts(), lines: lines.join("\n") };
  }

  const good = { password: "password-canary", vaultToken: "vault-canary" };
  const only =
    (call: string, names: string[], answer: HttpResponse) => (at: string, name: string) =>
      at === call && (name === "" || names.includes(name)) ? answer : undefined;

  test("in which all went well tells nothing", async () => {
    expect(await runWith({ ...good, fault: () => undefined })).toMatchObject({ code: 0, told: [] });
  });

  test("tells of failed accounts, those first whose readers have the least time", async () => {
    const { code, told, lines } = await runWith({
      ...good,
      fault: only("login", ["one", "two"], json(503, "down")),
      stored: { one: 5, three: 1 },
    });
    expect(code).toBe(1);
    expect(told).toHaveLength(1);
    const [first, second] = told[0]?.split("\n").slice(2) ?? [];
    expect(told[0]).toMatch(/^apisec\/prod: 2 of 3 tokens not rotated\n/);
    expect(first).toBe(
      "• two: no valid token is left; login failed: HTTP 503 without the expected content [APC-LOGIN-FAILED]",
    );
    expect(second).toBe(
      "• one: readers have a token until 2026-11-24T11:00:00Z (5 h 0 min); login failed: HTTP 503 without the expected content [APC-LOGIN-FAILED]",
    );
    expect(lines).toContain(
      "one  failed  login failed: HTTP 503 without the expected content [APC-LOGIN-FAILED]; readers have a token until 2026-11-24T11:00:00Z (5 h 0 min)\n",
    );
    expect(lines).toContain(
      'message="login failed: HTTP 503 without the expected content [APC-LOGIN-FAILED]; no valid token is left"',
    );
  });

  test("that Vault lets in nowhere tells it once for all", async () => {
    const refusal = json(400, { errors: ["role not found"] });
    const { code, told } = await runWith({ ...good, fault: only("vault login", [], refusal) });
    expect(code).toBe(3);
    expect(told).toEqual([
      expect.stringMatching(
        /3 of 3 tokens not rotated\n.*\n• all accounts: whether readers still have a token is not known; .*role not found \[APC-VAULT-LOGIN\]$/,
      ),
    ]);
  });

  test("tells where Vault will keep a token for longer than it works", async () => {
    const { code, told } = await runWith({ ...good, fault: () => undefined, deletionTime: "" });
    expect(code).toBe(0);
    expect(told).toEqual([
      expect.stringMatching(
        /: tokens rotated, with warnings\n.*\n• one: Vault deletes the token never/,
      ),
    ]);
  });

  test("tells of a token that has become an admin's", async () => {
    const token = tokenOf("one", 24, "ROLE_ADMIN");
    const admin = json(200, { token });
    const { told, lines } = await runWith({ ...good, fault: only("login", ["one"], admin) });
    expect(told[0]).toContain("• one: the token carries ROLE_ADMIN");
    expect(lines).toContain("one  warning  the token carries ROLE_ADMIN");
  });

  test("never tells a secret, whatever the servers quote", async () => {
    const visible = fc.string({
      unit: fc.integer({ min: 33, max: 126 }).map((n) => String.fromCharCode(n)),
      minLength: 12,
      maxLength: 40,
    });
    const forms: ((secret: string) => string)[] = [
      (secret) => secret,
      (secret) => JSON.stringify(secret),
      encodeURIComponent,
      (secret) => Buffer.from(secret).toString("base64"),
      (secret) => Buffer.from(secret).toString("base64url"),
    ];
    await fc.assert(
      fc.asyncProperty(
        visible,
        visible,
        fc.constantFrom("login", "probe", "write"),
        fc.constantFrom(...forms),
        fc.string({ maxLength: 300, size: "max" }),
        fc.constantFrom(200, 400, 401, 403, 503),
        async (password, vaultToken, call, form, padding, status) => {
          const secrets = [password, vaultToken, "id-token-canary", address, tokenOf("one", 24)];
          const quoted = padding + secrets.map(form).join(" ");
          const messages = [{ type: "ERROR", value: quoted }];
          const answer = json(status, {
            message: quoted,
            errors: call === "write" ? [quoted] : true,
            messages,
          });
          const { told, lines } = await runWith({
            password,
            vaultToken,
            fault: only(call, ["one"], answer),
          });
          expect(told).toHaveLength(1);
          const hunt = secretHunt();
          for (const secret of secrets) hunt.add(secret, secret);
          expect(hunt.in(told.join())).toEqual([]);
          expect(hunt.in(lines, [address])).toEqual([]);
        },
      ),
    );
  });
});
