import type { SecretStore } from "./secretStore";
import type { ServiceAccount } from "./serviceAccount";
import type { TokenConsumer } from "./tokenConsumer";
import type { TokenRotation } from "./tokenRotation";

/** What the stack tells: names and places, never a secret, and nothing that depends on the clock. */
export function stackOutputs(
  store: SecretStore,
  rotation: TokenRotation,
  accounts: readonly ServiceAccount[],
  consumers: readonly TokenConsumer[],
) {
  const published = accounts.flatMap(({ accountName, token }) =>
    token === undefined ? [] : [{ accountName, ...token }],
  );
  return {
    mount: store.mount,
    passwordPaths: Object.fromEntries(accounts.map((a) => [a.accountName, a.passwordPath])),
    tokenPaths: Object.fromEntries(published.map((a) => [a.accountName, a.path])),
    policies: store.policies,
    role: rotation.role,
    scheduleId: rotation.scheduleId,
    howToReadToken: Object.fromEntries(published.map((a) => [a.accountName, a.howToRead])),
    ...(consumers.length === 0
      ? {}
      : {
          consumers: Object.fromEntries(
            consumers.map(({ consumerName, role, snippet, scanJob }) => [
              consumerName,
              { role, snippet, scanJob },
            ]),
          ),
        }),
  };
}
