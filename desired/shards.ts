const accountsPerJob = 500;

/** How many jobs share the rotation of so many accounts. */
export function shardsOf(accounts: number): number {
  return Math.max(1, Math.ceil(accounts / accountsPerJob));
}
