import Fastify, { type FastifyInstance } from "fastify";
import { z } from "zod";
import type { FaultInput } from "../faults";
import type { FaultyServer, Logged } from "../faultyServer";
import { ApiSettings } from "./scans";
import type { openScans } from "./scans";
import { type Account, AccountSettings, NewAccount, Settings, type Store } from "./state";

const Password = z.strictObject({ password: z.string() });
const OneAccount = z.object({ username: z.string() });

/** The routes under `/-/lab/`: what a test may know and change behind APIsec's back. */
export function controlApp(
  store: Store,
  scans: ReturnType<typeof openScans>,
  server: () => FaultyServer,
): FastifyInstance {
  const app = Fastify();
  app.setErrorHandler(({ message }: Error, _request, reply) => reply.code(400).send({ message }));

  function account(params: unknown): Account {
    const { username } = OneAccount.parse(params);
    const found = store.find(username);
    if (!found) throw new Error(`No account ${username}`);
    return found;
  }

  app.get("/-/lab/accounts", async () => store.accounts.map(withoutSecrets));
  app.post("/-/lab/accounts", async ({ body }) => {
    const added = z.array(NewAccount).parse(body);
    const known = added.find(({ username }) => store.find(username));
    if (known) throw new Error(`There is an account ${known.username} already`);
    for (const account of added) store.add(account);
    store.save();
    return { accounts: store.accounts.length };
  });
  app.patch("/-/lab/accounts/:username", async ({ params, body }) => {
    const changed = Object.assign(account(params), AccountSettings.partial().parse(body));
    store.save();
    return withoutSecrets(changed);
  });
  app.post("/-/lab/accounts/:username/password", async ({ params, body }) => {
    store.setPassword(account(params), Password.parse(body).password);
    return {};
  });
  app.post("/-/lab/accounts/:username/check", async ({ params, body }) => ({
    live: store.isLive(account(params), Password.parse(body).password),
  }));

  app.get("/-/lab/apis", async () => ({ apis: scans.apis(), runs: scans.runs() }));
  app.patch("/-/lab/apis/:name", async ({ params, body }) => {
    const { name } = z.object({ name: z.string() }).parse(params);
    return scans.change(name, ApiSettings.partial().parse(body));
  });

  app.get("/-/lab/settings", async () => store.settings);
  app.patch("/-/lab/settings", async ({ body }) => {
    Object.assign(store.settings, Settings.partial().parse(body));
    store.save();
    return store.settings;
  });

  app.get("/-/lab/requests", async () => {
    const requests = server().requests();
    return { counts: countsOf(requests), requests };
  });
  app.delete("/-/lab/requests", async () => {
    server().clear();
    return {};
  });

  app.get("/-/lab/faults", async () => server().faults.list());
  app.post("/-/lab/faults", async ({ body }) => {
    server().faults.add(body as FaultInput[]);
    return server().faults.list();
  });
  app.delete("/-/lab/faults", async () => {
    server().faults.clear();
    return {};
  });

  app.post("/-/lab/down", async ({ body }, reply) => {
    server().down(z.strictObject({ ms: z.int().min(0) }).parse(body).ms);
    return reply.header("connection", "close").send({});
  });
  return app;
}

function withoutSecrets(account: Account) {
  return { ...account, passwordDigest: undefined, epoch: undefined };
}

function countsOf(requests: Logged[]): Record<string, number> {
  const counts: Record<string, number> = {
    ...{ login: 0, loginSucceeded: 0, loginFailed: 0 },
    ...{ whoami: 0, change: 0, changed: 0, probe: 0, other: 0 },
  };
  const count = (name: string) => (counts[name] = (counts[name] ?? 0) + 1);
  for (const { kind, outcome } of requests) {
    count(kind ?? "other");
    if (outcome === "succeeded") count("loginSucceeded");
    if (outcome === "failed") count("loginFailed");
    if (outcome === "changed") count("changed");
  }
  return counts;
}
