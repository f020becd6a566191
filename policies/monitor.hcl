# Who runs `npm run check`: sees ages, settings, policies and roles, and no password or token at all.

# Dates and versions, not values: when a password was changed, when a token leaves Vault.
path "${mount}/metadata/${account}/password" {
  capabilities = ["read"]
}

path "${mount}/metadata/${account}/token" {
  capabilities = ["read"]
}

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

# Where Vault finds GitLab's keys: public ones.
path "auth/${ownAuthPath}/config" {
  capabilities = ["read"]
}

path "auth/${authPath}/role/${prefix}-${stack}-rotator" {
  capabilities = ["read"]
}

path "auth/${authPath}/role/${prefix}-${stack}-consumer.${consumer}" {
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

path "sys/policies/acl/${prefix}-${stack}-consumer.${consumer}" {
  capabilities = ["read"]
}

path "identity/group/name/${group}" {
  capabilities = ["read"]
}

# What its own token may do: nothing to a password.
path "sys/capabilities-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
