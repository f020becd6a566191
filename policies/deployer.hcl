# Who runs `pulumi up` for this stack: all that it needs, and nothing of other stacks.
# Nobody, the deployer included, may delete, destroy or patch a secret or unmount the store.
# Whoever writes roles and policies can give rights away: this policy belongs to the trust group.

# The secrets of exactly these accounts.
path "${mount}/data/${account}/password" {
  capabilities = ["create", "read", "update"]
}

path "${mount}/data/${account}/token" {
  capabilities = ["create", "read", "update"]
}

# The keys' own settings: check-and-set, versions kept, end of life of a token.
path "${mount}/metadata/${account}/password" {
  capabilities = ["create", "read", "update"]
}

path "${mount}/metadata/${account}/token" {
  capabilities = ["create", "read", "update"]
}

# A renamed account: its old record is copied, never changed.
path "${mount}/data/${oldAccount}/password" {
  capabilities = ["read"]
}

# The KV mount: created and tuned by the stack that owns it, never removed.
path "sys/mounts/${ownMount}" {
  capabilities = ["create", "read", "update"]
}

path "sys/mounts/${ownMount}/tune" {
  capabilities = ["read", "update"]
}

path "sys/mounts/${sharedMount}" {
  capabilities = ["read"]
}

path "${mount}/config" {
  capabilities = ["read"]
}

path "sys/mounts" {
  capabilities = ["read"]
}

# GitLab's login: set up by the stack that owns it. Vault asks for sudo there,
# even to read.
path "sys/auth/${ownAuthPath}" {
  capabilities = ["create", "read", "update", "delete", "sudo"]
}

# Where the Vault plugin reads the login's mount: without sudo.
path "sys/mounts/auth/${ownAuthPath}" {
  capabilities = ["read"]
}

path "sys/mounts/auth/${ownAuthPath}/tune" {
  capabilities = ["read", "update"]
}

path "auth/${ownAuthPath}/config" {
  capabilities = ["create", "read", "update"]
}

path "sys/auth/${sharedAuthPath}" {
  capabilities = ["read", "sudo"]
}

path "sys/auth" {
  capabilities = ["read"]
}

path "auth/${authPath}/role/${prefix}-${stack}-rotator" {
  capabilities = ["create", "read", "update", "delete"]
}

path "auth/${authPath}/role/${prefix}-${stack}-consumer.${consumer}" {
  capabilities = ["create", "read", "update", "delete"]
}

# This stack's policies, each by its name: a pattern such as prod-* would be those of prod-eu, too,
# and this policy itself.
path "sys/policies/acl/${prefix}-${stack}-admin" {
  capabilities = ["create", "read", "update", "delete"]
}

path "sys/policies/acl/${prefix}-${stack}-developer" {
  capabilities = ["create", "read", "update", "delete"]
}

path "sys/policies/acl/${prefix}-${stack}-rotator" {
  capabilities = ["create", "read", "update", "delete"]
}

path "sys/policies/acl/${prefix}-${stack}-consumer.${consumer}" {
  capabilities = ["create", "read", "update", "delete"]
}

# The groups whose members are given this stack's policies. Their policies are all that can be written: not
# their members, name or aliases.
path "identity/group/name/${group}" {
  capabilities = ["read"]
}

path "identity/group/id/${groupId}" {
  capabilities = ["read", "update"]
  allowed_parameters = {
    "policies" = []
  }
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
