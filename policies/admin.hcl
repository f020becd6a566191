# The organisation's admin: reads passwords (break-glass) and tokens, changes nothing.

path "${mount}/data/${anyAccount}/password" {
  capabilities = ["read"]
}

path "${mount}/data/${anyAccount}/token" {
  capabilities = ["read"]
}

# Version numbers and dates: which version to read, when the password was changed.
path "${mount}/metadata/${anyAccount}/password" {
  capabilities = ["read"]
}

path "${mount}/metadata/${anyAccount}/token" {
  capabilities = ["read"]
}

path "${mount}/metadata/${anyAccount}/" {
  capabilities = ["list"]
}

path "${mount}/metadata/" {
  capabilities = ["list"]
}
