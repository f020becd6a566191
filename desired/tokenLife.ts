/** A token leaves Vault this long before APIsec ends it. */
export const tokenMarginSeconds = 30 * 60;

/** How long a token stays readable after it was written, in seconds; `tokenLifetime` as well. */
export function tokenKeptSeconds({ tokenLifetime }: { tokenLifetime: number }): number {
  return tokenLifetime - tokenMarginSeconds;
}
