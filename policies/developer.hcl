# Developers: read the access tokens that are published, and can do nothing else with them.
# What is not named is denied: no update, delete, undelete, destroy, patch, list, and no password.

path "${mount}/data/${publishedAccount}/token" {
  capabilities = ["read"]
}
