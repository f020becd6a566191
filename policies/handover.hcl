# Who hands over one account's first password: its record, where there never was one (check-and-set 0 alone is let
# through), and before it the settings of its key, where there is no key yet. Nothing can be read, or changed later.

path "${mount}/data/${handoverAccount}/password" {
  capabilities = ["create", "update"]
  required_parameters = ["options"]
  allowed_parameters = {
    "data" = []
    "options" = [{"cas" = "0"}]
  }
}

path "${mount}/metadata/${handoverAccount}/password" {
  capabilities = ["create"]
  allowed_parameters = {
    "cas_required" = [true]
    "max_versions" = ["10"]
    "delete_version_after" = ["0s"]
    "custom_metadata" = []
  }
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
