#!/bin/sh
# The rotation of one account with nothing but curl and jq.
set -eu
name=$(cat "$APISEC_ACCOUNTS_FILE")
kv=$VAULT_ADDR/v1/$APISEC_MOUNT/data/$name

vault() {
  printf 'header = "X-Vault-Token: %s"\n' "$VAULT_TOKEN" | curl -sS --fail --config - "$@"
}

record=$(vault "$kv/password" | jq .data.data)
version=$(vault "$kv/token" | jq .data.metadata.version)
set -- $(printf %s "$record" | jq -r '.username, .host')
username=$1 host=$2

token=$(
  printf %s "$record" | jq '{username, password}' |
    curl -sS --fail -H 'content-type: application/json' --data @- "$host/login" | jq -r .token
)
printf 'header = "Authorization: Bearer %s"\n' "$token" |
  curl -sS --fail --config - "$host/api/v1/projects?page=0&pageSize=1" |
  jq -e '.errors == false' >/dev/null

body=$(mktemp)
trap 'rm -f "$body"' EXIT
printf %s "$token" |
  jq -R --arg username "$username" --arg host "$host" --argjson version "$version" '
  (split(".")[1] | gsub("-"; "+") | gsub("_"; "/") | @base64d | fromjson) as $claims | {
    options: {cas: $version},
    data: {
      token: .,
      expires_at: ($claims.exp | todate),
      issued_at: ($claims.iat | todate),
      username: $username,
      host: $host,
      source: "bench"
    }
  }' >"$body"
vault --data "@$body" "$kv/token" >/dev/null
echo "$name  rotated"
