// Acme's service accounts at APIsec. The names are their folders in Vault.

/** Changes the others' passwords. Its token can reset them, so nobody reads it. */
export const admin = {
  name: "admin",
  username: "admin@acme.example",
  organization: "Acme",
  publishToken: false,
};

export const scanner = {
  name: "scanner",
  username: "scanner@acme.example",
  organization: "Acme",
  changedBy: "admin",
};
