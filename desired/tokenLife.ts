/** A token leaves Vault this long before APIsec ends it. */
export const tokenMarginSeconds = 30 * 60;

/** After so many seconds Vault deletes a token; undefined = never. */
export function deletedAfterSeconds(
  settings: Parameters<typeof tokenKeptSeconds>[0] & { tokenEndsInVault: boolean },
): number | undefined {
  return settings.tokenEndsInVault ? tokenKeptSeconds(settings) : undefined;
}

/** How long a token stays readable after it was written, in seconds; `tokenLifetime` as well. */
export function tokenKeptSeconds({ tokenLifetime }: { tokenLifetime: number }): number {
  return tokenLifetime - tokenMarginSeconds;
}
