import { apisecAt, defaultApisecPaths } from "../../clients/apisec";
import type { Apisec } from "../../clients/apisec";
import { transportError } from "../../net/http";
import { scripted } from "../support/scripted";
import type { Scripted } from "../support/scripted";

const host = "https://tenant.apisec.example";
const who = { username: "a@acme.example", userId: "u/1", orgId: "o 1", orgName: "Acme" };

function apisecWith(answers: Scripted[], tries = 1) {
  const script = scripted(...answers);
  return { script, api: apisecAt(script.send, host, defaultApisecPaths, script.clock, tries) };
}

const error = (value: string) => ({ type: "ERROR", key: null, value });
const envelope = (fields: object) => ({ requestId: "r", errors: false, messages: [], ...fields });
const failure = envelope({ errors: true, messages: [error("No")], data: null });

/** What proves nothing, whichever call it answers. */
const unreadable: [string, Scripted][] = [
  ["nothing", { status: 200 }],
  ["HTML", { status: 200, body: "<!doctype html><html>Please sign in</html>" }],
  ["HTML with 401", { status: 401, body: "<html>Unauthorized</html>" }],
  ["a cut-off body", { status: 200, body: '{"errors":false,"data":tr' }],
  ["a list", { status: 200, body: [] }],
  ["a redirect", { status: 302, headers: { location: "/login" } }],
  ["a redirect that keeps the method", { status: 307, body: { token: "x" } }],
  ["a locked account", { status: 423, body: { message: "Locked", ...failure } }],
  ["too many requests", { status: 429, body: { message: "Slow down", ...failure } }],
  ["a server error", { status: 500, body: { message: "Error", ...failure } }],
  ["Service Unavailable", { status: 503, body: "Service Unavailable" }],
  ["a gateway's timeout", { status: 504, body: "<html>" }],
  ["a time-out", transportError("timeout", host)],
  ["a reset", transportError("reset", host)],
  ["a refused connection", transportError("refused", host)],
  ["more bytes than accepted", transportError("too-large", host)],
];

const calls: Record<string, (api: Apisec) => Promise<{ kind: string }>> = {
  login: (api) => api.login("a", "p"),
  whoAmI: (api) => api.whoAmI("t"),
  change: (api) => api.changePassword("t", who, "p"),
  probe: (api) => api.probe("t"),
};

describe.each(Object.entries(calls))("%s", (name, call) => {
  test.each(unreadable)("answered by %s", async (what, answer) => {
    // A gateway in front of APIsec refuses a dead token in words of its own.
    const isDead = name === "probe" && what === "HTML with 401";
    const { kind } = await call(apisecWith([answer]).api);
    expect(kind).toBe(isDead ? "no" : "unknown");
  });
});

describe("login", () => {
  const login = async (answer: Scripted) => apisecWith([answer]).api.login("a@acme.example", "p w");

  test("sends the password in the body of one POST", async () => {
    const { api, script } = apisecWith([{ status: 200, body: { token: "t" } }]);
    await expect(api.login("a@acme.example", "p w")).resolves.toEqual({ kind: "yes", token: "t" });
    expect(script.sent).toEqual([
      {
        method: "POST",
        url: `${host}/login`,
        headers: { accept: "application/json", "content-type": "application/json" },
        body: '{"username":"a@acme.example","password":"p w"}',
        timeoutMs: 20_000,
        maxBytes: 1024 * 1024,
      },
    ]);
  });

  test.each([400, 401, 403])("is a no with %d and a message", async (status) => {
    const text = "Invalid username or password";
    const answer = await login({ status, body: { message: text } });
    expect(answer).toEqual({ kind: "no", text });
  });

  const noAnswers: [string, Scripted][] = [
    ["a message with 200", { status: 200, body: { message: "Invalid" } }],
    ["a message with 404", { status: 404, body: { message: "Not found" } }],
    ["a refusal without a message", { status: 401, body: { error: "x" } }],
    ["a message that is no text", { status: 401, body: { message: 7 } }],
    [
      "what a duplicated account is told",
      { status: 401, body: { message: "Service Unavailable" } },
    ],
    ["an empty token", { status: 200, body: { token: "" } }],
    ["a token that is no text", { status: 200, body: { token: 7 } }],
    ["a token with 201", { status: 201, body: { token: "t" } }],
  ];
  test.each(noAnswers)("is unknown with %s", async (_, answer) => {
    expect((await login(answer)).kind).toBe("unknown");
  });
});

