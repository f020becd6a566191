# Who runs `pulumi preview` for a change review: sees whether Vault is ready, and no secret at all.

path "sys/mounts/${mount}" {
  capabilities = ["read"]
}

path "${mount}/config" {
  capabilities = ["read"]
}

# Vault asks for sudo even where an auth method is only read.
path "sys/auth/${authPath}" {
  capabilities = ["read", "sudo"]
}

path "sys/policies/acl/${prefix}-${stack}-admin" {
  capabilities = ["read"]
}

path "sys/policies/acl/${prefix}-${stack}-developer" {
  capabilities = ["read"]
}

path "sys/policies/acl/${prefix}-${stack}-rotator" {
  capabilities = ["read"]
}

path "sys/policies/acl/${prefix}-${stack}-consumer.${consumer}" {
  capabilities = ["read"]
}

path "identity/group/name/${group}" {
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
