import { passwordKeys } from "../../clients/keySettings";
import { kvStore } from "../../clients/vault";
import type { VaultConnection } from "../../clients/vault";
import { changePassword } from "../../core/passwordChange";
import type { PasswordWorld } from "../../core/passwordRun";
import { rotateToken } from "../../core/tokenRotation";
import { verifyPassword } from "../../core/verifyPassword";
import { passwordKeySettings } from "../../desired/keySettings";
import { laggingVault } from "../support/laggingVault";
import type { LaggingVault } from "../support/laggingVault";
import { account, memoryApisec, tokenOf, withPassword } from "../support/memoryApisec";
import type { ApisecData } from "../support/memoryApisec";
import { kvForget, kvWrite } from "../support/memoryVault";
import type { Kv } from "../support/memoryVault";

/*
 * A standby of OpenBao answers reads from a copy that is 0.1 s old. Whatever is read to decide something must not
 * be: with such a standby each case asks APIsec the same, and ends in the same, as with one that is never behind.
 */

const host = "https://a.example";
const username = "scanner@acme.example";
const wish = { name: "scanner", username, host, generation: 1, published: true };
const [key, token] = ["scanner/password", "scanner/token"];
const [old, live, others] = ["Old-1-password", "Live-2-password", "Others-3-password"];

/** What happens, of another client's doing, directly before the n-th of such calls. */
interface Meanwhile {
  call: string;
  nth?: number;
  change: (state: State) => void;
}

interface State {
  vault: LaggingVault;
  apisec: ApisecData;
}

interface Case {
  live: string;
  kv?: Kv;
  meanwhile?: Meanwhile;
  /** No mark can be written. */
  isUnnoted?: boolean;
  run: (vault: VaultConnection, world: PasswordWorld) => Promise<unknown>;
}

const record = (password: string, generation: number, more: object = {}) => ({
  ...{ username, password, host, organization: "Acme", generation },
  ...{ changed_at: "2026-11-01T00:00:00Z", ...more },
});

const recordsOf = (...records: object[]): Kv =>
  records.reduce<Kv>(
    (kv, data, cas) => kvWrite(kv, key, { ...data }, cas, Date.UTC(2026, 10, 1 + cas)).kv,
    {},
  );

/** Another run changes the password: its record, then APIsec. */
const changed = ({ vault }: State, password: string) =>
  vault.set((kv) => kvWrite(kv, key, record(password, 2), kv[key]?.current ?? 0, 0).kv);

function change(generation: number, firstPassword?: string): Case["run"] {
  return async (_, world) => {
    const { outcome, version, warnings } = await changePassword(
      { ...wish, generation, firstPassword, acceptAdminToken: true },
      world,
    );
    return { outcome, version, warnings: warnings.length };
  };
}

const verify: Case["run"] = (_, world) => verifyPassword(wish, world, true);

const rotate: Case["run"] = async (vault, { clock, apisec }) => {
  // The job's store, which has written nothing yet.
  const tools = { store: kvStore({ ...vault, met: {} }, "apisec"), clock, apisec };
  const rules = { minLifetimeSeconds: 3600, source: "test" };
  return (await rotateToken(wish.name, tools, rules, { secrets: [] })).state;
};

const noted: Meanwhile["change"] = (state) => {
  changed(state, others);
  state.apisec = withPassword(state.apisec, username, others);
};

