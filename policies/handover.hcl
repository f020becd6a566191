# Who hands over one account's first password: writes its record once, where there is none. With `create` alone
# Vault refuses a key that is there, and nothing can be read.

path "${mount}/data/${handoverAccount}/password" {
  capabilities = ["create"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
