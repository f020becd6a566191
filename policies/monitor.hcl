# Who runs `npm run check`: sees ages, settings, policies and roles, and no password or token at all.

# Dates and versions, not values: when a password was changed, when a token leaves Vault.
path "${mount}/metadata/${anyAccount}/password" {
  capabilities = ["read"]
}

path "${mount}/metadata/${anyAccount}/token" {
  capabilities = ["read"]
}

# Names that config does not know: where the mount is this stack's alone.
path "${unsharedMount}/metadata/" {
  capabilities = ["list"]
}

path "sys/mounts/${mount}" {
  capabilities = ["read"]
}

path "${mount}/config" {
  capabilities = ["read"]
}

path "sys/mounts/auth/${authPath}" {
  capabilities = ["read"]
}

# Where Vault finds GitLab's keys: public ones.
path "auth/${ownAuthPath}/config" {
  capabilities = ["read"]
}

path "auth/${authPath}/role/${prefix}-${stack}-rotator" {
  capabilities = ["read"]
}

# The dot is in no stack's name: no other stack's role or policy begins like this.
path "auth/${authPath}/role/${prefix}-${stack}-consumer.*" {
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

# Not the stack's own, but they open its secrets: who can read and change what is told from their texts.
path "sys/policies/acl/${prefix}-${stack}-deployer" {
  capabilities = ["read"]
}

path "sys/policies/acl/${prefix}-${stack}-verifier" {
  capabilities = ["read"]
}

path "sys/policies/acl/${prefix}-${stack}-consumer.*" {
  capabilities = ["read"]
}

# Names of policies and roles: a consumer that config does not know is found among them.
path "sys/policies/acl/" {
  capabilities = ["list"]
}

path "auth/${authPath}/role/" {
  capabilities = ["list"]
}

path "identity/group/name/${group}" {
  capabilities = ["read"]
}

# What its own token may do: nothing to a password.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
