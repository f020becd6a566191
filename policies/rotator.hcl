# The rotation job: logs in to APIsec with the password, writes the token, ends its own Vault token.
# The accounts whose tokens are not published are none of its business.

path "${mount}/data/${publishedAccount}/password" {
  capabilities = ["read"]
}

path "${mount}/data/${publishedAccount}/token" {
  capabilities = ["create", "read", "update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
