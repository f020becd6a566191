# The organisation's admin: reads passwords (break-glass) and tokens, changes nothing.

path "${mount}/data/${account}/password" {
  capabilities = ["read"]
}

path "${mount}/data/${account}/token" {
  capabilities = ["read"]
}

# Version numbers and dates: which version to read, when the password was changed.
path "${mount}/metadata/${account}/password" {
  capabilities = ["read"]
}

path "${mount}/metadata/${account}/token" {
  capabilities = ["read"]
}

path "${mount}/metadata/${account}/" {
  capabilities = ["list"]
}

path "${mount}/metadata/" {
  capabilities = ["list"]
}
