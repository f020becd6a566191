# Who runs `pulumi preview` for a change review: sees whether Vault is ready, and no secret at all.

path "sys/mounts/${mount}" {
  capabilities = ["read"]
}

path "${mount}/config" {
  capabilities = ["read"]
}

path "sys/auth/${authPath}" {
  capabilities = ["read"]
}

path "sys/policies/acl/${prefix}-${stack}-*" {
  capabilities = ["read"]
}

# The Vault plugin works with a child token of its own.
path "auth/token/create" {
  capabilities = ["update"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
