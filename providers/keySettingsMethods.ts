import { differingKeys, mountReady, setKeys } from "../clients/keySettings";
import type { KeySettings } from "../desired/keySettings";
import { differences } from "../core/differences";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { connect } from "../clients/connect";
import type { VaultPlace } from "../clients/connect";
import { withShownErrors } from "./shownErrors";

const keyOf = { password: passwordKey, token: tokenKey };

/** The keys that an account may have. */
type Kind = keyof typeof keyOf;

/** The keys of a stack's accounts and what is set on them. */
export interface KeySettingsInputs extends VaultPlace {
  mount: string;
  settings: Readonly<Record<Kind, KeySettings>>;
  /** Which keys each account has, by its name. */
  accounts: Readonly<Record<string, readonly Kind[]>>;
}

export interface KeySettingsState extends KeySettingsInputs {
  /** Keys that were not as declared when Vault was last looked at, and in what. */
  differing: Readonly<Record<string, string>>;
}

const id = "key-settings";
const place = ["mount", "vaultAddress", "vaultNamespace"] as const;
const decisive = [...place, "settings", "accounts"] as const;

function keysOf({ accounts, settings }: KeySettingsInputs): Map<string, KeySettings> {
  return new Map(
    Object.entries(accounts).flatMap(([name, kinds]) =>
      kinds.map((kind): [string, KeySettings] => [keyOf[kind](name), settings[kind]]),
    ),
  );
}

/** What Vault does not have yet, as far as the state knows. */
function changedKeys(olds: KeySettingsState, news: KeySettingsInputs): Map<string, KeySettings> {
  const isSamePlace = place.every((key) => olds[key] === news[key]);
  const before = isSamePlace ? keysOf(olds) : new Map<string, KeySettings>();
  const isSet = (key: string, settings: KeySettings) =>
    JSON.stringify(before.get(key)) === JSON.stringify(settings) && !(key in olds.differing);
  return new Map([...keysOf(news)].filter(([key, settings]) => !isSet(key, settings)));
}

/** What this process, which serves one `up`, has set: such a key need not be read before its first value. */
const setInThisUp = new Map<string, KeySettings>();

const placed = ({ vaultAddress, vaultNamespace }: VaultPlace, mount: string, key: string) =>
  JSON.stringify([vaultAddress, vaultNamespace, mount, key]);

/** Whether this process has given `key` of `mount` these settings. */
export function wasSet(at: VaultPlace, mount: string, key: string, settings: KeySettings): boolean {
  const set = setInThisUp.get(placed(at, mount, key));
  return set !== undefined && differences(settings, set).length === 0;
}

async function set(
  inputs: KeySettingsInputs,
  keys: ReadonlyMap<string, KeySettings>,
): Promise<KeySettingsState> {
  const vault = connect(inputs);
  if (keys.size > 0) {
    await mountReady(vault, inputs.mount);
    await setKeys(vault, inputs.mount, keys);
    for (const [key, settings] of keys) {
      setInThisUp.set(placed(inputs, inputs.mount, key), settings);
    }
  }
  return { ...inputs, differing: {} };
}

function needsWork(olds: KeySettingsState, news: KeySettingsInputs): boolean {
  // The engine shows what its provider process prints, and no output that is to change.
  for (const [key, wrong] of Object.entries(olds.differing)) {
    // eslint-disable-next-line no-console
    console.log(`Settings of key ${key} in Vault: ${wrong}: \`pulumi up\` sees to it.`);
  }
  return (
    Object.keys(olds.differing).length > 0 ||
    decisive.some((key) => JSON.stringify(olds[key]) !== JSON.stringify(news[key]))
  );
}

/**
 * What the provider of the keys' settings does, as one object: see keySettings.ts. Values are neither
 * read nor written, and nothing is ever deleted.
 */
export const keySettingsMethods = withShownErrors({
  configure: async () => undefined,
  diff: async (_id: string, olds: KeySettingsState, news: KeySettingsInputs) => ({
    changes: needsWork(olds, news),
  }),
  create: async (inputs: KeySettingsInputs) => ({ id, outs: await set(inputs, keysOf(inputs)) }),
  update: async (_id: string, olds: KeySettingsState, news: KeySettingsInputs) => ({
    outs: await set(news, changedKeys(olds, news)),
  }),
  read: async (_id: string, stored: KeySettingsState) => {
    const differing = await differingKeys(connect(stored), stored.mount, keysOf(stored));
    return { id, props: { ...stored, differing: Object.fromEntries(differing) } };
  },
});
