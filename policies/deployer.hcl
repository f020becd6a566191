# Who runs `pulumi up` for this stack: all that it needs, and nothing of other stacks.
# Nobody, the deployer included, may delete, destroy or patch a secret or unmount the store.
# Whoever writes roles and policies can give rights away: this policy belongs to the trust group.

# The secrets: + stands for one account, where the mount is this stack's alone.
path "${mount}/data/${anyAccount}/password" {
  capabilities = ["create", "read", "update"]
}

path "${mount}/data/${anyAccount}/token" {
  capabilities = ["create", "read", "update"]
}

# The keys' own settings. With these values only: by others Vault would drop versions of a password.
path "${mount}/metadata/${anyAccount}/password" {
  capabilities = ["create", "read", "update"]
  allowed_parameters = {
    "cas_required" = [true]
    "max_versions" = ["10"]
    "delete_version_after" = ["0s"]
    "custom_metadata" = []
  }
}

path "${mount}/metadata/${anyAccount}/token" {
  capabilities = ["create", "read", "update"]
  allowed_parameters = {
    "cas_required" = [true]
    "delete_version_after" = ["${tokenKept}", "0s"]
  }
}

# A renamed account: its old record is copied, never changed.
path "${mount}/data/${oldAccount}/password" {
  capabilities = ["read"]
}

# The KV mount: created by the stack that owns it, never removed.
path "sys/mounts/${ownMount}" {
  capabilities = ["read", "update"]
}

# Back to what is declared. By other settings Vault would write passwords into its audit log.
path "sys/mounts/${ownMount}/tune" {
  capabilities = ["update"]
  allowed_parameters = {
    "description" = ["${mountDescription}", "${sharedMountDescription}"]
    "options" = [{"version" = "2"}]
    "default_lease_ttl" = ["0s"]
    "max_lease_ttl" = ["0s"]
  }
}

path "sys/mounts/${othersMount}" {
  capabilities = ["read"]
}

path "${mount}/config" {
  capabilities = ["read"]
}

# GitLab's login: set up by the stack that owns it. Vault asks for sudo there.
path "sys/auth/${ownAuthPath}" {
  capabilities = ["update", "delete", "sudo"]
}

path "sys/mounts/auth/${ownAuthPath}/tune" {
  capabilities = ["read"]
}

path "auth/${ownAuthPath}/config" {
  capabilities = ["read", "update"]
}

path "sys/mounts/auth/${authPath}" {
  capabilities = ["read"]
}

path "auth/${authPath}/role/${prefix}-${stack}-rotator" {
  capabilities = ["create", "read", "update", "delete"]
}

# The dot is in no stack's name: no other stack's role or policy begins like this.
path "auth/${authPath}/role/${prefix}-${stack}-consumer.*" {
  capabilities = ["create", "read", "update", "delete"]
}

# This stack's policies by their names: a pattern such as prod-* would be those of prod-eu, too,
# and this policy itself.
path "sys/policies/acl/${prefix}-${stack}-admin" {
  capabilities = ["read", "update", "delete"]
}

path "sys/policies/acl/${prefix}-${stack}-developer" {
  capabilities = ["read", "update", "delete"]
}

path "sys/policies/acl/${prefix}-${stack}-rotator" {
  capabilities = ["read", "update", "delete"]
}

path "sys/policies/acl/${prefix}-${stack}-consumer.*" {
  capabilities = ["read", "update", "delete"]
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

# What its own token may do: asked before the first change.
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
