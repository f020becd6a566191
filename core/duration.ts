const unitSeconds: Record<string, number> = { h: 3600, m: 60, s: 1 };

/** Reads a duration such as `24h`, `23h30m` or `90s`, in seconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,6}h)?(\d{1,6}m)?(\d{1,6}s)?$/.test(text) || text === "") return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)([hms])/g)) {
    seconds += Number(amount) * (unitSeconds[unit ?? ""] ?? 0);
  }
  return seconds;
}

/** Writes seconds as Vault prints a duration, such as `23h30m0s`. */
export function formatDuration(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const parts = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${parts}${Math.floor(seconds % 60)}s`;
}
