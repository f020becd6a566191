# A consumer's pipeline: reads the access tokens it was given, and ends its own Vault token.

path "${mount}/data/${consumerAccount}/token" {
  capabilities = ["read"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