describe("who-am-I", () => {
  const data = (org: unknown, users: unknown) => ({
    status: 200,
    body: envelope({ data: { id: "x", org, users, orgRole: "ADMIN", status: "ACTIVE" } }),
  });
  const ask = (answer: Scripted) => apisecWith([answer]).api.whoAmI("t");

  test("gives user and organization", async () => {
    const answer = data({ id: "o1", name: "Acme" }, { id: 7, username: "a@acme.example" });
    const { api, script } = apisecWith([answer]);
    await expect(api.whoAmI("t")).resolves.toEqual({
      kind: "yes",
      who: { username: "a@acme.example", userId: "7", orgId: "o1", orgName: "Acme" },
    });
    expect(script.sent[0]).toMatchObject({
      method: "GET",
      url: `${host}/api/v1/orgs/login-status`,
      headers: { authorization: "Bearer t" },
    });
    expect(script.sent[0]).not.toHaveProperty("body");
  });

  test("is a no with 401 or 403 and the envelope", async () => {
    for (const status of [401, 403]) {
      expect(await ask({ status, body: failure })).toEqual({ kind: "no", text: "No" });
    }
  });

  test.each([
    ["errors:true", { status: 200, body: failure }],
    ["no data", { status: 200, body: envelope({ data: null }) }],
    ["no organization", data(null, { id: 1, username: "a" })],
    ["no organization's id", data({ name: "Acme" }, { id: 1, username: "a" })],
    ["no user's id", data({ id: 1 }, { id: "", username: "a" })],
    ["no user name", data({ id: 1 }, { id: 1 })],
    ["404", { status: 404, body: failure }],
  ] as [string, Scripted][])("is unknown with %s", async (_, answer) => {
    expect((await ask(answer)).kind).toBe("unknown");
  });
});

describe("the change", () => {
  const change = (answer: Scripted) => apisecWith([answer]).api.changePassword("t", who, "new");

  test("is made with errors === false and data === true", async () => {
    const { api, script } = apisecWith([{ status: 200, body: envelope({ data: true }) }]);
    await expect(api.changePassword("t", who, "new")).resolves.toEqual({ kind: "changed" });
    expect(script.sent).toMatchObject([
      {
        method: "POST",
        url: `${host}/api/v1/orgs/o%201/users/u%2F1/reset-password`,
        headers: { authorization: "Bearer t" },
        body: '{"password":"new","confirmPassword":"new"}',
      },
    ]);
  });

  test("is refused with an ERROR message in 200, or by a 4xx with the envelope", async () => {
    const messages = [error("Too short"), { type: "INFO", value: "x" }, error("Too old")];
    const body = envelope({ errors: true, messages });
    expect(await change({ status: 200, body })).toEqual({
      kind: "refused",
      text: "Too short; Too old",
    });
    expect(await change({ status: 403, body: failure })).toEqual({ kind: "refused", text: "No" });
    expect(await change({ status: 404, body: envelope({}) })).toEqual({
      kind: "refused",
      text: "HTTP 404",
    });
  });

  test.each([
    ["data:false", { status: 200, body: envelope({ data: false }) }],
    [
      "data:false and an error",
      { status: 200, body: envelope({ data: false, messages: [error("x")] }) },
    ],
    ["data:'true'", { status: 200, body: envelope({ data: "true" }) }],
    ["no errors at all", { status: 200, body: { data: true } }],
    ["errors:'false'", { status: 200, body: { errors: "false", data: true } }],
    ["errors:true without a word", { status: 200, body: envelope({ errors: true }) }],
    [
      "errors:true and an INFO",
      { status: 200, body: envelope({ errors: true, messages: [{ type: "INFO", value: "x" }] }) },
    ],
    ["success with 201", { status: 201, body: envelope({ data: true }) }],
    ["a 4xx without the envelope", { status: 403, body: { message: "Forbidden" } }],
  ] as [string, Scripted][])("is unknown with %s", async (_, answer) => {
    expect((await change(answer)).kind).toBe("unknown");
  });

  test("is sent once, whatever comes back", async () => {
    for (const [, answer] of unreadable) {
      const { api, script } = apisecWith([answer], 3);
      await api.changePassword("t", who, "new");
      expect(script.sent).toHaveLength(1);
      expect(script.waits).toEqual([]);
    }
  });
});

