# Who runs `pulumi preview` for a change review: sees whether Vault is ready, and no secret at all.
# `pulumi preview --refresh` reads passwords: it takes the deployer.

path "sys/mounts/${mount}" {
  capabilities = ["read"]
}

path "${mount}/config" {
  capabilities = ["read"]
}

path "sys/mounts/auth/${authPath}" {
  capabilities = ["read"]
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

# The dot is in no stack's name: no other stack's policy begins like this.
path "sys/policies/acl/${prefix}-${stack}-consumer.*" {
  capabilities = ["read"]
}

path "identity/group/name/${group}" {
  capabilities = ["read"]
}

# What its own token may do: asked for the review, which says what `up` would lack.
path "sys/capabilities-self" {
  capabilities = ["update"]
}

# The Vault plugin works with a child token of its own.
path "auth/token/create" {
  capabilities = ["update"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}
