# Who runs `apisec-credentials verify`: logs in to APIsec with each password to see that it is right, and notes
# that beside it. It can change no password, no token, no setting of a key, and no policy.

path "${mount}/data/${account}/password" {
  capabilities = ["read"]
}

path "${mount}/metadata/${account}/password" {
  capabilities = ["read", "update"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