describe("the probe", () => {
  const probe = (answer: Scripted) => apisecWith([answer]).api.probe("t");

  test("is a yes with 200 and errors === false", async () => {
    const { api, script } = apisecWith([{ status: 200, body: envelope({ data: [] }) }]);
    await expect(api.probe("t")).resolves.toEqual({ kind: "yes" });
    expect(script.sent[0]?.url).toBe(`${host}/api/v1/projects?page=0&pageSize=1`);
  });

  test("is a no with errors, or a refusal", async () => {
    expect(await probe({ status: 200, body: failure })).toEqual({ kind: "no", text: "No" });
    expect(await probe({ status: 401, body: failure })).toEqual({ kind: "no", text: "No" });
  });
});

describe("a login", () => {
  const yes = { status: 200, body: { token: "t" } };

  test.each<[string, Scripted]>([
    ["429", { status: 429, headers: { "retry-after": "1" } }],
    ["500", { status: 500 }],
    ["a reset", transportError("reset", host)],
    ["no answer in time", transportError("timeout", host)],
    ["a 401", { status: 401, body: { message: "no" } }],
  ])("that was sent is not sent again: %s", async (_, answer) => {
    const { api, script } = apisecWith([answer, yes], 3);
    await expect(api.login("a", "p")).resolves.not.toMatchObject({ kind: "yes" });
    expect(script.sent).toHaveLength(1);
  });

  test.each(["tls", "client-certificate"] as const)(
    "that fails for a certificate (%s) is not tried again, and says that nothing was sent",
    async (code) => {
      const { api, script } = apisecWith([transportError(code, host), yes], 3);
      const answer = await api.login("a", "p");
      expect(answer).toMatchObject({ kind: "unknown", notSent: true });
      expect(script.sent).toHaveLength(1);
    },
  );

  test.each(["refused", "dns", "proxy"] as const)(
    "without a connection (%s) is tried again, and says that nothing was sent",
    async (code) => {
      const none = transportError(code, host);
      const { api } = apisecWith([none, none, yes], 3);
      await expect(api.login("a", "p")).resolves.toMatchObject({ kind: "yes" });
      const still = apisecWith([none], 3);
      await expect(still.api.login("a", "p")).resolves.toMatchObject({
        kind: "unknown",
        notSent: true,
      });
    },
  );
});

describe("a call that changes nothing", () => {
  const busy: [string, Scripted][] = [
    ["429", { status: 429 }],
    ["500", { status: 500 }],
    ["a reset", transportError("reset", host)],
  ];
  test.each(busy)("is repeated after %s, as often as it may", async (_, answer) => {
    const fine = { status: 200, body: envelope({ data: [] }) };
    const { api, script } = apisecWith([answer, answer, fine], 3);
    await expect(api.probe("t")).resolves.toMatchObject({ kind: "yes" });
    expect(script.waits).toEqual([500, 1_000]);
    const still = apisecWith([answer], 3);
    expect((await still.api.probe("t")).kind).toBe("unknown");
    expect(still.script.sent).toHaveLength(3);
  });

  test("waits as long as it is asked to, a minute in all", async () => {
    const headers = { "retry-after": "7" };
    const long = { "retry-after": "3600" };
    const { api, script } = apisecWith(
      [
        { status: 429, headers },
        { status: 503, headers: long },
      ],
      3,
    );
    await api.whoAmI("t");
    expect(script.waits).toEqual([7_000, 53_000]);
  });

  test("is not repeated after an answer that says something, even if it is odd", async () => {
    for (const answer of [{ status: 200, body: "<html>" }, { status: 423 }, { status: 302 }]) {
      const { api, script } = apisecWith([answer], 3);
      await api.login("a", "p");
      expect(script.sent).toHaveLength(1);
    }
  });
});

test("a tenant may have other paths", async () => {
  const script = scripted({ status: 200, body: envelope({ data: true }) });
  const paths = { ...defaultApisecPaths, change: "/v2/{userId}?org={orgId}" };
  const api = apisecAt(script.send, host, paths, script.clock, 1);
  await api.changePassword("t", who, "p");
  expect(script.sent[0]?.url).toBe(`${host}/v2/u%2F1?org=o%201`);
});

test("no why shows a secret", async () => {
  for (const [, answer] of unreadable) {
    for (const call of Object.values(calls)) {
      const { why = "" } = (await call(apisecWith([answer]).api)) as { why?: string };
      expect(why).not.toMatch(/Bearer|"p"/);
    }
  }
});