const cases: [string, Case][] = [
  ["a first run", { live: old, run: change(1, old) }],
  ["another generation", { live, kv: recordsOf(record(live, 1)), run: change(2) }],
  [
    "a pending that is found at work, staged two versions ago",
    {
      live: others,
      kv: recordsOf(
        record(live, 1),
        record(live, 1, { pending_password: others, pending_generation: 2 }),
        record(live, 1, { pending_password: others, pending_generation: 2, note: "x" }),
      ),
      run: change(2),
    },
  ],
  [
    "a stage that is lost",
    {
      live,
      kv: recordsOf(record(live, 1)),
      meanwhile: {
        call: `POST ${key}`,
        change: ({ vault }) =>
          vault.set((kv) => {
            const pending = { pending_password: others, pending_generation: 2 };
            return kvWrite(kv, key, record(live, 1, pending), 1, vault.clock.now()).kv;
          }),
      },
      run: change(2),
    },
  ],
  [
    "a promote that is lost against the same value",
    {
      live: old,
      meanwhile: {
        call: `POST ${key}`,
        nth: 2,
        change: ({ vault, apisec }) =>
          vault.set((kv) => {
            const { password } = apisec.accounts[0]!;
            return kvWrite(kv, key, record(password, 1), 1, vault.clock.now()).kv;
          }),
      },
      run: change(1, old),
    },
  ],
  [
    "a key that is deleted for good before the promote",
    {
      live,
      kv: recordsOf(record(live, 1)),
      meanwhile: {
        call: `POST ${key}`,
        nth: 2,
        change: ({ vault }) => vault.set((kv) => kvForget(kv, key)),
      },
      run: change(2),
    },
  ],
  ...[false, true].flatMap((isUnnoted): [string, Case][] => {
    const how = isUnnoted ? ", and no mark can be written" : "";
    const beside = {
      live,
      kv: recordsOf(record(live, 1)),
      isUnnoted,
      meanwhile: { call: "login", change: noted },
    };
    return [
      [`an up beside another's change${how}`, { ...beside, run: change(1) }],
      [`an up that raises, beside another's change${how}`, { ...beside, run: change(2) }],
      [`a verify beside another's change${how}`, { ...beside, run: verify }],
    ];
  }),
  [
    "a rotation beside another's change",
    {
      live,
      kv: recordsOf(record(live, 1)),
      meanwhile: { call: "login", change: noted },
      run: rotate,
    },
  ],
  [
    "a token that another has written first",
    {
      live,
      kv: recordsOf(record(live, 1)),
      meanwhile: {
        call: `POST ${token}`,
        change: ({ vault, apisec }) =>
          vault.set((kv) => {
            const bought = tokenOf(apisec.accounts[0]!, vault.clock.now() + 60_000);
            return kvWrite(kv, token, { token: bought }, 0, vault.clock.now()).kv;
          }),
      },
      run: rotate,
    },
  ],
];

/** What was asked of APIsec, how it ended, and what Vault then holds. */
async function played({ live: password, kv = {}, meanwhile, isUnnoted, run }: Case, lagMs: number) {
  const asked: string[] = [];
  let left = meanwhile?.nth ?? 1;
  const happens = (call: string) => {
    if (call === meanwhile?.call && (left -= 1) === 0) meanwhile.change(state);
  };
  const vault = laggingVault(kv, lagMs, ({ method, key: at }) => happens(`${method} ${at}`));
  const accounts = [account(username, password, ["ROLE_USER", "ROLE_ADMIN"])];
  const state: State = { vault, apisec: { accounts, resetEndsTokens: false } };
  const { clock } = vault;
  const api = memoryApisec(state, clock);
  const connection = vault.connection();
  const keys = passwordKeys(connection, "apisec", passwordKeySettings);
  let drawn = 0;
  const world: PasswordWorld = {
    store: kvStore(connection, "apisec"),
    keys: isUnnoted ? { ...keys, note: () => Promise.reject(new Error("403")) } : keys,
    mount: "apisec",
    apisec: () => ({
      ...api,
      login: (user, secret) => {
        happens("login");
        asked.push(`login ${secret}`);
        return api.login(user, secret);
      },
      changePassword: (by, user, secret) => {
        asked.push(`change to ${secret}`);
        return api.changePassword(by, user, secret);
      },
    }),
    book: new Map(),
    newPassword: () => `Drawn-${(drawn += 1)}-password`,
    clock,
  };
  const result = await run(connection, world).catch((error: Error) => error.message);
  const held = vault.kv()[key];
  const {
    password: stored,
    generation,
    pending_password: pending,
  } = held?.versions.at(-1)?.data ?? {};
  const atApisec = state.apisec.accounts[0]?.password;
  return {
    result: JSON.parse(
      JSON.stringify(result).replaceAll(/2026-11-24T\S{8,13}Z/g, "now"),
    ) as unknown,
    asked,
    held: {
      token: vault.kv()[token]?.current,
      version: held?.current,
      stored,
      generation,
      pending,
      mark: held?.custom?.["version"],
    },
    isTrue: [stored, pending].includes(atApisec),
    happened: left <= 0,
  };
}

test.each(cases)("%s: a standby that is behind changes nothing", async (_, one) => {
  const fresh = await played(one, 0);
  expect(fresh.isTrue).toBe(true);
  expect(fresh.happened).toBe(one.meanwhile !== undefined);
  expect(await played(one, 100)).toEqual(fresh);
});
